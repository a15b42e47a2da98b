// What a call that has arrived may be answered by: each asks the same Redis by ioredis, on a connection of its own.

import { Redis } from "ioredis";
import type { Limiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { type Call, type Limit, ONE, PEER, roomy, THREE } from "../calls.ts";
import type { Kind } from "../race.ts";
import { flexible } from "../redis-contenders.ts";
import { allows, limiterOf, type Settings } from "../tollgate.ts";

interface Answering {
  /** Whether the call was admitted: all of them must be. */
  answer(call: Call): Promise<boolean>;
  close(): Promise<void>;
}

export interface Way {
  readonly name: string;
  readonly kind: Kind;
  open(port: number): Promise<Answering>;
}

export const PING = "PING";

const tollgate = (name: string, limits: readonly Limit[], settings?: Settings): Way => ({
  name,
  kind: "tollgate",
  async open(port) {
    const client = new Redis(port);
    const limiter: Limiter = limiterOf(roomy(limits), redisStore(client), settings);
    return {
      answer: async (call) => allows(await limiter.consume(call)),
      close: async () => {
        await limiter.close();
        client.disconnect();
      },
    };
  },
});

export const WAYS: readonly Way[] = [
  tollgate("Tollgate, one limit", ONE),
  tollgate("Tollgate, three limits", THREE),
  tollgate("Tollgate, three limits, failover: false", THREE, { failover: false }),
  {
    name: `${PEER}, three limits, Promise.all`,
    kind: "peer",
    async open(port) {
      const client = new Redis(port, { enableOfflineQueue: false, lazyConnect: true });
      await client.connect();
      const { decide, allows } = flexible(
        { limits: roomy(THREE) },
        "all at once",
        { blocks: false, useRedisPackage: false },
        client,
      );
      return { answer: async (call) => allows(await decide(call)), close: async () => client.disconnect() };
    },
  },
  {
    name: PING,
    kind: "floor",
    async open(port) {
      const client = new Redis(port);
      return { answer: async () => (await client.ping()) === "PONG", close: async () => client.disconnect() };
    },
  },
  {
    name: "nothing at all: the arrival itself",
    kind: "floor",
    open: async () => ({ answer: async () => true, close: async () => {} }),
  },
];

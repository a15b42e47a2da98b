// The ways to answer a call that has arrived. Each uses the same Redis by ioredis, on a connection of its own.

import { Redis } from "ioredis";
import { redisStore } from "tollgate/stores/redis";
import { type Call, type Decider, type Limit, ONE, PEER, roomy, THREE } from "../calls.ts";
import { flexible } from "../redis-contenders.ts";
import { type Settings, tollgate } from "../tollgate.ts";

export interface Way {
  readonly name: string;
  /** Resolves with a function that answers whether a call was admitted. */
  open(port: number): Promise<(call: Call) => Promise<boolean>>;
}

export const PING = "PING";

const asked =
  <Answer>({ decide, allows }: Decider<Answer>) =>
  async (call: Call) =>
    allows(await decide(call));

const ours = (name: string, limits: readonly Limit[], settings?: Settings): Way => ({
  name,
  open: async (port) => asked(tollgate(roomy(limits), redisStore(new Redis(port)), settings)),
});

export const WAYS: readonly Way[] = [
  ours("Tollgate, one limit", ONE),
  ours("Tollgate, three limits", THREE),
  ours("Tollgate, three limits, failover: false", THREE, { failover: false }),
  {
    name: `${PEER}, three limits, Promise.all`,
    async open(port) {
      const client = new Redis(port, { enableOfflineQueue: false, lazyConnect: true });
      await client.connect();
      return asked(flexible(roomy(THREE), "all at once", client));
    },
  },
  {
    name: PING,
    async open(port) {
      const client = new Redis(port);
      return async () => (await client.ping()) === "PONG";
    },
  },
  { name: "nothing at all: the arrival itself", open: async () => async () => true },
];

// The contenders on one Redis: the same calls under the same limits by the same client, each on connections of its own.

import { Redis, type RedisOptions } from "ioredis";
import { RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { createClient } from "redis";
import { redisStore } from "tollgate/stores/redis";
import { type Decider, type Limit, PEER, type Rule, WINDOW_SECONDS } from "./calls.ts";
import { askingAll } from "./memory-contenders.ts";
import type { Contender, Opened } from "./race.ts";
import type { RedisServer } from "./servers.ts";
import { TOLLGATE_WAYS, tollgate } from "./tollgate.ts";

type ClientSettings = Pick<RedisOptions, "enableAutoPipelining" | "enableOfflineQueue">;

/** What the contenders share. */
export interface Field {
  readonly server: Pick<RedisServer, "port" | "control">;
  readonly limits: readonly Limit[];
  readonly inFlight: number;
}

const clientsOf = {
  async ioredis(port: number, settings: ClientSettings = {}) {
    const client = new Redis(port, { ...settings, lazyConnect: true });
    await client.connect();
    return { client, close: () => client.disconnect() };
  },
  async "node-redis"(port: number) {
    const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
    return { client, close: () => client.destroy() };
  },
};

export type ClientName = keyof typeof clientsOf;
type Connected = Awaited<ReturnType<(typeof clientsOf)[ClientName]>>;
export const CLIENT_NAMES: readonly ClientName[] = ["ioredis", "node-redis"];

/** One way to use a client: its settings, and whether the peer denies the calls of a spent key without asking Redis. */
interface Way {
  readonly name: string;
  readonly settings?: ClientSettings;
  readonly blocks?: true;
  /** Only on one limit: on three it was slower than without, and a round takes long enough. */
  readonly onOneLimit?: true;
  /** So many connections with one call in flight on each. */
  readonly connections?: number;
}

const JOINED = { enableAutoPipelining: true };
export const ALONE = "INCR, each sent by itself";

const PEER_WAYS: Readonly<Record<ClientName, readonly Way[]>> = {
  ioredis: [
    { name: "" },
    { name: "autopipelining", settings: JOINED },
    { name: "autopipelining, blocks in memory", settings: JOINED, blocks: true, onOneLimit: true },
  ],
  "node-redis": [{ name: "" }, { name: "blocks in memory", blocks: true }],
};

const INCR_WAYS: Readonly<Record<ClientName, readonly Way[]>> = {
  ioredis: [{ name: ALONE }, { name: "INCR, autopipelining", settings: JOINED }],
  // node-redis sends the commands of one tick together. Only a connection with one call in flight sends a command by
  // itself. Calls on several connections have no order, which matters where a call is in more than one limit.
  "node-redis": [{ name: ALONE, connections: 50, onOneLimit: true }, { name: "INCR, a tick's together" }],
};

/** All contenders by one client. `group` is the head of their table. */
export function redisContenders(client: ClientName, group: string, field: Field): Contender[] {
  const { limits, server } = field;
  const rules: readonly Rule[] = limits.length === 1 ? ["all at once"] : ["all at once", "one after the other"];
  const applies = ({ onOneLimit }: Way) => onOneLimit === undefined || limits.length === 1;

  const contender = (
    about: Pick<Contender, "name" | "rule">,
    { settings = {}, connections = 1 }: Omit<Way, "name">,
    start: (connected: readonly Connected[]) => Opened,
  ): Contender => ({
    ...about,
    group,
    limits,
    inFlight: connections > 1 ? connections : field.inFlight,
    async open() {
      await server.control.flushall("SYNC");
      const open = () => clientsOf[client](server.port, settings);
      const connected = await Promise.all(Array.from({ length: connections }, open));
      const opened = start(connected);
      return {
        ...opened,
        // Before Redis is emptied for the next contender, a limiter that would restore lost counts is closed.
        async close() {
          await opened.close?.();
          for (const each of connected) each.close();
        },
      };
    },
  });

  return [
    ...TOLLGATE_WAYS.map(({ name, settings }) =>
      contender({ name, rule: "all or none" }, {}, ([connected]) =>
        tollgate(limits, redisStore(theClient(connected)), settings),
      ),
    ),
    ...rules.flatMap((rule) =>
      PEER_WAYS[client].filter(applies).map((way) => {
        const how = limits.length === 1 ? "" : rule === "all at once" ? "Promise.all" : "in turn";
        const name = [PEER, how, way.name].filter((part) => part !== "").join(", ");
        const settings = { ...way.settings, enableOfflineQueue: false };
        return contender({ name, rule }, { settings }, ([connected]) =>
          flexible(limits, rule, theClient(connected), way.blocks),
        );
      }),
    ),
    ...INCR_WAYS[client].filter(applies).map((way) =>
      contender({ name: way.name, rule: "all at once" }, way, (connected) => {
        let turn = 0;
        return counters(limits, (key) => theClient(connected[turn++ % connected.length]).incr(key));
      }),
    ),
  ];
}

function theClient(connected: Connected | undefined): Connected["client"] {
  if (connected === undefined) throw new Error("there is no connection");
  return connected.client;
}

/** rate-limiter-flexible, a limiter for each limit. */
export function flexible(
  limits: readonly Limit[],
  rule: Rule,
  client: Connected["client"],
  blocks = false,
): Decider<unknown> {
  const parts = limits.map(({ name, quota, key }) => {
    const limiter = new RateLimiterRedis({
      storeClient: client,
      useRedisPackage: !(client instanceof Redis),
      keyPrefix: name,
      points: quota,
      duration: WINDOW_SECONDS,
      ...(blocks && { inMemoryBlockOnConsumed: quota }),
    });
    return { limiter, key };
  });
  return {
    decide: askingAll(parts, rule),
    allows: () => true,
    isDenial: (error) => error instanceof RateLimiterRes,
  };
}

/** The floor: it counts and compares. It has no expiry, and a denied call stays counted. */
function counters(
  limits: readonly Limit[],
  incr: (key: string) => Promise<number>,
): Decider<number | readonly number[]> {
  const parts = limits.map(({ name, quota, key }) => ({ prefix: `${name}:`, quota, key }));
  const [only] = parts;
  if (only !== undefined && parts.length === 1) {
    const { prefix, quota, key } = only;
    return { decide: (call) => incr(prefix + key(call)), allows: (count) => Number(count) <= quota };
  }
  return {
    decide: (call) => Promise.all(parts.map(({ prefix, key }) => incr(prefix + key(call)))),
    allows: (counts) => Array.isArray(counts) && parts.every(({ quota }, i) => counts[i] <= quota),
  };
}

// The contenders on one Redis: the same calls under the same limits, by the same client, each on a connection of its own.

import { Redis, type RedisOptions } from "ioredis";
import { type IRateLimiterRedisOptions, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { createClient } from "redis";
import { redisStore } from "tollgate/stores/redis";
import { arrivingAgain, type Call, type Limit, mustAdmit, type Rule, tollgate, WINDOW_SECONDS } from "./contenders.ts";
import type { Contender, Opened } from "./harness.ts";
import type { RedisServer } from "./redis-server.ts";

export const PEER = "rate-limiter-flexible";

/** What the contenders share. */
export interface Field {
  readonly server: RedisServer;
  readonly calls: readonly Call[];
  readonly limits: readonly Limit[];
  readonly inFlight: number;
}

/** Decides all calls. Resolves with how many were admitted. */
type Run = () => Promise<number>;

type IoRedisSettings = Pick<RedisOptions, "enableAutoPipelining" | "enableOfflineQueue">;

/** By ioredis. `group` is the head of their table. */
export function ioredisContenders(group: string, field: Field): Contender[] {
  const contender = (
    name: string,
    rule: Rule,
    options: IoRedisSettings,
    start: (client: Redis, calls: Call[]) => Run,
  ) =>
    contenderOf(group, name, rule, field, async (calls) => {
      const client = new Redis(field.server.port, { ...options, lazyConnect: true });
      await client.connect();
      return { run: start(client, calls), close: async () => client.disconnect() };
    });
  const peer = (name: string, rule: Rule, options: IoRedisSettings, blocks = false) =>
    contender(named(PEER, ways(field.limits, rule), name), rule, { ...options, enableOfflineQueue: false }, (...args) =>
      flexible(field, rule, { blocks, useRedisPackage: false }, ...args),
    );
  const incr = (name: string, options: IoRedisSettings) =>
    contender(named("plain INCR", name), "all at once", options, (client, calls) =>
      counters(field, calls, (key) => client.incr(key)),
    );
  const joined = { enableAutoPipelining: true };
  return [
    contender("Tollgate", "all or none", {}, (client, calls) => {
      return tollgate(calls, field.limits, redisStore(client), field.inFlight).run;
    }),
    ...peerRules(field.limits).flatMap((rule) => [peer("", rule, {}), peer("autopipelining", rule, joined)]),
    // On three limits it was slower than without, and a round is long enough.
    ...(field.limits.length === 1 ? [peer("autopipelining, blocks in memory", "all at once", joined, true)] : []),
    incr("each sent by itself", {}),
    incr("autopipelining", joined),
  ];
}

const connectedNodeRedis = (port: number) => createClient({ url: `redis://127.0.0.1:${port}` }).connect();
type NodeRedis = Awaited<ReturnType<typeof connectedNodeRedis>>;

/** By node-redis, which always sends together what one tick asks. */
export function nodeRedisContenders(group: string, field: Field): Contender[] {
  const contender = (name: string, rule: Rule, start: (client: NodeRedis, calls: Call[]) => Run) =>
    contenderOf(group, name, rule, field, async (calls) => {
      const client = await connectedNodeRedis(field.server.port);
      return { run: start(client, calls), close: async () => client.destroy() };
    });
  const peer = (name: string, rule: Rule, blocks: boolean) =>
    contender(named(PEER, ways(field.limits, rule), name), rule, (...args) =>
      flexible(field, rule, { blocks, useRedisPackage: true }, ...args),
    );
  return [
    contender("Tollgate", "all or none", (client, calls) => {
      return tollgate(calls, field.limits, redisStore(client), field.inFlight).run;
    }),
    ...peerRules(field.limits).flatMap((rule) => [peer("", rule, false), peer("blocks in memory", rule, true)]),
    contender("plain INCR", "all at once", (client, calls) => counters(field, calls, (key) => client.incr(key))),
  ];
}

function contenderOf(
  group: string,
  name: string,
  rule: Rule,
  { server, calls, limits }: Field,
  open: (calls: Call[]) => Promise<Opened>,
): Contender {
  return {
    group,
    name,
    expected: mustAdmit(calls, limits, rule),
    async open() {
      await server.control.flushall("SYNC");
      return open(calls.map(arrivingAgain));
    },
  };
}

const named = (...parts: readonly string[]) => parts.filter((part) => part !== "").join(", ");

const peerRules = (limits: readonly Limit[]): readonly Rule[] =>
  limits.length === 1 ? ["all at once"] : ["all at once", "one after the other"];

function ways(limits: readonly Limit[], rule: Rule): string {
  if (limits.length === 1) return "";
  return rule === "all at once" ? "Promise.all" : "in turn";
}

/** Asks about all calls in their order, so many at a time. */
async function inLanes(calls: readonly Call[], inFlight: number, admits: (call: Call) => Promise<boolean>) {
  let next = 0;
  let admitted = 0;
  const lane = async () => {
    for (let call = calls[next++]; call !== undefined; call = calls[next++]) if (await admits(call)) admitted++;
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return admitted;
}

interface PeerSettings {
  readonly useRedisPackage: boolean;
  /** Its way to spare Redis the calls of a key that is spent: it then denies them by itself until the window ends. */
  readonly blocks: boolean;
}

function flexible(
  { limits, inFlight }: Field,
  rule: Rule,
  { blocks, useRedisPackage }: PeerSettings,
  client: Redis | NodeRedis,
  calls: readonly Call[],
): Run {
  const parts = limits.map(({ name, quota, key }) => {
    const options: IRateLimiterRedisOptions = {
      storeClient: client,
      useRedisPackage,
      keyPrefix: name,
      points: quota,
      duration: WINDOW_SECONDS,
      ...(blocks ? { inMemoryBlockOnConsumed: quota } : {}),
    };
    return { limiter: new RateLimiterRedis(options), key };
  });
  const admits = async (call: Call) => {
    try {
      if (rule === "all at once") await Promise.all(parts.map(({ limiter, key }) => limiter.consume(key(call))));
      else for (const { limiter, key } of parts) await limiter.consume(key(call));
      return true;
    } catch (denial) {
      if (!(denial instanceof RateLimiterRes)) throw denial;
      return false;
    }
  };
  return () => inLanes(calls, inFlight, admits);
}

/** The floor: counts alone. No expiry, no answer but the number, and a denied call stays counted. */
function counters({ limits, inFlight }: Field, calls: readonly Call[], incr: (key: string) => Promise<number>): Run {
  const parts = limits.map(({ name, quota, key }) => ({ prefix: `${name}:`, quota, key }));
  const admits = async (call: Call) => {
    const counts = await Promise.all(parts.map(({ prefix, key }) => incr(prefix + key(call))));
    return parts.every(({ quota }, i) => (counts[i] ?? Number.NaN) <= quota);
  };
  return () => inLanes(calls, inFlight, admits);
}

// The contenders on one Redis: the same calls under the same limits, by the same client, each on connections of its own.

import { Redis, type RedisOptions } from "ioredis";
import { type IRateLimiterRedisOptions, RateLimiterRedis, RateLimiterRes } from "rate-limiter-flexible";
import { createClient } from "redis";
import { redisStore } from "tollgate/stores/redis";
import { askAll, type Call, type Decider, type Limit, mustAdmit, PEER, type Rule, WINDOW_SECONDS } from "./calls.ts";
import { flexibly } from "./memory-contenders.ts";
import type { Contender, Opened } from "./race.ts";
import type { RedisServer } from "./redis-server.ts";
import { type Settings, tollgate } from "./tollgate.ts";

/** What the contenders share. */
export interface Field {
  readonly server: RedisServer;
  readonly limits: readonly Limit[];
  readonly inFlight: number;
}

type About = Pick<Contender, "name" | "kind"> & { readonly rule: Rule };
type IoRedisSettings = Pick<RedisOptions, "enableAutoPipelining" | "enableOfflineQueue">;

/** Tollgate as it comes, and without what it does for the day when Redis is away. */
const OWN: readonly [name: string, settings: Settings][] = [
  ["Tollgate", {}],
  ["Tollgate, failover: false", { failover: false }],
];
export const ALONE = "INCR, each sent by itself";
const CONNECTIONS = 50;

/** By ioredis. `group` is the head of their table. */
export function ioredisContenders(group: string, field: Field): Contender[] {
  const { limits } = field;
  const contender = (
    about: About,
    settings: IoRedisSettings,
    start: (client: Redis, calls: readonly Call[]) => Opened,
  ) =>
    contenderOf(group, about, field, async (calls) => {
      const client = new Redis(field.server.port, { ...settings, lazyConnect: true });
      await client.connect();
      return closedAfter(start(client, calls), () => client.disconnect());
    });
  const peer = (name: string, rule: Rule, settings: IoRedisSettings, blocks = false) => {
    const about = { name: named(PEER, ways(limits, rule), name), kind: "peer", rule } as const;
    return contender(about, { ...settings, enableOfflineQueue: false }, (client, calls) =>
      asked(field, calls, flexible(field, rule, { blocks, useRedisPackage: false }, client)),
    );
  };
  const incr = (name: string, settings: IoRedisSettings) =>
    contender({ name, kind: "floor", rule: "all at once" }, settings, (client, calls) =>
      asked(
        field,
        calls,
        counters(limits, (key) => client.incr(key)),
      ),
    );
  const joined = { enableAutoPipelining: true };
  return [
    ...OWN.map(([name, settings]) =>
      contender({ name, kind: "tollgate", rule: "all or none" }, {}, (client, calls) =>
        tollgate(calls, limits, redisStore(client), field.inFlight, settings),
      ),
    ),
    ...peerRules(limits).flatMap((rule) => [peer("", rule, {}), peer("autopipelining", rule, joined)]),
    // On three limits it was slower than without, and a round is long enough.
    ...(limits.length === 1 ? [peer("autopipelining, blocks in memory", "all at once", joined, true)] : []),
    incr(ALONE, {}),
    incr("INCR, autopipelining", joined),
  ];
}

const connectedNodeRedis = (port: number) => createClient({ url: `redis://127.0.0.1:${port}` }).connect();
type NodeRedis = Awaited<ReturnType<typeof connectedNodeRedis>>;

/** By node-redis, which always sends together what one tick asks. */
export function nodeRedisContenders(group: string, field: Field): Contender[] {
  const { limits, server } = field;
  const contender = (about: About, start: (client: NodeRedis, calls: readonly Call[]) => Opened) =>
    contenderOf(group, about, field, async (calls) => {
      const client = await connectedNodeRedis(server.port);
      return closedAfter(start(client, calls), () => client.destroy());
    });
  const peer = (name: string, rule: Rule, blocks: boolean) =>
    contender({ name: named(PEER, ways(limits, rule), name), kind: "peer", rule }, (client, calls) =>
      asked(field, calls, flexible(field, rule, { blocks, useRedisPackage: true }, client)),
    );
  // On one connection nothing is sent by itself: all waits for the tick's end. On several, calls have no order, which
  // matters where a call is in more than one limit.
  const alone = contenderOf(group, { name: ALONE, kind: "floor", rule: "all at once" }, field, async (calls) => {
    const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connectedNodeRedis(server.port)));
    let turn = 0;
    const decider = counters(limits, (key) => (clients[turn++ % CONNECTIONS] as NodeRedis).incr(key));
    const opened = { run: () => askAll(calls, CONNECTIONS, decider), close: async () => {} };
    return closedAfter(opened, () => {
      for (const client of clients) client.destroy();
    });
  });
  return [
    ...OWN.map(([name, settings]) =>
      contender({ name, kind: "tollgate", rule: "all or none" }, (client, calls) =>
        tollgate(calls, limits, redisStore(client), field.inFlight, settings),
      ),
    ),
    ...peerRules(limits).flatMap((rule) => [peer("", rule, false), peer("blocks in memory", rule, true)]),
    ...(limits.length === 1 ? [alone] : []),
    contender({ name: "INCR, a tick's together", kind: "floor", rule: "all at once" }, (client, calls) =>
      asked(
        field,
        calls,
        counters(limits, (key) => client.incr(key)),
      ),
    ),
  ];
}

function contenderOf(
  group: string,
  { name, kind, rule }: About,
  { server, limits }: Field,
  open: (calls: readonly Call[]) => Promise<Opened>,
): Contender {
  return {
    group,
    name,
    kind,
    mustAdmit: (calls) => mustAdmit(calls, limits, rule),
    async open(calls) {
      await server.control.flushall("SYNC");
      return open(calls);
    },
  };
}

/** Before Redis is emptied for the next one, who would give back what was lost is gone. */
const closedAfter = ({ run, close }: Opened, disconnect: () => void): Opened => ({
  run,
  close: () => close().finally(disconnect),
});

const asked = <Answer>({ inFlight }: Field, calls: readonly Call[], decider: Decider<Answer>): Opened => ({
  run: () => askAll(calls, inFlight, decider),
  close: async () => {},
});

const named = (...parts: readonly string[]) => parts.filter((part) => part !== "").join(", ");

const peerRules = (limits: readonly Limit[]): readonly Rule[] =>
  limits.length === 1 ? ["all at once"] : ["all at once", "one after the other"];

function ways(limits: readonly Limit[], rule: Rule): string {
  if (limits.length === 1) return "";
  return rule === "all at once" ? "Promise.all" : "in turn";
}

interface PeerSettings {
  readonly useRedisPackage: boolean;
  /** Its way to spare Redis the calls of a key that is spent: it then denies them by itself until the window ends. */
  readonly blocks: boolean;
}

export function flexible(
  { limits }: Pick<Field, "limits">,
  rule: Rule,
  { blocks, useRedisPackage }: PeerSettings,
  client: Redis | NodeRedis,
): Decider<unknown> {
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
  return {
    decide: flexibly(parts, rule),
    allows: () => true,
    isDenial: (error) => error instanceof RateLimiterRes,
  };
}

/** The floor: counts alone. No expiry, no answer but the number, and a denied call stays counted. */
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

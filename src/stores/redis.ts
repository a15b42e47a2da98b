// Limits shared by all instances through the Redis that they already run: one script call a batch, Redis' own time.
// redis/script/apply.lua documents KEYS, ARGV and the answer of the script, which mirrors the kernel.

import { type Clock, clockOption } from "../clock.ts";
import { readOptions, type TableOf, whole } from "../kernel/options.ts";
import type { Store } from "../store/store.ts";
import type { RedisClient } from "./redis/client.ts";
import { RedisCluster } from "./redis/cluster.ts";
import { RedisLink } from "./redis/link.ts";
import { RedisShard } from "./redis/shard.ts";

export type {
  GlideClient,
  IoRedisClient,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisSentinel,
  RedisClient,
} from "./redis/client.ts";

/** How a Redis store is made. */
export interface RedisStoreOptions {
  /**
   * With `failover: false`: how long a call may take before it fails with `unavailable`, 1 to 60,000 ms.
   * Default 1,000. It is counted from the call: the time in which it waits to be sent, and all trips to the server, are part of
   * it. Else `failover.deadlineMs` decides that, and this one only bounds how long an answer is waited for: let it be longer. What was sent may have
   * been booked: clients forget, or send again, what was in flight when a connection broke.
   */
  readonly deadlineMs?: number;
  /** For tests: the time to judge by, which must not be behind the server's. Default: the server's own, by `TIME`. */
  readonly clock?: Clock;
}

const OPTIONS = {
  deadlineMs: whole(1, 60_000, 1_000),
  clock: clockOption,
} satisfies TableOf<RedisStoreOptions>;

/**
 * Keeps buckets in a Redis (7.0 or newer) or Valkey, through a client that you have and that stays yours: one server, one
 * that Sentinel names, or a cluster. On a cluster the limits of one partition are one atomic decision; a call whose limits
 * are in several shards of it is charged in all of them, and gets its units back when one denies it.
 *
 * On one server, or one that Sentinel names, it is a `SharedStore`. On a cluster each of its shards is one.
 *
 * When the client gives no answers for 2 s, or its server has become a replica, the store makes a client with the same settings,
 * uses that until yours has connected again, and closes it. Yours is not touched. Close the store before your client.
 *
 * Requests fail with `StoreError` `unavailable` or `loading` (transient), `unauthorized`, `read-only`, `out-of-memory`,
 * `too-old`, `closed`; a request of a damaged bucket, of a key of another type or of a bucket with too many holds fails
 * alone, with `damaged-bucket`, `wrong-type` or `too-many-holds`.
 *
 * @throws MisuseError `unsupported-client`, `invalid-option`
 *
 * @example
 * ```ts
 * import { createClient } from "redis";
 * import { createLimiter } from "tollgate";
 * import { redisStore } from "tollgate/stores/redis";
 *
 * const client = await createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" }).connect();
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 2 }] },
 *   store: redisStore(client),
 * });
 * const decision = await limiter.consume({ tool: "search", session: crypto.randomUUID() });
 * console.log(decision.verdicts[0]?.remaining); // 1
 * await limiter.close();
 * await client.close();
 * ```
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): Store {
  const { deadlineMs, clock } = readOptions(OPTIONS, options);
  const link = new RedisLink(client, deadlineMs, clock);
  return link.isCluster ? new RedisCluster(link) : new RedisShard(link, null);
}

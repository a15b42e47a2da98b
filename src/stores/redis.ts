// Limits shared by all instances through the Redis that they already run: one script call a batch, Redis' own time.
// redis/script/apply.lua documents KEYS, ARGV and the answer of the script, which mirrors the kernel.

import { type Clock, clockOption, monotonicClock } from "../clock.ts";
import { Deadlines, LateError } from "../deadlines.ts";
import { readOptions, type TableOf, whole } from "../kernel/options.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { networkLayers } from "../layers/network.ts";
import { validTime } from "../store/check.ts";
import { closedError, type StoreError } from "../store/error.ts";
import { type SharedStore, type Terms, TermsError } from "../store/shared-store.ts";
import type { Batching, SetupCheck, Store, StoreAnswer } from "../store/store.ts";
import { decideInShards, ShardMemory } from "../store/wide-request.ts";
import { type Part, partsOf, type ScriptCall, ScriptCalls } from "./redis/arguments.ts";
import { beatThrough } from "./redis/beat.ts";
import type { RedisClient, Send } from "./redis/client.ts";
import { eventsOf, type LastFault } from "./redis/client-events.ts";
import { redisError } from "./redis/errors.ts";
import { scriptReplies } from "./redis/replies.ts";
import { Route } from "./redis/route.ts";
import { runScript, type Script, scriptOf } from "./redis/run-script.ts";
import { slotTag } from "./redis/slot-tag.ts";

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
   * With `failover: false` or on a cluster: how long a call may take before it fails with `unavailable`, 1 to 60,000 ms.
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

/** At most 256 requests in a batch, and 4 batches in flight: while Redis decides one, the next ones are prepared. */
const BATCHING: Batching = { size: 256, underWay: 4, spread: true };

/**
 * Keeps buckets in a Redis (7.0 or newer) or Valkey, through a client that you have and that stays yours: one server, one
 * that Sentinel names, or a cluster. On a cluster the limits of one partition are one atomic decision; a call whose limits
 * are in several slots is charged in all of them, and gets its units back when one denies it.
 *
 * On one server, or one that Sentinel names, it is a `SharedStore`; on a cluster it is not.
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
  return new RedisStore(client, deadlineMs, clock);
}

class RedisStore implements Store {
  readonly layers = networkLayers;
  readonly batching = BATCHING;
  /** Absent on a cluster, which has no single server that could keep receipts or lose what it held. */
  readonly book?: SharedStore["book"];
  readonly beat?: SharedStore["beat"];
  readonly #client: RedisClient;
  readonly #route: Route;
  readonly lastFault: LastFault;
  readonly deadlineMs: number;
  readonly clock: Clock | undefined;
  readonly #apply: Script;
  readonly #calls = new ScriptCalls();
  readonly #deadlines = new Deadlines();
  /** Whether the server may not know the script: the next beat loads it. */
  #mustLoadScript = true;
  /** What is known of the slots of a cluster. */
  readonly #shards = new ShardMemory();
  /** Work that goes on after a decision. */
  readonly #unsettled = new Set<Promise<unknown>>();
  #closed = false;

  constructor(client: RedisClient, deadlineMs: number, clock: Clock | undefined) {
    this.#client = client;
    this.#route = new Route(client);
    this.lastFault = eventsOf(client).lastFault;
    this.deadlineMs = deadlineMs;
    this.clock = clock;
    this.#apply = scriptOf("apply", clock);
    if (this.#route.isCluster) return;
    this.book = async (requests, terms) => {
      this.#checkOpen();
      // No deadline of its own, as for a beat.
      return this.#runAll(requests, this.#route.send, terms);
    };
    const script = scriptOf("beat", clock);
    this.beat = async (member) => {
      this.#checkOpen();
      // No deadline: the failover layer decides how long it waits for a beat.
      const { send } = this.#route;
      const answer = await beatThrough(member, (call) => this.#call(script, call, send));
      if (this.#mustLoadScript) {
        // Books nothing, but the server knows the script afterwards.
        await this.#run({ requests: [], terms: undefined, part: 0 }, send);
        this.#mustLoadScript = false;
      }
      return answer;
    };
  }

  async apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    this.#checkOpen();
    const send = this.#sendWithin(leftMs);
    if (!this.#route.isCluster) return this.#runAll(requests, send);
    return decideInShards(requests, {
      of: slotTag,
      decide: (_, each) => this.#runAll(each, send),
      settle: (_, each) => this.#runAll(each, this.#sendWithin(this.deadlineMs)),
      runLater: (settled) => this.#settleLater(settled),
      memory: this.#shards,
    });
  }

  async setup(): Promise<readonly SetupCheck[]> {
    // No call waits for it, so it is loaded when it is needed.
    const { checkSetup } = await import("./redis/setup.ts");
    return checkSetup(this.#client, this.#sendWithin(this.deadlineMs, false)).catch(this.#fail);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#unsettled);
    this.#route.close();
  }

  readonly #fail = (error: unknown): never => {
    throw redisError(error, this.lastFault());
  };

  /**
   * Sends any number of commands until the time is over.
   *
   * @param isAwaited whether a call waits for the answers, so that the process must stay alive until then
   */
  #sendWithin(leftMs: number, isAwaited = true): Send {
    const { deadlineMs } = this;
    const endsAtMs = monotonicClock.nowMs() + leftMs;
    return (...command) => {
      const ms = endsAtMs - monotonicClock.nowMs();
      if (ms <= 0) return Promise.reject(new LateError(deadlineMs));
      return this.#deadlines.within(ms, this.#route.send(...command), { deadlineMs, isAwaited });
    };
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError("Redis");
  }

  #settleLater(settled: Promise<unknown>): void {
    const ended = settled.finally(() => this.#unsettled.delete(ended));
    this.#unsettled.add(ended);
  }

  #runAll(requests: readonly StoreRequest[], send: Send, terms?: Terms): Promise<StoreAnswer[]> {
    const parts = partsOf(requests);
    // A receipt is written for an empty batch too.
    const isOne = parts.length === 1 || (parts.length === 0 && terms !== undefined);
    return isOne ? this.#run({ requests, terms, part: 0 }, send) : this.#runParts(parts, send, terms);
  }

  async #runParts(parts: readonly (readonly StoreRequest[])[], send: Send, terms?: Terms): Promise<StoreAnswer[]> {
    // Each part is a script of its own: when one fails, the others may have been booked.
    const results = await Promise.allSettled(
      parts.map((each, part) => this.#run({ requests: each, terms, part }, send)),
    );
    const [first] = results;
    const haveAllFailed = results.every(({ status }) => status === "rejected");
    // Without any answer the batch fails as one: the sender then asks the receipts what was booked.
    if (terms !== undefined && haveAllFailed && first?.status === "rejected") throw first.reason;
    return results.flatMap((result, i) =>
      result.status === "fulfilled" ? result.value : (parts[i] ?? []).map(() => result.reason as StoreError),
    );
  }

  #run(part: Part, send: Send): Promise<StoreAnswer[]> {
    const call = this.#calls.of(part);
    const onUnknownScript = part.terms?.incarnation === undefined ? "load" : this.#serverHasForgotten;
    const answered = this.#ask(this.#apply, call, send, onUnknownScript);
    return answered.then((answer) => scriptReplies(part, call.keys, answer as unknown[]), this.#fail);
  }

  #call(script: Script, call: ScriptCall, send: Send): Promise<unknown[]> {
    return this.#ask(script, call, send).catch(this.#fail) as Promise<unknown[]>;
  }

  #ask(
    script: Script,
    { keys, args }: ScriptCall,
    send: Send,
    onUnknownScript: "load" | (() => Error) = "load",
  ): Promise<unknown> {
    const all = [keys.length, ...keys, ...args];
    if (this.clock !== undefined) all.push(validTime(this.clock.nowMs()));
    return runScript(script, send, all, onUnknownScript);
  }

  /**
   * A server that does not know the script has been started, or has taken over, since the last beat. So the incarnation that the
   * sender knows may be out of date. The next beat loads the script.
   */
  readonly #serverHasForgotten = (): StoreError => {
    this.#mustLoadScript = true;
    const message =
      "the server has forgotten its scripts since the sender last heard of it, and may have lost what it held";
    return new TermsError("other-incarnation", message);
  };
}

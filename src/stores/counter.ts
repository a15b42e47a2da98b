// A port that programs have already: a counter with a time to live, such as a cache service's. It is asked to add, and to
// take back what was denied; it cannot be asked how it stands.

import { type Clock, systemClock, systemClockOption } from "../clock.ts";
import { algorithmOf } from "../kernel/algorithms/registry.ts";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import type { Limit } from "../kernel/limit.ts";
import { readOptions, type TableOf } from "../kernel/options.ts";
import { allotmentsOf, compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import type { Step, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import type { Store } from "../store/store.ts";
import { isCount, validTime } from "../store/check.ts";

/** A counter with a time to live. */
export interface CounterPort {
  /**
   * Adds to the counter of a key in one atomic step, and returns its new value. A key that is not there counts from 0.
   *
   * @param by may be negative, or 0
   * @param ttlSeconds how long the key lives at least from its first `increment` on; it may start again with each call
   */
  increment(key: string, by: number, ttlSeconds: number): Promise<number>;
}

/** How a counter store is made. */
export interface CounterStoreOptions {
  /** Which windows it is time for: machines whose clocks differ count in different ones. Default: the machine's clock. */
  readonly clock?: Clock;
}

const OPTIONS = {
  clock: systemClockOption,
} satisfies TableOf<CounterStoreOptions>;

/**
 * Counts calls through a port. It knows `budget` and `fixed-window` (not of `first-use`), and only `consume` and `record`:
 * other limits are refused when the limiter is made, other calls when they come. Never more than the quota is admitted;
 * a call that is being taken back may deny another that would have passed.
 *
 * Fails with `StoreError` `unsupported-request` for what it cannot do, `unavailable` when the port throws, and
 * `invalid-reply` when it returns anything but a counter's new value.
 *
 * @throws MisuseError `invalid-option`
 */
export function counterStore(port: CounterPort, options: CounterStoreOptions = {}): Store {
  const { clock } = readOptions(OPTIONS, options);
  if (typeof port?.increment !== "function") throw invalidOption("port", "an object with increment", port);
  return new CounterStore(port, clock);
}

class CounterStore implements Store {
  readonly #port: CounterPort;
  readonly clock?: Clock;
  #closed = false;

  constructor(port: CounterPort, clock: Clock) {
    this.#port = port;
    if (clock !== systemClock) this.clock = clock;
  }

  checkPolicy(policy: Policy): void {
    const faults = compiledPolicy(policy).limits.flatMap((limit) => {
      const got = unsupportedIn(limit);
      const expected = "a budget or a fixed-window of epoch or calendar, without borrow: the store can only add";
      return got === null ? [] : [{ path: `limits.${limit.name}`, expected, got }];
    });
    if (faults.length > 0) throw new MisuseError("unsupported-limit", faults);
  }

  async apply(requests: readonly StoreRequest[]): Promise<(StoreReply | StoreError)[]> {
    if (this.#closed) throw new StoreError("closed", "the counter store was closed", { transient: false });
    const replies: (StoreReply | StoreError)[] = [];
    for (const request of requests) replies.push(await this.#decide(request));
    return replies;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #decide({ mode, steps, once, wait }: StoreRequest): Promise<StoreReply | StoreError> {
    const nowMs = validTime((this.clock ?? systemClock).nowMs());
    const counts = steps.map((step) => countOf(step, nowMs));
    const isPlain = (mode === "judge" || mode === "force") && once === undefined && wait === undefined;
    if (steps.length > 0 && (!isPlain || !counts.every((count) => count !== null))) return unsupported();
    if (counts.some((count) => count?.isStale)) return { allowed: false, stale: true, nowMs, steps: [] };
    const asked = counts.filter((count) => count !== null);
    const added = await Promise.allSettled(asked.map((count) => this.#add(count)));
    const failed = added.find((each) => each.status === "rejected");
    const judged = added.map((each, i) => judge(asked[i] as Count, each.status === "fulfilled" ? each.value : 0));
    const allowed = failed === undefined && judged.every(({ fits, shadow }) => fits || shadow);
    const books = allowed || (failed === undefined && mode === "force");
    if (!books) {
      const taken = asked.filter((_, i) => added[i]?.status === "fulfilled");
      // What cannot be taken back, or may not have been added, stays as it is: never more than the quota is admitted.
      await Promise.allSettled(taken.map((count) => this.#takeBack(count)));
    }
    if (failed !== undefined) return StoreError.isInstance(failed.reason) ? failed.reason : unavailable(failed.reason);
    return { allowed, nowMs, steps: judged.map((each) => replyOf(each, books)) };
  }

  /** @throws StoreError `invalid-reply` when the port returns anything but the counter's new value */
  async #add({ key, cost, ttlSeconds }: Count): Promise<number> {
    const value: unknown = await this.#port.increment(key, cost, ttlSeconds);
    if (isCount(value) && value >= cost) return value;
    const expected = `the counter's value with the ${cost} that was added, a whole number up to 2^53 - 1`;
    const message = `the port's increment: expected ${expected}, got ${formatGot(value)}`;
    throw new StoreError("invalid-reply", message, { transient: false });
  }

  async #takeBack({ key, cost, ttlSeconds }: Count): Promise<void> {
    if (cost === 0) return;
    const left = await this.#port.increment(key, -cost, ttlSeconds);
    // The key had ended by then: a new counter must not start below zero.
    if (left < 0) await this.#port.increment(key, Math.min(cost, -left), ttlSeconds);
  }
}

/** What a step adds to which key. */
interface Count {
  readonly key: string;
  readonly cost: number;
  readonly quota: number;
  readonly ttlSeconds: number;
  /** At most so long until it counts from zero. */
  readonly leftMs: number;
  readonly isStale: boolean;
  readonly shadow: boolean;
}

/** `null` for what cannot be counted so. */
function countOf({ bucket, limit, event, shadow = false }: Step, nowMs: number): Count | null {
  const { asCounter, isStale } = algorithmOf(limit);
  const counter = asCounter(limit, nowMs);
  if (event.type !== "charge" || event.seen !== undefined || counter === null) return null;
  const { quota, windowStartMs, ttlMs, leftMs } = counter;
  return {
    key: windowStartMs === null ? bucket : `${bucket}:${windowStartMs}`,
    cost: event.cost,
    quota,
    ttlSeconds: Math.ceil(ttlMs / 1_000),
    leftMs,
    isStale: isStale?.(limit, nowMs) ?? false,
    shadow,
  };
}

interface Judged extends Count {
  /** The counter with this cost on it. */
  readonly value: number;
  readonly fits: boolean;
}

function judge(count: Count, value: number): Judged {
  // A cost that is not known needs one unit.
  return { ...count, value, fits: value + (count.cost === 0 ? 1 : 0) <= count.quota };
}

function replyOf({ value, cost, quota, fits, leftMs }: Judged, isBooked: boolean): StepReply {
  const used = Math.max(0, isBooked ? value : value - cost);
  const retryAfterMs = fits ? 0 : Math.max(1, cost) > quota ? null : leftMs;
  return { allowed: fits, used, resetAfterMs: used === 0 ? 0 : leftMs, retryAfterMs };
}

function unsupportedIn(limit: Limit): string | null {
  const { distinct, reports, isBorrowing } = limit;
  // Borrowed units could neither be counted apart nor be returned.
  if (isBorrowing) return "borrow: auto";
  if (distinct !== null) return `one that counts distinct values of ${distinct}`;
  if (reports !== null) return `one of ${reports} in a row`;
  const other = allotmentsOf(limit).find(({ spec }) => algorithmOf(spec).asCounter(spec, 0) === null)?.spec;
  if (other === undefined) return null;
  return "align" in other ? `a ${other.algorithm} of ${other.align}` : other.algorithm;
}

function unsupported(): StoreError {
  const message =
    "a counter can only be added to: no peek, usage, reset, grant, reserve, run, idempotencyKey or maxWaitMs";
  return new StoreError("unsupported-request", message, { transient: false });
}

function unavailable(cause: unknown): StoreError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new StoreError("unavailable", `the port failed: ${message}`, { transient: true, cause });
}

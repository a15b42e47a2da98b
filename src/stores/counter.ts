// Limits through what programs have already: counters with a time to live, such as a cache service's. They can be added to,
// and what was denied can be taken off again; they cannot be asked how they stand.

import { type Clock, clockOption, systemClock } from "../clock.ts";
import { algorithmOf } from "../kernel/algorithms/registry.ts";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import type { Limit } from "../kernel/limit.ts";
import { readOptions, type TableOf } from "../kernel/options.ts";
import { allotmentsOf, compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import type { Step, StepReply, StoreRequest } from "../kernel/request.ts";
import { networkLayers } from "../layers/network.ts";
import { isCount, validTime } from "../store/check.ts";
import { asStoreError, closedError, StoreError } from "../store/error.ts";
import type { Store, StoreAnswer } from "../store/store.ts";

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
  /** The time by which windows are chosen. Machines whose clocks differ count in different windows. Default: the machine's clock. */
  readonly clock?: Clock;
}

const OPTIONS = { clock: clockOption } satisfies TableOf<CounterStoreOptions>;

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
  let isClosed = false;
  return {
    layers: networkLayers,
    clock,
    checkPolicy,
    async apply(requests) {
      if (isClosed) throw closedError("counter");
      const answers: StoreAnswer[] = [];
      for (const request of requests) {
        answers.push(await decide(port, request, validTime((clock ?? systemClock).nowMs())));
      }
      return answers;
    },
    async close() {
      isClosed = true;
    },
  };
}

function checkPolicy(policy: Policy): void {
  const faults = compiledPolicy(policy).limits.flatMap((limit) => {
    const got = unsupportedIn(limit);
    const expected = "a budget or a fixed-window of epoch or calendar, without borrow: the store can only add";
    return got === null ? [] : [{ path: `limits.${limit.name}`, expected, got }];
  });
  if (faults.length > 0) throw new MisuseError("unsupported-limit", faults);
}

async function decide(port: CounterPort, request: StoreRequest, nowMs: number): Promise<StoreAnswer> {
  const { mode, steps, once, wait } = request;
  const counts = steps.flatMap((step) => countOf(step, nowMs) ?? []);
  const isPlain = (mode === "judge" || mode === "force") && once === undefined && wait === undefined;
  // A call that no limit matches has no steps, and nothing to count.
  if (steps.length > 0 && !(isPlain && counts.length === steps.length)) {
    const message =
      "a counter can only be added to: no peek, usage, reset, grant, reserve, run, idempotencyKey or maxWaitMs";
    return new StoreError("unsupported-request", message, { transient: false });
  }
  if (counts.some(({ isStale }) => isStale)) return { allowed: false, stale: true, nowMs, steps: [] };
  const answers = await Promise.all(counts.map((count) => add(port, count)));
  const failed = answers.find((answer) => StoreError.isInstance(answer));
  const added = answers.flatMap((answer) => (StoreError.isInstance(answer) ? [] : [answer]));
  const allowed = failed === undefined && added.every(({ fits, shadow }) => fits || shadow);
  const isBooked = allowed || (failed === undefined && mode === "force");
  // What cannot be taken back, or may not have been added, stays as it is: never more than the quota is admitted.
  if (!isBooked) await Promise.allSettled(added.map((each) => takeBack(port, each)));
  return failed ?? { allowed, nowMs, steps: added.map((each) => replyOf(each, isBooked)) };
}

async function add(port: CounterPort, count: Count): Promise<Added | StoreError> {
  const { key, cost, quota, ttlSeconds } = count;
  try {
    const value: unknown = await port.increment(key, cost, ttlSeconds);
    // A cost that is not known needs one unit.
    if (isCount(value) && value >= cost) return { ...count, value, fits: value - cost + Math.max(1, cost) <= quota };
    const expected = `the counter's value with the ${cost} that was added, a whole number up to 2^53 - 1`;
    const message = `the port's increment: expected ${expected}, got ${formatGot(value)}`;
    return new StoreError("invalid-reply", message, { transient: false });
  } catch (error) {
    return asStoreError(error, "the port failed");
  }
}

async function takeBack(port: CounterPort, { key, cost, ttlSeconds }: Count): Promise<void> {
  if (cost === 0) return;
  const left = await port.increment(key, -cost, ttlSeconds);
  // The key had ended by then: a new counter must not start below zero.
  if (left < 0) await port.increment(key, Math.min(cost, -left), ttlSeconds);
}

type Count = NonNullable<ReturnType<typeof countOf>>;

/** What a step adds, and to which key; `null` where a counter cannot do it. */
function countOf({ bucket, limit, event, shadow = false }: Step, nowMs: number) {
  const { asCounter, isStale } = algorithmOf(limit);
  const counter = asCounter(limit, nowMs);
  if (event.type !== "charge" || event.seen !== undefined || counter === null) return null;
  const { quota, windowStartMs, ttlMs, leftMs } = counter;
  return {
    key: windowStartMs === null ? bucket : `${bucket}:${windowStartMs}`,
    cost: event.cost,
    quota,
    ttlSeconds: Math.ceil(ttlMs / 1_000),
    /** Longest time until it counts from zero. */
    leftMs,
    isStale: isStale?.(limit, nowMs) ?? false,
    shadow,
  };
}

interface Added extends Count {
  /** The counter with this cost on it. */
  readonly value: number;
  readonly fits: boolean;
}

function replyOf({ value, cost, quota, fits, leftMs }: Added, isBooked: boolean): StepReply {
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

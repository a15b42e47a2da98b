// A call that waits: in the row of a token bucket, where the store gives it a place; behind other limits until the
// instant that they promise, which others may be waiting for, too.

import { stepOf } from "../kernel/charge.ts";
import { checkWhole } from "../kernel/errors.ts";
import { MAX_PLACES } from "../kernel/holds.ts";
import { type Asked, type Decided, decideCall } from "./decide-call.ts";
import { ask, type CallOptions, checkCallOptions, type Shared, tellEvent } from "./shared.ts";

/** How a call waits. */
export interface WaitOptions extends CallOptions {
  /**
   * How long the call may wait until it is allowed, 0 to 3,600,000 ms. Default 0. Calls of a token bucket (`gcra`) are
   * served in the order in which they came to the store, at the rate of the limit. Others try again at the instant that
   * was promised. At most 256 wait for one bucket; who comes then is denied at once. Aborting the signal ends the wait: a
   * place in a row is free again if it is the last, else it stays empty.
   */
  readonly maxWaitMs?: number | undefined;
}

const LONGEST_WAIT_MS = 3_600_000;
/** Timers go off early by less than this. */
const TIMER_EARLY_MS = 1;

/**
 * Refuses options that are wrong.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkWaitOptions(options: WaitOptions): void {
  checkCallOptions(options, ["signal", "maxWaitMs"]);
  const { maxWaitMs } = options;
  if (maxWaitMs !== undefined) checkWhole("maxWaitMs", maxWaitMs, 0, LONGEST_WAIT_MS);
}

/** Decides a call, now or within its time. */
export async function decideInTime(shared: Shared, asked: Asked, options: WaitOptions): Promise<Decided> {
  const { maxWaitMs = 0, signal } = options;
  if (maxWaitMs === 0) return decideCall(shared, asked, options);
  const endsAtMs = performance.now() + maxWaitMs;
  const place = crypto.randomUUID();
  for (;;) {
    const leftMs = Math.max(0, Math.floor(endsAtMs - performance.now()));
    const wait = leftMs === 0 ? undefined : { id: place, maxMs: leftMs };
    const decided = await decideCall(shared, { ...asked, wait }, { signal });
    if (decided.waitMs > 0) {
      await turn(shared, asked, place, decided.waitMs, signal);
      return decided;
    }
    const { allowed, retryAfterMs } = decided.decision;
    if (allowed || retryAfterMs === null || retryAfterMs + TIMER_EARLY_MS > leftMs) return decided;
    const bucket = deniedBucket(decided);
    const waiting = shared.waiting.get(bucket) ?? 0;
    if (waiting >= MAX_PLACES) return decided;
    shared.waiting.set(bucket, waiting + 1);
    try {
      await sleep(retryAfterMs + TIMER_EARLY_MS, signal);
    } finally {
      leave(shared, bucket);
    }
  }
}

/** Waits for a call's turn. Who does not wait to the end gives the place up. */
async function turn(shared: Shared, asked: Asked, place: string, waitMs: number, signal: AbortSignal | undefined) {
  try {
    await sleep(waitMs + TIMER_EARLY_MS, signal);
  } catch (error) {
    // A call that is sent again has the same place.
    if (asked.call.idempotencyKey === undefined) void giveUp(shared, asked, place);
    throw error;
  }
}

async function giveUp(shared: Shared, { call, parts }: Asked, place: string): Promise<void> {
  const held = parts.filter(({ cost, seen }) => cost > 0 && seen === undefined);
  const steps = () =>
    held.map((part) => stepOf(part, shared.calendar.specOf(part), { type: "settle", id: place, units: 0 }));
  try {
    await ask(shared, () => ({ mode: "force", steps: steps() }));
  } catch (error) {
    tellEvent(shared, { type: "settle-error", call, hold: place, error });
  }
}

function deniedBucket({ decision, parts }: Decided): string {
  const denied = decision.verdicts.findIndex(({ allowed, shadow }) => !allowed && !shadow);
  return parts[denied]?.key ?? "";
}

function leave({ waiting }: Shared, bucket: string): void {
  const others = (waiting.get(bucket) ?? 1) - 1;
  if (others === 0) waiting.delete(bucket);
  else waiting.set(bucket, others);
}

/** @throws the signal's reason */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

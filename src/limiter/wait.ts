// A call that waits: in the row of a token bucket, where the store gives it a place; behind other limits until the
// instant that they promise, which others may be waiting for, too.

import { setTimer } from "../clock.ts";
import { stepOf } from "../kernel/charge.ts";
import { checkWhole } from "../kernel/errors.ts";
import { MAX_PLACES } from "../kernel/holds.ts";
import { type Asked, type Decided, decideCall, undoRequest } from "./decide-call.ts";
import { askStore, type CallOptions, checkCallOptions, checkOpen, type Shared, tellEvent } from "./shared.ts";

/** How a call waits. */
export interface WaitOptions extends CallOptions {
  /**
   * How long the call may wait until it is allowed, 0 to 3,600,000 ms; a call that has to wait exactly as long waits.
   * Default 0. Calls of a token bucket (`gcra`) are served in the order in which they came to the store, at the rate of the
   * limit. Others try again at the instant that was promised. At most 256 wait for one bucket; the next one is denied at
   * once. Aborting the signal ends the wait: a place in a row is free again if it is the last, else it stays empty.
   */
  readonly maxWaitMs?: number | undefined;
}

/** How a call waits, and what says that its caller has gone. */
export interface AbandonableOptions extends WaitOptions {
  /** Ends the wait like `signal`. The call is not sent again, so that also a call with a key gives its place back. */
  readonly abandoned?: AbortSignal | undefined;
}

const LONGEST_WAIT_MS = 3_600_000;

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
export function decideInTime(shared: Shared, asked: Asked, options: AbandonableOptions): Promise<Decided> {
  if ((options.maxWaitMs ?? 0) === 0) return decideCall(shared, asked, options);
  return tracked(shared, wait(shared, asked, options));
}

async function wait(shared: Shared, asked: Asked, options: AbandonableOptions): Promise<Decided> {
  const { maxWaitMs = 0, signal } = options;
  const { clock } = shared;
  const endsAtMs = clock.nowMs() + maxWaitMs;
  const place = crypto.randomUUID();
  for (;;) {
    // Up, so that no fraction of a millisecond is taken off what the caller said.
    const leftMs = Math.max(0, Math.ceil(endsAtMs - clock.nowMs()));
    const wait = leftMs === 0 ? undefined : { id: place, maxMs: leftMs };
    const decided = await decideCall(shared, { ...asked, wait }, { signal });
    if (decided.waitMs > 0) {
      await turn(shared, { ...asked, wait }, decided, options);
      return decided;
    }
    const { allowed, retryAfterMs } = decided.decision;
    if (allowed || retryAfterMs === null || retryAfterMs > leftMs) return decided;
    const bucket = deniedBucket(decided);
    const waiting = shared.waiting.get(bucket) ?? 0;
    if (waiting >= MAX_PLACES) return decided;
    shared.waiting.set(bucket, waiting + 1);
    try {
      await sleepUntil(shared, promisedAtMs(shared, decided, retryAfterMs), options);
    } finally {
      leave(shared, bucket);
    }
  }
}

/** Waits for a call's turn. A call that does not wait to the end gives its place up. */
async function turn(shared: Shared, asked: Asked, decided: Decided, options: AbandonableOptions): Promise<void> {
  try {
    await sleepUntil(shared, promisedAtMs(shared, decided, decided.waitMs), options);
    checkOpen(shared);
  } catch (error) {
    void tracked(shared, giveUp(shared, asked, decided, options));
    throw error;
  }
}

/**
 * Frees what a call holds that does not wait any more. A call with a key that its caller aborted keeps its place, because it
 * may be sent again; otherwise its place and the answer that is kept for it are taken back together.
 */
async function giveUp(shared: Shared, asked: Asked, { decision }: Decided, { abandoned }: AbandonableOptions) {
  const { call, parts, wait } = asked;
  const place = wait?.id ?? "";
  try {
    if (call.idempotencyKey === undefined) {
      const held = parts.filter(({ cost, seen }) => cost > 0 && seen === undefined);
      const steps = () =>
        held.map((part) => stepOf(part, shared.calendar.specOf(part), { type: "settle", id: place, units: 0 }));
      await askStore(shared, () => ({ mode: "force", steps: steps() }));
    } else if (!decision.replayed && (abandoned?.aborted === true || shared.closing !== null)) {
      await shared.undo(undoRequest(shared, asked, decision.decidedAtMs));
    }
  } catch (error) {
    tellEvent(shared, { type: "settle-error", call, hold: place, error });
  }
}

/** When it is what the store promised for `ms` after its decision, by the limiter's clock. */
function promisedAtMs({ clock, isStoreClock }: Shared, { decision }: Decided, ms: number): number {
  return (isStoreClock ? decision.decidedAtMs : clock.nowMs()) + ms;
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

/** Remembers work until it is over: closing the limiter waits for it. */
function tracked<Value>({ waits }: Shared, work: Promise<Value>): Promise<Value> {
  waits.add(work);
  const end = () => void waits.delete(work);
  work.then(end, end);
  return work;
}

/** @throws a signal's reason; MisuseError `limiter-closed` */
function sleepUntil(shared: Shared, atMs: number, { signal, abandoned }: AbandonableOptions): Promise<void> {
  const { clock, sleepers } = shared;
  const ms = atMs - clock.nowMs();
  return new Promise((resolve, reject) => {
    for (const each of [signal, abandoned]) each?.throwIfAborted();
    checkOpen(shared);
    if (ms <= 0) return resolve();
    const end = () => {
      timer.cancel();
      sleepers.delete(fail);
      for (const each of [signal, abandoned]) each?.removeEventListener("abort", stop);
    };
    const fail = (reason: unknown) => {
      end();
      reject(reason);
    };
    const stop = () => fail(signal?.aborted === true ? signal.reason : abandoned?.reason);
    const timer = setTimer(clock, ms, () => {
      end();
      resolve();
    });
    sleepers.add(fail);
    for (const each of [signal, abandoned]) each?.addEventListener("abort", stop, { once: true });
  });
}

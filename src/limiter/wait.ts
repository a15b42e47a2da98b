// A call that waits: in the row of a token bucket, where the store gives it a place; for a slot of a limit of concurrency in
// the row of this process (slots.ts); behind other limits until the instant that they promise, which others may be waiting
// for, too.

import { setTimer } from "../clock.ts";
import { algorithmOf } from "../kernel/algorithms/registry.ts";
import { stepOf } from "../kernel/charge.ts";
import { checkWhole } from "../kernel/errors.ts";
import { MAX_QUEUED } from "../kernel/bucket/queue.ts";
import { checkCallOptions, type QuotaOptions } from "./call-options.ts";
import { type Asked, askedFor, type Decided, decideCall, undoRequest } from "./decide-call.ts";
import { isHeldOnly, type Part } from "./parts.ts";
import { askStore, checkOpen, type Shared, tellEvent } from "./shared.ts";
import { LONGEST_PAUSE_MS, SlotSeat } from "./slots.ts";

/** How a call waits. */
export interface WaitOptions extends QuotaOptions {
  /**
   * How long the call may wait until it is allowed, 0 to 3,600,000 ms; a call that has to wait exactly as long waits.
   * Default 0. Calls of a token bucket (`token-bucket`) are served in the order in which they came to the store, at the rate of the
   * limit. Calls that need a slot of a `concurrency` limit are served in their order in this process. Others try again at the
   * instant that was promised. At most 256 wait for one bucket; the next one is denied at once. Aborting the signal ends the
   * wait: a place in a row is free again if it is the last, else it stays empty.
   */
  readonly maxWaitMs?: number | undefined;
}

/** Options, and what says that the caller has gone. */
export type Abandonable<Options> = Options & {
  /** Ends the wait like `signal`. The call is not sent again, so that also a call with a key gives its place back. */
  readonly abandoned?: AbortSignal | undefined;
};

export type AbandonableOptions = Abandonable<WaitOptions>;

/** The longest `maxWaitMs`. */
const LONGEST_WAIT_MS = 3_600_000;

/**
 * Refuses options that are wrong.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkWaitOptions(options: WaitOptions): void {
  checkCallOptions(options, ["signal", "quotas", "maxWaitMs"]);
  checkMaxWait(options.maxWaitMs);
}

/** Refuses a `maxWaitMs` that is wrong. */
export function checkMaxWait(maxWaitMs: number | undefined, path = "maxWaitMs"): void {
  if (maxWaitMs !== undefined) checkWhole(path, maxWaitMs, 0, LONGEST_WAIT_MS);
}

/** Decides a call, now or within its time; by another policy where that is reloaded while it waits. */
export function decideInTime(shared: Shared, asked: Asked, options: AbandonableOptions): Promise<Decided> {
  if ((options.maxWaitMs ?? 0) === 0) return decideCall(shared, asked, options);
  return tracked(shared, wait(shared, asked, options));
}

async function wait(shared: Shared, first: Asked, options: AbandonableOptions): Promise<Decided> {
  const { maxWaitMs = 0, signal } = options;
  const { clock, slots } = shared;
  let asked = first;
  const endsAtMs = clock.nowMs() + maxWaitMs;
  // Up, so that no fraction of a millisecond is taken off what the caller said.
  const leftMs = () => Math.max(0, Math.ceil(endsAtMs - clock.nowMs()));
  const place = crypto.randomUUID();
  const seat = new SlotSeat(slots);
  try {
    let known = await queueUp(shared, asked, seat, leftMs(), options);
    for (;;) {
      const left = leftMs();
      const wait = left === 0 ? undefined : { id: place, maxMs: left };
      if (known === null && shared.policy !== asked.policy) {
        asked = { ...asked, ...(await askedFor(shared, asked.verb, asked.call, asked.quotas)) };
      }
      const decided: Decided = known ?? (await decideCall(shared, { ...asked, wait }, { signal }));
      known = null;
      if (decided.decision.allowed && options.abandoned?.aborted === true) {
        void tracked(shared, giveUp(shared, { ...asked, wait }, decided, options));
        throw options.abandoned.reason;
      }
      if (decided.waitMs > 0) {
        seat.leave();
        await turn(shared, { ...asked, wait }, decided, options);
        return decided;
      }
      const obstacle = left === 0 ? null : obstacleOf(decided, left);
      if (obstacle === null) return decided;
      const { bucket, retryAfterMs } = obstacle;
      if (obstacle.isSlot) {
        if (!seat.join(bucket)) return decided;
        await sleepUntil(shared, clock.nowMs() + Math.min(seat.pauseMs(retryAfterMs), leftMs()), options, seat);
        await sleepUntil(shared, clock.nowMs() + Math.min(seat.yieldMs(), leftMs()), options);
        continue;
      }
      seat.leave();
      if ((shared.waiting.get(bucket) ?? 0) >= MAX_QUEUED) return decided;
      await counted(shared, [bucket], sleepUntil(shared, promisedAtMs(shared, decided, retryAfterMs), options));
    }
  } finally {
    seat.leave();
  }
}

/**
 * Waits behind calls of this process that came before and wait for the same slots. One that other limits deny for longer than it
 * may wait does not, nor one for which there is no room: it asks now.
 *
 * @returns the first answer to a call that is sent again: it may have the slot that the others wait for
 */
async function queueUp(
  shared: Shared,
  asked: Asked,
  seat: SlotSeat,
  leftMs: number,
  options: AbandonableOptions,
): Promise<Decided | null> {
  const { clock, slots } = shared;
  const endsAtMs = clock.nowMs() + leftMs;
  const buckets = asked.parts
    .filter((part) => isHeldOnly(part) && part.limit.mode === "enforce" && part.allotment.isCounted)
    .map(({ key }) => key);
  const bucket = slots.busyAmong(buckets);
  if (bucket === undefined || !seat.join(bucket)) return null;
  const isOnce = asked.call.idempotencyKey !== undefined;
  for (;;) {
    // Booking here would take a free slot from those that came before.
    const seen = await decideCall(shared, { ...asked, verb: "peek" }, options);
    if (!seen.decision.allowed) {
      if (obstacleOf(seen, leftMs)?.isSlot !== true) return null;
      const first = isOnce ? await decideCall(shared, asked, options) : null;
      if (first?.decision.allowed === true) return first;
      break;
    }
    slots.wakeFirst(bucket);
    if (!isOnce) break;
    // Once the slot is taken, only a call that was allowed before can be allowed.
    await sleepUntil(shared, Math.min(clock.nowMs() + LONGEST_PAUSE_MS, endsAtMs), options, seat);
    if (slots.isFirst(bucket, seat) || clock.nowMs() >= endsAtMs) return null;
  }
  // Until it is the first.
  await sleepUntil(shared, endsAtMs, options, seat);
  return null;
}

/** Why a call was denied that may be allowed in time. */
interface Obstacle {
  readonly bucket: string;
  /** Whether only slots, and perhaps places in a row, were missing: then nobody knows when it may be allowed. */
  readonly isSlot: boolean;
  readonly retryAfterMs: number;
}

/** What keeps a call waiting; `null` for one that is allowed, or that waiting so long does not help. */
function obstacleOf({ decision, parts, steps }: Decided, leftMs: number): Obstacle | null {
  if (decision.allowed) return null;
  // The caller has said how long it waits: that may be for units of a budget, which no decision advises to wait for.
  const denied = decision.verdicts.flatMap((verdict, i) => {
    const part = parts[i];
    if (verdict.allowed || part === undefined) return [];
    return [{ part, retryAfterMs: steps[i]?.retryAfterMs ?? Number.POSITIVE_INFINITY }];
  });
  if (denied.some(({ retryAfterMs }) => retryAfterMs === Number.POSITIVE_INFINITY)) return null;
  const others = denied.filter(({ part }) => !isHeldOnly(part));
  const othersMs = Math.max(0, ...others.map((each) => each.retryAfterMs));
  if (othersMs > leftMs) return null;
  const slot = denied.find(({ part }) => isHeldOnly(part));
  // Once there is a slot, the store gives the call a place in the rows of token buckets.
  if (slot !== undefined && others.every(({ part }) => isRow(part))) {
    return { bucket: slot.part.key, isSlot: true, retryAfterMs: slot.retryAfterMs };
  }
  return { bucket: denied[0]?.part.key ?? "", isSlot: false, retryAfterMs: othersMs };
}

/** Whether the store keeps the queue of calls that wait for a limit. */
function isRow({ allotment }: Part): boolean {
  return algorithmOf(allotment.spec).queues;
}

/** Waits for a call's turn. A call that does not wait to the end gives its place up. */
async function turn(shared: Shared, asked: Asked, decided: Decided, options: AbandonableOptions): Promise<void> {
  const rows = asked.parts
    .filter((part) => isRow(part) && part.limit.mode === "enforce" && part.allotment.isCounted)
    .map(({ key }) => key);
  try {
    const waitedMs = decided.decision.replayed && !shared.isStoreClock ? await sinceMs(shared, asked, decided) : 0;
    const atMs = promisedAtMs(shared, decided, decided.waitMs - waitedMs);
    await counted(shared, rows, sleepUntil(shared, atMs, options));
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
async function giveUp(shared: Shared, asked: Asked, decided: Decided, { abandoned }: AbandonableOptions) {
  const { decision, holdName } = decided;
  const { call, parts, wait } = asked;
  const place = wait?.id ?? "";
  try {
    if (call.idempotencyKey === undefined && decided.waitMs > 0) {
      const held = parts.filter(({ cost, seen }) => cost > 0 && seen === undefined);
      const steps = () =>
        held.map((part) => {
          const id = part.event === "hold" ? (holdName ?? place) : place;
          return stepOf(part, shared.calendar.specOf(part), { type: "settle", id, units: 0 });
        });
      await askStore(shared, () => ({ mode: "force", steps: steps() }));
    } else if (!decision.replayed && (abandoned?.aborted === true || shared.closing !== null)) {
      await shared.undo(undoRequest(shared, asked, decided));
    }
    for (const part of parts) if (isHeldOnly(part)) shared.slots.freed(part.key);
  } catch (error) {
    tellEvent(shared, { type: "hold.unsettled", call, holdId: place, error });
  }
}

/** When it is what the store promised for `ms` after its decision, by the limiter's clock. */
function promisedAtMs({ clock, isStoreClock }: Shared, { decision }: Decided, ms: number): number {
  return (isStoreClock ? decision.decidedAtMs : clock.nowMs()) + ms;
}

/** How long ago a call was decided that is sent again, by the store's time, as far as that is a part of its wait. */
async function sinceMs(shared: Shared, asked: Asked, { decision, waitMs }: Decided): Promise<number> {
  const { decision: now } = await decideCall(shared, { ...asked, verb: "peek", wait: undefined }, undefined);
  return Math.min(waitMs, Math.max(0, now.decidedAtMs - decision.decidedAtMs));
}

/** Counts a call among those that wait for some buckets, for as long as it sleeps. */
async function counted({ waiting }: Shared, buckets: readonly string[], sleep: Promise<void>): Promise<void> {
  for (const bucket of buckets) waiting.set(bucket, (waiting.get(bucket) ?? 0) + 1);
  try {
    await sleep;
  } finally {
    for (const bucket of buckets) {
      const others = (waiting.get(bucket) ?? 1) - 1;
      if (others === 0) waiting.delete(bucket);
      else waiting.set(bucket, others);
    }
  }
}

/** Remembers work until it is over: closing the limiter waits for it. */
function tracked<Value>({ waits }: Shared, work: Promise<Value>): Promise<Value> {
  waits.add(work);
  const end = () => void waits.delete(work);
  work.then(end, end);
  return work;
}

/**
 * @param seat what may be woken before
 * @throws a signal's reason; MisuseError `limiter-closed`
 */
function sleepUntil(
  shared: Shared,
  atMs: number,
  { signal, abandoned }: AbandonableOptions,
  seat?: SlotSeat,
): Promise<void> {
  const { clock, sleepers } = shared;
  const ms = atMs - clock.nowMs();
  return new Promise((resolve, reject) => {
    for (const each of [signal, abandoned]) each?.throwIfAborted();
    checkOpen(shared);
    if (ms <= 0) return resolve();
    const end = () => {
      timer.cancel();
      sleepers.delete(fail);
      seat?.awake();
      for (const each of [signal, abandoned]) each?.removeEventListener("abort", stop);
    };
    const fail = (reason: unknown) => {
      end();
      reject(reason);
    };
    const stop = () => fail(signal?.aborted === true ? signal.reason : abandoned?.reason);
    const wake = () => {
      end();
      resolve();
    };
    const timer = setTimer(clock, ms, wake);
    sleepers.add(fail);
    for (const each of [signal, abandoned]) each?.addEventListener("abort", stop, { once: true });
    seat?.sleep(wake);
  });
}

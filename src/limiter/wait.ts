// A call that waits: in the queue of a token bucket, where the store gives it a place; for a slot of a concurrency limit in the
// queue of this process (slots.ts); behind other limits until the instant of `retryAfterMs`.

import { randomId } from "../ids.ts";
import { algorithmOf } from "../kernel/algorithms/registry.ts";
import { MAX_QUEUED } from "../kernel/bucket/queue.ts";
import { askWhileClosing, checkOpen } from "./ask.ts";
import type { AbandonableOptions } from "./call-options.ts";
import { type CallPlan, planCall } from "./call-plan.ts";
import { isHeldOnly, type PlannedCharge } from "./charge-plan.ts";
import type { LimiterContext } from "./context.ts";
import { type DecidedCall, decideCall, undoRequest } from "./decide-call.ts";
import { emitEvent } from "./listener.ts";
import { sleepUntil } from "./sleep.ts";
import { LONGEST_PAUSE_MS, SlotWaiter } from "./slots.ts";

/** Decides a call, now or within its `maxWaitMs`. */
export function decideInTime(
  context: LimiterContext,
  plan: CallPlan,
  options: AbandonableOptions,
): Promise<DecidedCall> {
  const { maxWaitMs = 0 } = options;
  return maxWaitMs === 0 ? decideCall(context, plan, options) : tracked(context, decideLater(context, plan, options));
}

/** Asks for a call until it is allowed or its time is over; by the new policy when that is reloaded meanwhile. */
async function decideLater(
  context: LimiterContext,
  first: CallPlan,
  options: AbandonableOptions,
): Promise<DecidedCall> {
  const { maxWaitMs = 0, signal, abandoned } = options;
  const { clock, slots } = context;
  const endsAtMs = clock.nowMs() + maxWaitMs;
  // Rounded up, so that the call does not wait a fraction of a millisecond less than the caller said.
  const leftMs = () => Math.max(0, Math.ceil(endsAtMs - clock.nowMs()));
  const id = randomId();
  const waiter = new SlotWaiter(slots);
  let plan = first;
  const decideAgain = async () => {
    const maxMs = leftMs();
    if (context.policy !== plan.policy) {
      plan = { ...plan, ...(await planCall(context, plan.verb, plan.call, plan.quotas)) };
    }
    return decideCall(context, { ...plan, wait: maxMs === 0 ? undefined : { id, maxMs } }, { signal });
  };
  try {
    let decided = (await waitUntilFirst(context, plan, waiter, leftMs, options)) ?? (await decideAgain());
    for (;;) {
      if (decided.decision.allowed && abandoned?.aborted === true) {
        void tracked(context, giveUp(context, decided, options));
        throw abandoned.reason;
      }
      if (decided.waitMs > 0) {
        waiter.leave();
        await waitForTurn(context, decided, options);
        return decided;
      }
      // By the time that was left when the store judged: when that is over by now, the call asks once more.
      const obstacle = obstacleOf(decided, decided.plan.wait?.maxMs ?? 0);
      if (obstacle === null) return decided;
      const { bucket, isSlot, retryAfterMs } = obstacle;
      if (isSlot) {
        if (!waiter.join(bucket)) return decided;
        await sleepUntil(context, clock.nowMs() + Math.min(waiter.pauseMs(retryAfterMs), leftMs()), options, waiter);
        // While it leaves a free slot to other processes, nothing wakes it.
        await sleepUntil(context, clock.nowMs() + Math.min(waiter.yieldMs(), leftMs()), options);
      } else {
        waiter.leave();
        if ((context.sleepCounts.get(bucket) ?? 0) >= MAX_QUEUED) return decided;
        await countedSleep(context, [bucket], sleepUntil(context, instantOf(context, decided, retryAfterMs), options));
      }
      decided = await decideAgain();
    }
  } finally {
    waiter.leave();
  }
}

/**
 * Waits behind earlier calls of this process that wait for the same slots, until the call is the first: then `SlotQueues` wakes
 * it. It does not wait where no calls wait, where the queue is full, or where waiting does not help. It only peeks, because a
 * booking would take a free slot from the earlier calls.
 *
 * @returns `null`: ask now. Else the first answer to a call that is sent again: it may have the slot that the others wait for
 */
async function waitUntilFirst(
  context: LimiterContext,
  plan: CallPlan,
  waiter: SlotWaiter,
  leftMs: () => number,
  options: AbandonableOptions,
): Promise<DecidedCall | null> {
  const { clock, slots } = context;
  const limits = plan.charges.filter((charge) => isHeldOnly(charge) && mayDelay(charge));
  const bucket = slots.busyAmong(limits.map(({ key }) => key));
  if (bucket === undefined || !waiter.join(bucket)) return null;
  // A call with a key may be a retry that has a slot already, and must not wait for it. But while a slot is free it must not ask
  // either, because a new call would take that slot before its turn. So it asks once, after earlier calls have taken the slot.
  const isKeyed = plan.call.idempotencyKey !== undefined;
  for (;;) {
    const seen = await decideCall(context, { ...plan, verb: "peek" }, options);
    if (!seen.decision.allowed) {
      if (obstacleOf(seen, leftMs())?.isSlot !== true) return null;
      const first = isKeyed ? await decideCall(context, plan, options) : null;
      if (first?.decision.allowed === true) return first;
      break;
    }
    slots.wakeFirst(bucket);
    if (!isKeyed) break;
    await sleepUntil(context, clock.nowMs() + Math.min(LONGEST_PAUSE_MS, leftMs()), options, waiter);
    if (slots.isFirst(bucket, waiter) || leftMs() === 0) return null;
  }
  await sleepUntil(context, clock.nowMs() + leftMs(), options, waiter);
  return null;
}

/** Waits for a call's turn in the queues of token buckets. A call that ends its wait early gives up its place. */
async function waitForTurn(context: LimiterContext, decided: DecidedCall, options: AbandonableOptions): Promise<void> {
  const queues = decided.plan.charges.filter((charge) => hasQueue(charge) && mayDelay(charge)).map(({ key }) => key);
  try {
    // `waitMs` counts from `decidedAtMs`. By the store's clock `instantOf` does, too; else the age of a replayed answer is subtracted.
    const waitedMs = decided.decision.replayed && !context.isStoreClock ? await ageOf(context, decided) : 0;
    const atMs = instantOf(context, decided, decided.waitMs - waitedMs);
    await countedSleep(context, queues, sleepUntil(context, atMs, options));
    // It may have been closed since the sleep ended.
    checkOpen(context);
  } catch (error) {
    void tracked(context, giveUp(context, decided, options));
    throw error;
  }
}

/**
 * Frees what a call holds that no longer waits. A call without a key gives up its place in the queues. A call that was allowed at
 * once, or has a key, is taken back with the answer that is kept for it, but only where it will not be sent again: its caller is
 * gone, or the limiter closes. A call with a key that its caller only aborted keeps its place. What was decided without the store
 * stays booked: the store has not got it yet, and would take back the units of other calls.
 */
async function giveUp(context: LimiterContext, decided: DecidedCall, { abandoned }: AbandonableOptions): Promise<void> {
  const { decision, hold, waitMs, plan } = decided;
  const { call, charges } = plan;
  const place = plan.wait?.id ?? "";
  if (decision.degraded !== null) return;
  try {
    if (call.idempotencyKey === undefined && waitMs > 0) {
      // A settle of 0 units frees a hold, and a place in a queue. Seen values were booked at once, and stay.
      const booked = charges.filter(({ cost, seen }) => cost > 0 && seen === undefined);
      const makeSteps = () =>
        booked.map((charge) => {
          const id = charge.kind === "hold" ? (hold?.name ?? place) : place;
          return context.calendar.stepOf(charge, { type: "settle", id, units: 0 });
        });
      await askWhileClosing(context, () => ({ mode: "force", steps: makeSteps() }));
    } else if (!decision.replayed && (abandoned?.aborted === true || context.closing !== null)) {
      await context.undo(undoRequest(context, decided));
    } else return;
    for (const charge of charges) if (isHeldOnly(charge)) context.slots.freed(charge.key);
  } catch (error) {
    emitEvent(context, { type: "hold.unsettled", call, holdId: hold?.id ?? place, error });
  }
}

/** The instant that is `ms` after a decision, by the limiter's clock: `decidedAtMs` is of the store's, epoch ms. */
function instantOf({ clock, isStoreClock }: LimiterContext, { decision }: DecidedCall, ms: number): number {
  return (isStoreClock ? decision.decidedAtMs : clock.nowMs()) + ms;
}

/** How long ago a call was decided that was sent again, by the store's time, at most its whole wait. */
async function ageOf(context: LimiterContext, { plan, decision, waitMs }: DecidedCall): Promise<number> {
  const peeked = await decideCall(context, { ...plan, verb: "peek", wait: undefined });
  return Math.min(waitMs, Math.max(0, peeked.decision.decidedAtMs - decision.decidedAtMs));
}

/** Why a call was denied that may be allowed while it waits. */
interface Obstacle {
  readonly bucket: string;
  /** Whether only slots, and perhaps places in a queue, were missing: then it is unknown when the call may be allowed. */
  readonly isSlot: boolean;
  readonly retryAfterMs: number;
}

/** What keeps a call waiting; `null` for a call that is allowed, or that waiting for `leftMs` does not help. */
function obstacleOf({ decision, charges, steps }: DecidedCall, leftMs: number): Obstacle | null {
  if (decision.allowed || leftMs === 0) return null;
  // The times of the store: a verdict has none for a budget, and the caller has chosen to wait.
  const denied = decision.verdicts.flatMap((verdict, i) => {
    const charge = charges[i];
    if (verdict.allowed || charge === undefined) return [];
    return [{ charge, retryAfterMs: steps[i]?.retryAfterMs ?? Number.POSITIVE_INFINITY }];
  });
  if (denied.some(({ retryAfterMs }) => retryAfterMs === Number.POSITIVE_INFINITY)) return null;
  const others = denied.filter(({ charge }) => !isHeldOnly(charge));
  const othersMs = Math.max(0, ...others.map((each) => each.retryAfterMs));
  if (othersMs > leftMs) return null;
  const slot = denied.find(({ charge }) => isHeldOnly(charge));
  // Once there is a slot, the store gives the call a place in the queues of token buckets.
  if (slot !== undefined && others.every(({ charge }) => hasQueue(charge))) {
    return { bucket: slot.charge.key, isSlot: true, retryAfterMs: slot.retryAfterMs };
  }
  return { bucket: others[0]?.charge.key ?? "", isSlot: false, retryAfterMs: othersMs };
}

/** Whether the store gives waiting calls places in a queue. */
function hasQueue({ allotment }: PlannedCharge): boolean {
  return algorithmOf(allotment.spec).queues;
}

/** Whether a charge can make its call wait. */
function mayDelay({ limit, allotment }: PlannedCharge): boolean {
  return limit.mode === "enforce" && allotment.isCounted;
}

/** Counts a call among those that sleep for some buckets, while it sleeps. */
async function countedSleep(
  { sleepCounts }: LimiterContext,
  buckets: readonly string[],
  sleep: Promise<void>,
): Promise<void> {
  const add = (count: number) => {
    for (const bucket of buckets) {
      const calls = (sleepCounts.get(bucket) ?? 0) + count;
      if (calls === 0) sleepCounts.delete(bucket);
      else sleepCounts.set(bucket, calls);
    }
  };
  add(1);
  return sleep.finally(() => add(-1));
}

/** Remembers work until it has ended: closing the limiter waits for it. */
function tracked<Value>({ unfinishedWaits }: LimiterContext, work: Promise<Value>): Promise<Value> {
  unfinishedWaits.add(work);
  const end = () => void unfinishedWaits.delete(work);
  work.then(end, end);
  return work;
}

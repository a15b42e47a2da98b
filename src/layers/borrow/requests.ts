// What the borrowing layer asks the store, and what it reads off steps and replies. No state.

import { algorithmOf, inUseLimit } from "../../kernel/algorithms/registry.ts";
import { monotonicClock } from "../../clock.ts";
import { isWithin } from "../../deadlines.ts";
import { borrowedKey } from "../../kernel/key.ts";
import type { Step, StepEvent, StepReply, StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { StoreError } from "../../store/error.ts";
import { isPlainCall, unitsNeeded } from "../layer.ts";
import type { Accounts } from "./accounts.ts";

/** How often units are returned that the calls since the last time did not need, ms. */
export const RETURN_EACH_MS = 100;
/** Unused units are back in the store after this, ms: a tick without calls, and the one before it. */
const RETURNED_WITHIN_MS = 2 * RETURN_EACH_MS;

/** How much time there is until an instant of the machine's clock; `undefined` without a deadline. */
export function leftUntil(endsAtMs: number): number | undefined {
  return endsAtMs === Number.POSITIVE_INFINITY ? undefined : Math.max(0, endsAtMs - monotonicClock.nowMs());
}

/** Whether something is done before an instant of the machine's clock. */
export async function isDoneBy(endsAtMs: number, work: Promise<unknown>): Promise<boolean> {
  const leftMs = leftUntil(endsAtMs);
  if (leftMs !== undefined) return isWithin(leftMs, work);
  await work;
  return true;
}

/** A step on the bucket that counts what instances have borrowed of another one, of which at most `quota` may be unused. */
export function borrowedStep(bucket: string, quota: number, event: StepEvent): Step {
  return { bucket: borrowedKey(bucket), limit: inUseLimit(quota), event };
}

export function settledLoans(bucket: string, loans: readonly string[]): StoreRequest[] {
  return loans.map((id) => ({ mode: "force", steps: [borrowedStep(bucket, 0, { type: "settle", id, units: 0 })] }));
}

/** Whether a request only charges units, so that units that are here can answer it. */
export function isLendable(request: StoreRequest): boolean {
  return (
    isPlainCall(request) && request.steps.every(({ event }) => event.type === "charge" && event.seen === undefined)
  );
}

/** Whether units for a step may be borrowed ahead. */
export function isBorrowing({ hints }: Step): boolean {
  return hints?.borrow === true;
}

/** Whether a request has to be asked again later: without an answer, or with a transient error. */
export function isRetryable(found: StoreAnswer | undefined): boolean {
  return found === undefined || (StoreError.isInstance(found) && found.transient);
}

/** Whether the store itself has denied a call now. */
export function isDenied({ allowed, stale, degraded }: StoreReply): boolean {
  return !allowed && stale !== true && degraded === undefined;
}

/** The steps that a borrowing limit denies for longer than unused units are away. */
export function deniedSteps({ steps }: StoreRequest, reply: StoreReply): Step[] {
  return steps.filter((step, i) => {
    const found = reply.steps[i];
    if (!isBorrowing(step) || found === undefined || found.allowed) return false;
    return found.retryAfterMs !== null && found.retryAfterMs > RETURNED_WITHIN_MS;
  });
}

/** The buckets that deny a call which would pass if the store had the units that are here, and those that are on their way back. */
export function passingWithOwn(request: StoreRequest, reply: StoreReply, accounts: Accounts): Set<string> {
  const passing = deniedSteps(request, reply).filter((step) => {
    // What is here does not count as used.
    const { used, granted = 0 } = reply.steps[request.steps.indexOf(step)] as StepReply;
    const free = algorithmOf(step.limit).capacity(step.limit) + granted - used;
    return free + accounts.returning(step.bucket) >= unitsNeeded(step);
  });
  return new Set(passing.map(({ bucket }) => bucket));
}

/** A denial that says to try again when the units of some buckets that are free or borrowed are in the store. */
export function withRetry({ steps }: StoreRequest, reply: StoreReply, passing: ReadonlySet<string>): StoreReply {
  const retried = reply.steps.map((found, i): StepReply => {
    if (found.allowed || !passing.has(steps[i]?.bucket ?? "")) return found;
    return { ...found, retryAfterMs: RETURNED_WITHIN_MS, isBorrowed: true };
  });
  return { ...reply, steps: retried };
}

export function costOf({ event }: Step): number {
  return event.type === "charge" ? event.cost : 0;
}

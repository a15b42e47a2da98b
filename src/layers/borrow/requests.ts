// What the borrowing layer asks the store, and what it reads off steps and replies. No state.

import { inUseLimit } from "../../kernel/algorithms/registry.ts";
import { isWithin, monotonicClock } from "../../clock.ts";
import { borrowedKey } from "../../kernel/key.ts";
import type { Step, StepEvent, StepReply, StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { StoreError } from "../../store/error.ts";
import { isPlainCall } from "../layer.ts";

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

/** The steps that a borrowing limit denies for longer than `ms`. */
export function deniedSteps({ steps }: StoreRequest, reply: StoreReply, ms: number): Step[] {
  return steps.filter((step, i) => {
    const found = reply.steps[i];
    if (!isBorrowing(step) || found === undefined || found.allowed) return false;
    return found.retryAfterMs !== null && found.retryAfterMs > ms;
  });
}

/** A denial that says to retry after `ms` where units of some buckets are free or borrowed. */
export function withRetryAfter(
  ms: number,
  request: StoreRequest,
  reply: StoreReply,
  buckets: ReadonlySet<string>,
): StoreReply {
  const steps = reply.steps.map((step, i): StepReply => {
    if (step.allowed || !buckets.has(request.steps[i]?.bucket ?? "")) return step;
    return { ...step, retryAfterMs: ms, isBorrowed: true };
  });
  return { ...reply, steps };
}

export function costOf({ event }: Step): number {
  return event.type === "charge" ? event.cost : 0;
}

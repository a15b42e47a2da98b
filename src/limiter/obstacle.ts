// Why a call was denied that may be allowed while it waits.

import { isConcurrency, type PlannedCharge } from "./charge-plan.ts";
import type { DecidedCall } from "./decide-call.ts";

export interface Obstacle {
  readonly bucket: string;
  /** Whether only slots, and perhaps places in a queue, were missing: then it is unknown when the call may be allowed. */
  readonly isSlot: boolean;
  readonly retryAfterMs: number;
}

/** What keeps a call waiting; `null` for a call that is allowed, or that waiting for `leftMs` does not help. */
export function obstacleOf({ decision, charges, steps }: DecidedCall, leftMs: number): Obstacle | null {
  if (decision.allowed) return null;
  // The caller has said how long it waits: that may be for units of a budget, which no decision advises to wait for.
  const denied = decision.verdicts.flatMap((verdict, i) => {
    const charge = charges[i];
    if (verdict.allowed || charge === undefined) return [];
    return [{ charge, retryAfterMs: steps[i]?.retryAfterMs ?? Number.POSITIVE_INFINITY }];
  });
  if (denied.some(({ retryAfterMs }) => retryAfterMs === Number.POSITIVE_INFINITY)) return null;
  const others = denied.filter(({ charge }) => !isConcurrency(charge));
  const othersMs = Math.max(0, ...others.map((each) => each.retryAfterMs));
  if (othersMs > leftMs) return null;
  const slot = denied.find(({ charge }) => isConcurrency(charge));
  // Once there is a slot, the store gives the call a place in the queues of token buckets.
  if (slot !== undefined && others.every(({ charge }) => hasQueue(charge))) {
    return { bucket: slot.charge.key, isSlot: true, retryAfterMs: slot.retryAfterMs };
  }
  return { bucket: denied[0]?.charge.key ?? "", isSlot: false, retryAfterMs: othersMs };
}

/** Whether the store gives waiting calls places in a queue. */
export function hasQueue({ allotment }: PlannedCharge): boolean {
  return allotment.spec.algorithm === "token-bucket";
}

/** Whether a charge can make its call wait. */
export function mayDelay({ limit, allotment }: PlannedCharge): boolean {
  return limit.mode === "enforce" && allotment.isCounted;
}

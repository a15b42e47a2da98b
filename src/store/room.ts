// How much a bounded store keeps. It refuses calls where there is no room for their buckets, and never what ends a call.

import { isSettledKey } from "../kernel/key.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";

/** How many buckets are checked for expiry with each new one: more than one, so that expired ones never pile up. */
export const SWEPT_PER_NEW = 2;
/** Answers of ended holds that are kept also where buckets leave no room for them. */
export const KEPT_ENDS = 1_000;

/**
 * How many buckets there may be after a request. The end of a live hold always has room: it adds at most one bucket for
 * each of its limits, and holds are bounded. The end of a hold that is not known, and a report, may use an eighth more than
 * `max`; calls may not.
 */
export function roomFor(request: StoreRequest, reply: StoreReply, max: number): number {
  if (!endsCall(request)) return max;
  const isHeld = reply.steps.some(({ found }) => found === "live" || found === "late");
  return isHeld ? Number.POSITIVE_INFINITY : max + Math.ceil(max / 8);
}

/**
 * Whether a request is about a call that was allowed before: it settles, releases or extends what that holds, or reports
 * what came of it. Where calls are refused for want of room, these are not: refused, they would leave the hold in place.
 */
export function endsCall({ mode, steps, once }: StoreRequest): boolean {
  if (mode !== "force") return false;
  if (once !== undefined && isSettledKey(once.key)) return true;
  return steps.some(({ event: { type } }) => type === "settle" || type === "extend" || type === "report");
}

/**
 * How many new buckets a request needs: those that it writes, and of a call all that it names, because its end may be charged
 * to any of them.
 *
 * @param isWritten whether something is to be kept for the n-th of its keys
 */
export function newIn(
  { mode, steps, once }: StoreRequest,
  isWritten: (i: number) => boolean,
  isThere: (key: string) => boolean,
): number {
  let count = 0;
  for (let i = 0; i < steps.length; i++) {
    const { bucket, event } = steps[i] as Step;
    const isCall = mode === "judge" && (event.type === "charge" || event.type === "hold");
    if ((isCall || isWritten(i)) && !isThere(bucket)) count++;
  }
  const isKept = once !== undefined && isWritten(steps.length) && !isSettledKey(once.key);
  return isKept && !isThere(once.key) ? count + 1 : count;
}

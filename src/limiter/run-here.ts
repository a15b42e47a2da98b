// A call that this limiter started: its holds are in this limiter's store.

import type { Match } from "../kernel/charge.ts";
import type { LimiterContext } from "./context.ts";
import { type HeldCall, pricesOf, withoutHold } from "./held-call.ts";
import { holdOf } from "./hold.ts";
import { emitEvent } from "./listener.ts";
import { reportFor, reportOutcome } from "./report.ts";
import type { RunningCall } from "./running-call.ts";
import { settle } from "./settle.ts";

/** @param leaseMs of the call's options */
export function runningHere(
  context: LimiterContext,
  of: HeldCall,
  matches: readonly Match[],
  { leaseMs, replayed }: { readonly leaseMs: number | undefined; readonly replayed: boolean },
): RunningCall {
  const { call, policy } = of;
  const held = of.buckets.filter((bucket) => bucket.held > 0);
  const leased = held.filter(({ allotment }) => allotment.quota !== null).map(({ limit }) => limit);
  return {
    call,
    hold: holdOf(context, of),
    prices: pricesOf(of),
    heldUnits: [...new Set(held.map(({ limit }) => limit.unit))],
    units: policy.units,
    leaseMs: leased.length === 0 ? null : Math.min(...leased.map((limit) => leaseMs ?? limit.leaseMs)),
    maxHoldMs: policy.maxHoldMs,
    clock: context.clock,
    wantsOutcome: matches.some(({ limit }) => limit.reports !== null),
    replayed,
    settle: (actual, rest) => settle(context, of, actual, rest),
    async settleWith(outcome, actual, rest) {
      const isNothingUsed = held.length === 0 && Object.keys(actual).length === 0;
      if (isNothingUsed) return reportOutcome(context, call, matches, outcome);
      return settle(context, of, actual, rest, {}, reportFor(context, call, matches, outcome));
    },
    book: (excess) => settle(context, withoutHold(of), excess, "nothing"),
    reportOutcome: (outcome) => reportOutcome(context, call, matches, outcome),
    emit: (event) => emitEvent(context, event),
  };
}

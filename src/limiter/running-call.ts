// A call of `run` between its decision and its end, whether a store or a service decided it.

import type { Clock } from "../clock.ts";
import type { Call, Cost } from "../kernel/call.ts";
import type { Match } from "../kernel/charge.ts";
import type { LimiterContext } from "./context.ts";
import type { LimiterEvent } from "./events.ts";
import { type HeldCall, pricesOf, type Unnamed, withoutHold } from "./held-call.ts";
import { type Hold, holdOf } from "./hold.ts";
import { emitEvent } from "./listener.ts";
import { countedOutcomes, type Outcome, reportOutcome } from "./report.ts";
import { type Settlement, settle } from "./settle.ts";

/** An allowed call that has started, and how it ends. */
export interface RunningCall {
  readonly call: Call;
  readonly hold: Hold;
  /** How much of each unit is held, or was charged when it started. */
  readonly prices: Cost;
  /** Units of which some are held, or are booked at the end where a quota is unlimited. */
  readonly heldUnits: readonly string[];
  /** Units that some limit of the policy counts. */
  readonly units: ReadonlySet<string>;
  /** The shortest lease of its holds; `null` when nothing is held. */
  readonly leaseMs: number | null;
  /** The longest time that the hold is kept alive. */
  readonly maxHoldMs: number;
  /** The clock by which the hold is extended. */
  readonly clock: Clock;
  /** Whether some limit counts outcomes. */
  readonly wantsOutcome: boolean;
  /** Whether it started before, under the same idempotency key: its hold may have ended with other numbers. */
  readonly replayed: boolean;
  settle(usage: Cost, unnamed: Unnamed): Promise<Settlement>;
  /** Settles and reports the outcome, both or neither. */
  settleWith(outcome: Outcome, usage: Cost, unnamed: Unnamed): Promise<unknown>;
  /** Books usage beyond an earlier settlement. */
  book(excess: Cost): Promise<unknown>;
  reportOutcome(outcome: Outcome): Promise<void>;
  emit(event: LimiterEvent): void;
}

/** A call that this limiter started: its holds are in the limiter's own store. */
export function runningHere(
  context: LimiterContext,
  held: HeldCall,
  matches: readonly Match[],
  { leaseMs, replayed }: { readonly leaseMs: number | undefined; readonly replayed: boolean },
): RunningCall {
  const { call, policy } = held;
  const buckets = held.buckets.filter((bucket) => bucket.held > 0);
  const leases = buckets
    .filter(({ allotment }) => allotment.quota !== null)
    .map(({ limit }) => leaseMs ?? limit.leaseMs);
  return {
    call,
    hold: holdOf(context, held),
    prices: pricesOf(held),
    heldUnits: [...new Set(buckets.map(({ limit }) => limit.unit))],
    units: policy.units,
    leaseMs: leases.length === 0 ? null : Math.min(...leases),
    maxHoldMs: policy.maxHoldMs,
    clock: context.clock,
    wantsOutcome: matches.some(({ limit }) => limit.reports !== null),
    replayed,
    settle: (usage, unnamed) => settle(context, held, { usage, unnamed }),
    async settleWith(outcome, usage, unnamed) {
      const isNothing = buckets.length === 0 && Object.keys(usage).length === 0;
      if (isNothing) return reportOutcome(context, call, matches, outcome);
      return settle(context, held, { usage, unnamed, outcomes: countedOutcomes(context, call, matches, outcome) });
    },
    book: (usage) => settle(context, withoutHold(held), { usage, unnamed: "nothing" }),
    reportOutcome: (outcome) => reportOutcome(context, call, matches, outcome),
    emit: (event) => emitEvent(context, event),
  };
}

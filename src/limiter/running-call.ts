// A call of `run` between its decision and its end, whether a store or a service decided it.

import type { Clock } from "../clock.ts";
import type { Call, Cost } from "../kernel/call.ts";
import type { Match } from "../kernel/charge.ts";
import type { LimiterContext } from "./context.ts";
import type { LimiterEvent } from "./events.ts";
import { type HeldCall, pricesOf, type Rest, withoutHold } from "./held-call.ts";
import { type Hold, holdOf, type ReserveOptions } from "./hold.ts";
import { emitEvent } from "./listener.ts";
import { type Outcome, reportFor, reportOutcome } from "./report.ts";
import { type Settlement, settle } from "./settle.ts";

/** Options of `run`. */
export interface RunOptions extends ReserveOptions {
  /**
   * Called before each extension of the hold. While it returns `false` the hold is not extended; after a whole lease the
   * estimate is charged, the hold ends, and `onEvent` gets `hold.limit_reached`. Default: always extended.
   */
  readonly isActive?: (() => boolean) | undefined;
}

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
  settle(actual: Cost, rest: Rest): Promise<Settlement>;
  /** Settles and reports the outcome, both or neither. */
  settleWith(outcome: Outcome, actual: Cost, rest: Rest): Promise<unknown>;
  /** Books usage beyond an earlier settlement. */
  book(excess: Cost): Promise<unknown>;
  reportOutcome(outcome: Outcome): Promise<void>;
  emit(event: LimiterEvent): void;
}

/**
 * A call that this limiter started: its holds are in the limiter's own store.
 *
 * @param leaseMs of the call's options
 */
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

// A call of `run` between its decision and its end, whether a store or a service decided it.

import type { Clock } from "../clock.ts";
import type { Call, Cost } from "../kernel/call.ts";
import type { LimiterEvent } from "./events.ts";
import type { Rest } from "./held-call.ts";
import type { Hold, ReserveOptions, Settlement } from "./hold.ts";
import type { Outcome } from "./report.ts";

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

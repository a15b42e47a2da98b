// A call of `run` between its decision and its end.

import type { Clock } from "../clock.ts";
import type { Call, Cost } from "../kernel/call.ts";
import type { LimiterEvent } from "./events.ts";
import type { Hold, ReserveOptions, Rest, Settlement } from "./hold.ts";
import type { Outcome } from "./report.ts";

/** How a call is run. */
export interface RunOptions extends ReserveOptions {
  /**
   * Called before each extension of the hold. While it returns `false` the hold is not extended; once that has lasted for a
   * whole lease, the estimate is charged, the hold ends, and `onEvent` gets `hold.limit_reached`. Default: always extended.
   */
  readonly isActive?: (() => boolean) | undefined;
}

/** An allowed call that has begun, and how it ends. */
export interface Begun {
  readonly call: Call;
  readonly hold: Hold;
  /** How much of each unit is held, or was charged when it began. */
  readonly prices: Cost;
  /** Units of which some are held, or are booked at the end where a quota is unlimited. */
  readonly held: readonly string[];
  /** Units that some limit of the policy counts. */
  readonly units: ReadonlySet<string>;
  /** The shortest lease of what is held; `null` where nothing is. */
  readonly leaseMs: number | null;
  /** How long the hold is kept alive at most. */
  readonly maxHoldMs: number;
  /** By which the hold is extended. */
  readonly clock: Clock;
  /** Whether some limit counts outcomes. */
  readonly reports: boolean;
  /** Whether it began before, under the same idempotency key: its hold may have ended with other numbers. */
  readonly replayed: boolean;
  settle(actual: Cost, rest: Rest): Promise<Settlement>;
  /** Settles, and reports what came of the call, both or neither. */
  settleWith(outcome: Outcome, actual: Cost, rest: Rest): Promise<unknown>;
  /** Books what goes beyond an earlier settlement. */
  book(excess: Cost): Promise<unknown>;
  reportOutcome(outcome: Outcome): Promise<void>;
  tell(event: LimiterEvent): void;
}

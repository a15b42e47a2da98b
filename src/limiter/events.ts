// The events of a limiter and their fields. src/events.ts describes when each is emitted, and where it goes.

import type { Call, Cost } from "../kernel/call.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import type { FailoverEvent } from "../layers/failover/options.ts";
import type { SetupEvent } from "../store/store.ts";
import type { ChangeNote, Grant } from "./grant.ts";
import type { LogEvent } from "./log-event.ts";
import type { QuotaEvent } from "./quotas.ts";
import type { UnusableUsage } from "./usage-sum.ts";

interface OfHold {
  readonly call: Call;
  readonly holdId: string;
}

interface OfChange extends ChangeNote {
  readonly after: BucketUsage;
}

/** An event of a limiter. */
export type LimiterEvent =
  | SetupEvent
  | Exclude<FailoverEvent, { readonly type: "instances" }>
  | QuotaEvent
  | LogEvent
  | { readonly type: "failover.no_share"; readonly instances: number; readonly limits: readonly string[] }
  /** `error` is `null` when the hold had expired. */
  | ({ readonly type: "hold.lost"; readonly error: unknown } & OfHold)
  | ({ readonly type: "hold.unsettled"; readonly error: unknown } & OfHold)
  /** All usage of the call was booked: `booked`, by unit. */
  | ({ readonly type: "hold.unknown"; readonly booked: Cost } & OfHold)
  /** Usage beyond the estimate is booked when the call ends. */
  | ({ readonly type: "hold.limit_reached"; readonly reason: HoldLimit; readonly heldMs: number } & OfHold)
  /** A figure is not a whole number, no limit counts its unit, or a `costOf` threw: the estimate that was held is charged. */
  | ({ readonly type: "usage.unusable" } & UnusableUsage & OfHold)
  | { readonly type: "outcome.unreported"; readonly call: Call; readonly error: unknown }
  /** The result threw when it was read (a getter, a proxy, `toJSON`), so that it cannot be compared with others. */
  | { readonly type: "outcome.unusable"; readonly call: Call; readonly error: unknown }
  | ({
      readonly type: "policy.reloaded";
      readonly version: string;
      /** Limits that may count from zero, because they have another algorithm. */
      readonly restarted: readonly string[];
      readonly added: readonly string[];
      readonly removed: readonly string[];
    } & ChangeNote)
  | { readonly type: "policy.refused"; readonly error: unknown }
  | { readonly type: "policy.differs" }
  | ({ readonly type: "bucket.reset"; readonly before: BucketUsage } & OfChange)
  | ({ readonly type: "bucket.granted"; readonly grant: Grant } & OfChange)
  | ({ readonly type: "bucket.revoked"; readonly id: string } & OfChange);

/** Why a hold is no longer kept alive. */
export type HoldLimit =
  /** The call ran for the policy's `maxHold`. */
  | "max-hold"
  /** The call's stream was not read for a whole lease. */
  | "unread"
  /** The call's stream was garbage collected before it was read to its end. */
  | "reader-gone";

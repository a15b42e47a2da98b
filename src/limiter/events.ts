// The events of a limiter and their fields. src/events.ts describes when each is emitted, and where it goes.

import type { Call, Cost } from "../kernel/call.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import type { FailoverEvent } from "../layers/failover.ts";
import type { Grant } from "./grant.ts";
import type { QuotaEvent } from "./quotas.ts";
import type { SetupEvent } from "./setup.ts";
import type { UnusableUsage } from "./usage-sum.ts";

/** An event of a limiter. */
export type LimiterEvent =
  | SetupEvent
  | Exclude<FailoverEvent, { readonly type: "instances" }>
  | HoldEvent
  | OutcomeEvent
  | QuotaEvent
  | PolicyEvent
  | BucketEvent
  /** More instances share these limits than they have units: while the store is unreachable, some have no share. */
  | { readonly type: "failover.no_share"; readonly instances: number; readonly limits: readonly string[] };

/** Events of holds, and of the usage of a call. */
export type HoldEvent =
  /**
   * A hold of `run` could not be extended (`error` is `null`: it had expired), and other calls may take its units. The
   * function continues.
   */
  | { readonly type: "hold.lost"; readonly call: Call; readonly holdId: string; readonly error: unknown }
  /** A hold of `run` could not be settled: it expires, as its limits say. The result of the function is not lost. */
  | { readonly type: "hold.unsettled"; readonly call: Call; readonly holdId: string; readonly error: unknown }
  /** The settled hold is unknown to the store: all usage of the call was booked, `booked` by unit. */
  | { readonly type: "hold.unknown"; readonly call: Call; readonly holdId: string; readonly booked: Cost }
  /** A hold of `run` is no longer kept alive. Its estimate was charged; usage beyond it is booked when the call ends. */
  | {
      readonly type: "hold.limit_reached";
      readonly call: Call;
      readonly holdId: string;
      readonly reason: HoldLimit;
      readonly heldMs: number;
    }
  /**
   * The reported usage of a call is wrong: a figure that is not a whole number, a unit that no limit counts, or a `costOf` that
   * threw (`unit` is `null` when the usage as a whole is wrong). The estimate that was held is charged.
   */
  | ({ readonly type: "usage.unusable"; readonly call: Call; readonly holdId: string } & UnusableUsage);

/** Events of the outcome of a call. */
export type OutcomeEvent =
  /** The outcome of a call that `run` made could not be reported. */
  | { readonly type: "outcome.unreported"; readonly call: Call; readonly error: unknown }
  /**
   * A result threw when it was read (a getter, a proxy, `toJSON`), so that it cannot be compared with others. Limits that
   * count equal results treat all such results as equal.
   */
  | { readonly type: "outcome.unusable"; readonly call: Call; readonly error: unknown };

/** Events of the policy. */
export type PolicyEvent =
  /**
   * The policy was replaced: with new limits (`added`), without some old ones (`removed`), and with some that may count from
   * zero, because they have another algorithm (`restarted`).
   */
  | {
      readonly type: "policy.reloaded";
      readonly version: string;
      readonly restarted: readonly string[];
      readonly added: readonly string[];
      readonly removed: readonly string[];
    }
  /** A new policy is wrong: the old one stays in force. */
  | { readonly type: "policy.refused"; readonly error: unknown }
  /** Of a remote limiter: the service has another policy than the one for outages of the service. */
  | { readonly type: "policy.differs" };

/** Events of a bucket that was changed by hand. */
export type BucketEvent =
  /** It was emptied. */
  | {
      readonly type: "bucket.reset";
      readonly before: BucketUsage;
      readonly after: BucketUsage;
      readonly reason: string | null;
    }
  /** Units were granted. Emitted also when the same grant is sent again. */
  | {
      readonly type: "bucket.granted";
      readonly grant: Grant;
      readonly after: BucketUsage;
      readonly reason: string | null;
    }
  /** A grant was revoked. */
  | {
      readonly type: "bucket.revoked";
      readonly id: string;
      readonly after: BucketUsage;
      readonly reason: string | null;
    };

/** Why a hold is no longer kept alive. */
export type HoldLimit =
  /** The call ran for the policy's `maxHold`. */
  | "max-hold"
  /** The call's stream was not read for a whole lease. */
  | "unread"
  /** The call's stream was garbage collected before it was read to its end. */
  | "reader-gone";

// What a limiter says beside its decisions: each event and its fields. src/events.ts says in words when each is emitted, and who
// gets it.

import type { Call, Cost } from "../kernel/call.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import type { FailoverEvent } from "../layers/failover.ts";
import type { Grant } from "./grant.ts";
import type { QuotaEvent } from "./quotas.ts";
import type { SetupEvent } from "./setup.ts";
import type { UnusableUsage } from "./usage.ts";

/** What a limiter says beside its decisions. */
export type LimiterEvent =
  | SetupEvent
  | Exclude<FailoverEvent, { readonly type: "instances" }>
  | HoldEvent
  | OutcomeEvent
  | QuotaEvent
  | PolicyEvent
  | BucketEvent
  /** More instances share these limits than they have units: while the store is away, some have no share. */
  | { readonly type: "failover.no_share"; readonly instances: number; readonly limits: readonly string[] };

/** Events of a hold, and of the usage of a call. */
export type HoldEvent =
  /**
   * A hold of `run` could not be extended (`error` is `null`: it had expired), and others may take what it held. The
   * function goes on.
   */
  | { readonly type: "hold.lost"; readonly call: Call; readonly holdId: string; readonly error: unknown }
  /** A hold of `run` could not be settled: it expires, as its limits say. What the function returned is not lost. */
  | { readonly type: "hold.unsettled"; readonly call: Call; readonly holdId: string; readonly error: unknown }
  /** A call was settled whose hold the store does not know: all of its usage was booked, `booked` by unit. */
  | { readonly type: "hold.unknown"; readonly call: Call; readonly holdId: string; readonly booked: Cost }
  /** A hold of `run` is no longer kept alive. Its estimate was charged; what goes beyond it is booked when the call ends. */
  | {
      readonly type: "hold.limit_reached";
      readonly call: Call;
      readonly holdId: string;
      readonly reason: HoldLimit;
      readonly heldMs: number;
    }
  /**
   * The reported usage of a call cannot be used: a figure that is not a whole number, a unit that no limit counts, or a `costOf`
   * that threw (`unit` is `null` when the usage as a whole is wrong). The estimate that was held is charged.
   */
  | ({ readonly type: "usage.unusable"; readonly call: Call; readonly holdId: string } & UnusableUsage);

/** Events of the outcome of a call. */
export type OutcomeEvent =
  /** What came of a call that `run` made could not be reported. */
  | { readonly type: "outcome.unreported"; readonly call: Call; readonly error: unknown }
  /**
   * A result threw when it was read (a getter, a proxy, `toJSON`), so that it cannot be compared with others. Limits that
   * count equal results take all such results for equal.
   */
  | { readonly type: "outcome.unusable"; readonly call: Call; readonly error: unknown };

/** Events of the policy. */
export type PolicyEvent =
  /**
   * The limiter judges by another policy from now on: with limits that were not there (`added`), without some that were
   * (`removed`), and with some that may count from zero, because they have another algorithm (`restarted`).
   */
  | {
      readonly type: "policy.reloaded";
      readonly version: string;
      readonly restarted: readonly string[];
      readonly added: readonly string[];
      readonly removed: readonly string[];
    }
  /** A policy that was to be taken is wrong: nothing has changed. */
  | { readonly type: "policy.refused"; readonly error: unknown }
  /** Of a client: the service judges by another policy than the one that it was given for the time without the service. */
  | { readonly type: "policy.differs" };

/** A bucket was changed by hand. */
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
  | "unreachable";

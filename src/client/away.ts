// What a client asks that decides while its service is unreachable. local-away.ts does it, for a program that imports failover.

import type { Call } from "../kernel/call.ts";
import type { Decision } from "../kernel/decision.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { ChangeNote, HostedLimiter } from "../limiter.ts";
import type { Booking } from "./bookings.ts";
import type { KnownHolds } from "./known-holds.ts";
import type { ServiceViews } from "./service-views.ts";

/** A call that was sent to the service. */
export interface Flight {
  readonly call: Call;
  /** Whether the service charges it in any case. */
  readonly isForced: boolean;
}

export interface Away {
  /** Decides by this process's share alone. */
  readonly limiter: HostedLimiter;
  /** The holds that were made here. */
  readonly holds: KnownHolds;
  /** How the service's buckets stood. */
  readonly seen: Pick<ServiceViews, "touched">;

  /**
   * Whether this process decides a call. While the last bookings are sent, the call waits as long as it has time; after that this
   * process decides it, and an outage begins.
   *
   * @param endsAtMs when the call has to be decided, by the monotonic clock
   */
  decidesHere(endsAtMs: number): Promise<boolean>;

  /** A call is sent to the service, which may charge it: until it is known, calls that are decided here do not get its units. */
  sent(flight: Flight): void;

  /** The service has decided a call that was sent at an instant of the monotonic clock. */
  heard(flight: Flight, decision: Decision, sentMs: number): void;

  /** The service has not decided a call. */
  lost(flight: Flight): void;

  /** The service has answered. */
  reached(): void;

  /** Begins an outage if the error is one: from now on this process decides. Returns whether it does. */
  leave(error: unknown): boolean;

  /** Throws StoreError `overloaded` when too much waits for the service: before a call is decided, so that nothing is kept of it. */
  checkRoom(): void;

  /** Remembers to tell the service something when it is back. `isSent`: the service may know it already. */
  book(booking: Booking, isSent: boolean): void;

  learn(...seen: Parameters<ServiceViews["learn"]>): void;

  /** @throws MisuseError `invalid-policy` */
  reload(policy: Policy | PolicyInput, note: ChangeNote): CompiledPolicy;

  /** Goes on trying to send the bookings that are left, as long as there is time. */
  close(withinMs: number): Promise<void>;
}

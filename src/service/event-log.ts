// The line of the log for each event. Its fields are words of the service's own: nothing of a call is logged, and no dimension's
// value. What changes a bucket is in the audit log.

import { MisuseError } from "../kernel/errors.ts";
import { reasonOf } from "../kernel/reason.ts";
import { EVENTS, type EventKind, type EventOf, type LoggedType } from "../events.ts";
import type { LimiterEvent } from "../limiter.ts";
import { StoreError } from "../store/error.ts";
import type { Logger } from "./logger.ts";

const FIELDS: { readonly [Type in LoggedType]: (event: EventOf<Type>) => object } = {
  "store.unreachable": ({ error }) => failure(error),
  "store.recovered": ({ awayMs, booked, dropped, raised }) => ({ awayMs, booked, dropped, raised }),
  "store.misconfigured": ({ check }) => check,
  "store.check_failed": ({ error }) => failure(error),
  "failover.no_share": ({ instances, limits }) => ({ instances, limits }),
  "failover.lost": ({ bookings }) => ({ bookings }),
  "failover.refused": ({ bookings, refunds, error }) => ({ bookings, refunds, ...failure(error) }),
  "hold.lost": ({ error }) => (error === null ? { problem: "it had expired" } : failure(error)),
  "hold.unsettled": ({ error }) => failure(error),
  "hold.unknown": ({ booked }) => ({ booked }),
  "hold.limit_reached": ({ reason, heldMs }) => ({ reason, heldMs }),
  "usage.unusable": ({ unit, expected, got }) => ({ unit, expected, got }),
  "outcome.unreported": ({ error }) => failure(error),
  // What a result throws is the caller's own.
  "outcome.unusable": () => ({}),
  "quota.unresolved": ({ limit, failures, error }) => ({ limit, failures, problem: reasonOf(error) }),
  "log.unreachable": ({ storage, error }) => ({ storage, problem: reasonOf(error) }),
  "log.recovered": ({ storage, awayMs, dropped }) => ({ storage, awayMs, dropped }),
  "policy.reloaded": ({ type: _, ...change }) => change,
  "policy.refused": ({ error }) => ({ problem: faultsOf(error) }),
};

/** Logs an event under its name, if it has a line. */
export function logEvent(logger: Logger, event: LimiterEvent): void {
  const { log: line }: EventKind = EVENTS[event.type];
  if (line === undefined) return;
  const fieldsOf = FIELDS[event.type as LoggedType] as (event: LimiterEvent) => object;
  logger[line.level]({ event: event.type, ...fieldsOf(event) }, line.message);
}

function failure(error: unknown): object {
  return { code: codeOf(error), problem: reasonOf(error) };
}

const MAX_FAULTS_TEXT = 4_000;

/** Every fault of a policy that is wrong, a line each. */
export function faultsOf(error: unknown): string {
  return (MisuseError.isInstance(error) ? error.message : reasonOf(error)).slice(0, MAX_FAULTS_TEXT);
}

/** The code of an error of Tollgate's; `unavailable` for any other error of a store. */
export function codeOf(error: unknown): string {
  return StoreError.isInstance(error) || MisuseError.isInstance(error) ? error.code : "unavailable";
}

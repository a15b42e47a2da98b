// Five seconds after the last fault every instance asks the store again, and all of them see what it counts.

import type { BucketUsage } from "tollgate";
import { TermsError } from "../../../src/store/api.ts";
import { RENEWED_WITHIN_MS } from "../../../src/stores/redis/renewals.ts";
import type { Oracle } from "../oracle.ts";
import { LAST_LOOK_MS, WELL_AFTER_MS } from "../run.ts";
import type { Fault } from "../schedule.ts";

/** Limits whose units stay used as long as a run lasts. */
const LASTING: ReadonlySet<string> = new Set(["shared", "session", "tokens", "turn"]);

/** A process that starts with a journal books it with its first call, and decides alone meanwhile. */
const BOOKS_WITHIN_MS = 3_000;

export function* recovery(oracle: Oracle): Generator<string> {
  const { run } = oracle;
  // A journal that cannot be written keeps no instance away.
  const outages = run.schedule.faults.filter(({ type }) => type !== "full-disk");
  // A client may wait for a service that starts again after it has taken its time to close.
  const startsMs = run.log.of("started").map(({ atMs }) => atMs);
  // In a cluster no server is given the script before all shards have answered, and the answer of one may have been lost.
  const renewalMs = run.store.isCluster ? RENEWED_WITHIN_MS : 0;
  const wellMs = Math.max(0, ...outages.map(endOf), ...startsMs) + WELL_AFTER_MS + renewalMs;
  for (const { on, fromMs, untilMs, hasEnded } of oracle.away) {
    if ((hasEnded && untilMs === null) || (oracle.hasNoService && oracle.isClient(on))) continue;
    // So has a journal that could not forget them before its process died.
    if (oracle.deaths.timesAgain(on) > 0) continue;
    const dueMs = Math.max(wellMs, fromMs + BOOKS_WITHIN_MS);
    if (untilMs !== null && untilMs <= dueMs) continue;
    yield `${on} decides alone since ${fromMs.toFixed(0)} ms, and ${untilMs === null ? "never" : `at ${untilMs.toFixed(0)} ms`} asks the store again; ${dueMs} ms was the time`;
  }
}

function endOf(fault: Fault): number {
  const forMs = "forMs" in fault ? fault.forMs : 0;
  const lateMs = fault.type === "network" ? fault.rules.slowMs : 0;
  return fault.atMs + forMs + lateMs;
}

export function* agreement({ run }: Oracle): Generator<string> {
  const atMs = run.schedule.calmAtMs + LAST_LOOK_MS;
  const seen = new Map<string, { readonly on: string; readonly used: number }>();
  for (const entry of run.log.of("done")) {
    if (entry.planned.id >= 0 || entry.askedAtMs < atMs) continue;
    for (const { limit, dimensions, used } of entry.result as BucketUsage[]) {
      // What flows back is another number by each policy, and at each instant.
      if (!LASTING.has(limit) || !run.policies.keepsCounts(limit)) continue;
      const bucket = `${limit} ${JSON.stringify(dimensions)}`;
      const other = seen.get(bucket);
      if (other === undefined) seen.set(bucket, { on: entry.on, used });
      else if (other.used !== used) yield `${entry.on} sees ${used} used of ${bucket}, ${other.on} ${other.used}`;
    }
  }
}

/** No receipt is ever damaged here: a batch that the store refuses as settled was booked, and nothing of it is lost. */
export function* settled({ run }: Oracle): Generator<string> {
  for (const { on, event } of run.log.of("event")) {
    if (event.type !== "failover.refused" || TermsError.refusalOf(event.error) !== "settled") continue;
    yield `${on} reports ${event.bookings} bookings as lost that were booked: ${event.error.message}`;
  }
}

/** Closing goes on trying to book what was admitted, for as long as it was told. */
export function* closing({ run }: Oracle): Generator<string> {
  for (const { atMs, on, event } of run.log.of("event")) {
    if (event.type !== "failover.lost") continue;
    const bornMs = run.log.of("started").find((entry) => entry.on === on)?.atMs ?? 0;
    // Closing again changes nothing.
    const began = run.log.of("fault").find(({ fault, atMs: beganMs }) => {
      return fault.type === "close" && on.startsWith(`p${fault.instance}.`) && beganMs > bornMs && beganMs <= atMs;
    });
    // A service has a time of its own.
    if (began?.fault.type !== "close" || run.instances[began.fault.instance]?.plan.role === "service") continue;
    const triedMs = atMs - began.atMs;
    // Clocks may be fast by a thousandth.
    if (triedMs >= began.fault.withinMs * 0.99 - 20) continue;
    yield `${on} gives up ${event.bookings} bookings after ${triedMs.toFixed(0)} ms of ${began.fault.withinMs}`;
  }
}

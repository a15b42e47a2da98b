// Calls over several shards that are denied, or fail: what a shard has booked is given back later. It stays used where that cannot be.

import type { Booking } from "../bookings.ts";
import type { Oracle } from "../oracle.ts";
import { shardsOf } from "../outages.ts";
import type { Fault } from "../schedule.ts";

/** How soon a call's units are given back when nothing is wrong: a batch may wait for the ones before, ms. */
const GIVEN_BACK_WITHIN_MS = 1_500;

/** What may keep units from being given back. */
const DISTURBING: ReadonlySet<Fault["type"]> = new Set([
  "network",
  "restart",
  "refuse",
  "server-clock",
  "server-pause",
  "move",
  "pause",
  "kill",
  "close",
  "damage",
  "full-disk",
]);

/** Whether units of a call may stay used although it did not run. */
export function mayStayTaken(oracle: Oracle, { planned, decided, firstMs }: Booking, key: string): boolean {
  const { store, schedule } = oracle.run;
  if (!store.isCluster || !("call" in planned)) return false;
  // Without an answer, a fault is why.
  if (decided === null) return true;
  const waits = "maxWaitMs" in planned;
  if (decided.decision.allowed && !waits) return false;
  if (!oracle.isClient(decided.on) && shardsOf(oracle, decided).size < 2) return false;
  const untilMs = decided.atMs + GIVEN_BACK_WITHIN_MS;
  const isThen = (fromMs: number, toMs: number) => fromMs <= untilMs && firstMs <= toMs;
  const isAway = oracle.away.some((time) => isThen(time.fromMs, time.untilMs ?? Number.POSITIVE_INFINITY));
  const lateMs = (fault: Fault) => (fault.type === "network" ? fault.rules.slowMs : 0);
  const isDisturbed = schedule.faults.some(
    (fault) =>
      DISTURBING.has(fault.type) &&
      isThen(fault.atMs, fault.atMs + ("forMs" in fault ? fault.forMs : 0) + lateMs(fault)),
  );
  return isAway || isDisturbed || isRestoredLater(oracle, decided, key);
}

/** Whether a shard got another mark later: then another instance may restore units that it saw while the call had them. */
function isRestoredLater({ run: { store } }: Oracle, { atMs }: { readonly atMs: number }, key: string): boolean {
  return store.of(key).markedAtMs > atMs;
}

// What ends a hold is told how that was found, also where the network repeats the request.

import type { Entry } from "../log.ts";
import { isChanged } from "../losses.ts";
import type { Booking } from "../bookings.ts";
import type { Oracle } from "../oracle.ts";

type Ended = Extract<Entry, { type: "ended" }>;

/** What the end of a hold says that lives. */
const LIVE: ReadonlySet<string> = new Set(["settled", "true"]);

/** What may change or lose a hold. */
const DISTURBING: ReadonlySet<string> = new Set(["restart", "server-clock", "damage"]);

/** A hold whose lease is over is not said to live. */
export function* ends(oracle: Oracle): Generator<string> {
  const { log, schedule } = oracle.run;
  if (schedule.faults.some(({ type }) => DISTURBING.has(type))) return;
  for (const { key, bookings } of oracle.accounts.values()) {
    if (isChanged(oracle, key)) continue;
    for (const booking of bookings) {
      const found = log.of("ended").filter(({ planned }) => planned === booking.planned);
      const [end] = found;
      if (end === undefined || found.length > 1 || !LIVE.has(end.status) || !isOver(oracle, booking, end)) continue;
      yield `the call ${end.planned.id} ends its hold in ${key} on ${end.on} (${end.how}: ${end.status}), which is over`;
    }
  }
}

function isOver(oracle: Oracle, { planned, decided, admitted }: Booking, end: Ended): boolean {
  if (planned.verb !== "reserve" || planned.leaseMs === undefined || decided === null || admitted === 0) return false;
  if (decided.decision.degraded !== null || oracle.comesTwice(planned)) return false;
  const isOfPolicies = oracle.policies.every((_, policy) =>
    oracle.matchesOf(planned.call, policy).some(({ price, allotment }) => price !== 0 && allotment.quota !== null),
  );
  return isOfPolicies && planned.lastsMs >= planned.leaseMs && !oracle.isAwayDuring(end);
}

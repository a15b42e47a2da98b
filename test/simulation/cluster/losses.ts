// What may be missing from the count of a cluster, or be counted although no call ran, beside what one server may lose: the last rows
// of the table of docs/failover.md.

import { type Booking, ENDING } from "../bookings.ts";
import type { Loss } from "../losses.ts";
import type { Oracle } from "../oracle.ts";
import type { PlannedCall } from "../schedule.ts";
import { changeOf } from "./lost.ts";
import { mayStayTaken } from "./taken.ts";

export const CLUSTER_LOSSES: readonly Loss[] = [
  {
    when: "a replica takes over a node of a cluster, or a node starts again with less than it held",
    // What a living instance saw is restored. Where the others have not seen it, they may use it before.
    of: (oracle, account) => ({ fewer: changeOf(oracle, account, oracle.isOneAlone).lost, more: 0 }),
  },
  {
    when: "a call over several shards of a cluster is denied or fails, and one of them goes away, the network loses what gives its units back, or its process ends",
    of: (oracle, { bookings, key }) => {
      const taken = bookings.filter((booking) => mayStayTaken(oracle, booking, key));
      // A call that waits asks again and again.
      const times = ({ planned }: Booking) => ("maxWaitMs" in planned ? MOST_LOOKS : 1);
      return { fewer: 0, more: taken.reduce((sum, booking) => sum + booking.mayBe * times(booking), 0) };
    },
  },
  {
    when: "a call over several shards of a cluster is sent again under its key, and the shard that keeps its answer is away",
    of: (oracle, { bookings }) => {
      const again = oracle.run.store.isCluster
        ? bookings.filter((booking) => isAnsweredAlone(oracle, booking.planned) || isSentByClient(oracle, booking))
        : [];
      return { fewer: 0, more: again.reduce((sum, { mayBe }) => sum + mayBe, 0) };
    },
  },
  {
    when: "two processes end a hold over several shards of a cluster at the same time",
    of: (oracle, { bookings }) => {
      const twice = oracle.run.store.isCluster ? bookings.filter((booking) => isEndedTwice(oracle, booking)) : [];
      return { fewer: 0, more: twice.reduce((sum, { mayBe }) => sum + mayBe, 0) };
    },
  },
];

/** Whether a client of the service has decided a call by itself, and so sends it again under its key. */
function isSentByClient(oracle: Oracle, { decided }: Booking): boolean {
  return decided !== null && oracle.isClient(decided.on) && decided.decision.degraded !== null;
}

/** How often a call that waits may ask, at most. */
const MOST_LOOKS = 20;

/** Whether a call came more than once under its key, and was decided without the store, or had no answer. */
function isAnsweredAlone(oracle: Oracle, planned: PlannedCall): boolean {
  if (!oracle.comesTwice(planned)) return false;
  const tries = oracle.triesOf(planned);
  return tries.length < 2 || tries.some(({ decision }) => decision.degraded !== null);
}

/** Whether a call came more than once under its key, and a process that was asked has ended. */
export function hasDied(oracle: Oracle, planned: PlannedCall): boolean {
  if (!oracle.comesTwice(planned)) return false;
  const { idempotencyKey } = (planned as Extract<PlannedCall, { call: unknown }>).call;
  return oracle.run.log
    .of("asked")
    .some(
      ({ planned: other, on }) =>
        "call" in other && other.call.idempotencyKey === idempotencyKey && oracle.deaths.hasEnded(on),
    );
}

/** How far the ends of a hold may be apart that meet at a shard, ms. */
const MEET_WITHIN_MS = 5_000;

/** Whether a call came twice under its key, and both have ended its hold at about the same time. */
function isEndedTwice(oracle: Oracle, { planned }: Booking): boolean {
  if (!("call" in planned) || !ENDING.has(planned.verb) || !oracle.comesTwice(planned)) return false;
  const { idempotencyKey } = planned.call;
  const times = oracle.run.log
    .of("ended")
    .filter(({ planned: other }) => "call" in other && other.call.idempotencyKey === idempotencyKey)
    .map(({ atMs }) => atMs);
  return times.length > 1 && Math.max(...times) - Math.min(...times) < MEET_WITHIN_MS;
}

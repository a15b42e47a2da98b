// No call is denied that fits, when nothing is wrong: a shared limit is used to 95 % at least before it denies.

import { algorithmOf } from "../../../src/kernel/algorithms/registry.ts";
import type { Booking } from "../bookings.ts";
import { expectedLosses } from "../losses.ts";
import type { Account, Decided, Oracle } from "../oracle.ts";
import { isInDoubt } from "../outages.ts";
import type { FaultType, PlannedCall } from "../schedule.ts";
import { isLasting } from "../used.ts";

const USED_BEFORE_DENIAL = 0.95;
/** How soon borrowed units that no call uses are back in the store, ms. */
const RETURNED_WITHIN_MS = 200;
/** How soon a call over several shards that one of them denies has given back what it had of the others, ms. */
const GIVEN_BACK_WITHIN_MS = 200;
/** How late a timer or an event may be, ms. */
const LATE_MS = 20;

/** While these go wrong, one instance that is alone knows everything, and still decides as the store would. */
const KNOWS_ALL: ReadonlySet<FaultType> = new Set(["network", "refuse", "server-pause", "pause", "restart"]);

export function* denials(oracle: Oracle): Generator<string> {
  const { faults, settings } = oracle.run.schedule;
  const deadlineMs = settings.hasFailover ? settings.deadlineMs : Number.POSITIVE_INFINITY;
  const isQuiet = faults.length === 0;
  const knowsAll = oracle.isOneAlone && faults.every(({ type }) => KNOWS_ALL.has(type));
  if (!isQuiet && !knowsAll) return;
  const changes = oracle.run.log
    .of("asked")
    .some(({ planned }) => planned.verb === "reset" || planned.verb === "record");
  if (changes) return;
  for (const account of oracle.accounts.values()) {
    if (!isLasting(account)) continue;
    const first = oracle.run.log.of("decided").find((entry) => denies(oracle, entry, account));
    if (first === undefined) continue;
    const { cost = 1, retryAfterMs = null } =
      first.decision.verdicts.find(({ limit }) => limit === account.limit) ?? {};
    // A call that waits holds its units, also if its caller gives up later.
    const taken = account.bookings
      .filter((booking) => askedAtMs(oracle, booking) <= first.atMs)
      .reduce((sum, { admitted, most }) => sum + Math.max(admitted, most), 0);
    const isAlone = isQuiet && oracle.isOneAlone;
    const tookMs = first.tookMs - (("maxWaitMs" in first.planned ? first.planned.maxWaitMs : undefined) ?? 0);
    // An instance that is alone returns what it has borrowed before it denies a call, if that takes no longer than the first answer.
    const isReturned = isAlone && tookMs < deadlineMs / 2;
    const most = isReturned ? 1 : USED_BEFORE_DENIAL;
    // A client's service may have any of the policies.
    const capacity = Math.min(...account.specs.map((spec) => algorithmOf(spec).capacity(spec)));
    const beside =
      inFlight(oracle, first, account) + countedTwice(oracle, first, account) + countedAgain(oracle, account);
    // A call whose cost is unknown (0) needs one unit.
    const needed = Math.max(1, cost);
    if (taken + beside + needed > capacity) continue;
    // Else it says that they come back soon, if there is time to look.
    const isLooked = isAlone && tookMs < deadlineMs - LATE_MS;
    if (isLooked && (retryAfterMs === null || retryAfterMs > RETURNED_WITHIN_MS))
      yield `${account.key} denies the call ${first.planned.id} for ${retryAfterMs} ms when ${taken} of ${capacity} units are used`;
    // A call of many units is denied while fewer are left, however few of them are lent.
    if (taken + needed - 1 >= most * capacity) continue;
    yield `${account.key} denies the call ${first.planned.id} when ${taken} of ${capacity} units are used`;
  }
}

/** When a call was asked, or the first of those under its key. */
function askedAtMs(oracle: Oracle, { decided, planned }: Booking): number {
  const tries = oracle.comesTwice(planned) ? oracle.triesOf(planned) : [];
  return Math.min(decided?.askedAtMs ?? planned.atMs, ...tries.map((each) => each.askedAtMs));
}

/**
 * Units that the store had booked, as it said with another answer, of calls that the instance then decided alone: those that it
 * admitted it counts once more, and those that it denied it takes back only at the end of its outage. So it counts calls under one key
 * that it admits alone.
 */
function countedTwice(oracle: Oracle, first: Decided, { bookings }: Account): number {
  return bookings.reduce((sum, { decided, planned, admitted, mayBe }) => {
    if (decided === null || decided.askedAtMs > first.atMs) return sum;
    if (oracle.comesTwice(planned)) {
      const isAlone = ({ decision, askedAtMs }: Decided) => decision.degraded !== null && askedAtMs <= first.atMs;
      return sum + mayBe * oracle.triesOf(planned).filter(isAlone).length;
    }
    if (!isInDoubt(oracle, decided)) return sum;
    if (decided.decision.allowed) return sum + admitted;
    const isOver = oracle.away.some(
      ({ fromMs, untilMs }) =>
        decided.askedAtMs <= fromMs && fromMs <= decided.atMs && untilMs !== null && untilMs < first.askedAtMs,
    );
    return isOver ? sum : sum + mayBe;
  }, 0);
}

/** Units that are counted again after the store has started again, such as those that were held. */
function countedAgain(oracle: Oracle, account: Account): number {
  const hasRestarted = oracle.run.schedule.faults.some(({ type }) => type === "restart");
  return hasRestarted ? expectedLosses(oracle, account).more : 0;
}

/** Units that calls in flight had at a denial, and that they gave back because another limit denied them. */
function inFlight(oracle: Oracle, first: Decided, { key, limit }: Account): number {
  const decided = oracle.run.log.of("decided");
  // Shards of a cluster get them back a little later than the call has its answer.
  const isLate = ({ atMs }: Decided) => oracle.run.store.isCluster && atMs > first.askedAtMs - GIVEN_BACK_WITHIN_MS;
  return decided
    .filter((entry, i) => entry !== first && (i > decided.indexOf(first) || isLate(entry)))
    .filter(({ decision, askedAtMs }) => !decision.allowed && askedAtMs <= first.atMs)
    .filter(({ planned, policies }) => isCharged(oracle, planned, policies[1], key))
    .flatMap(({ decision }) => decision.verdicts.filter((verdict) => verdict.limit === limit && verdict.allowed))
    .reduce((sum, { cost }) => sum + cost, 0);
}

function isCharged(oracle: Oracle, planned: PlannedCall, policy: number, key: string): boolean {
  if (!("call" in planned) || planned.verb === "peek") return false;
  return oracle.matchesOf(planned.call, policy).some((match) => match.key === key);
}

function denies(oracle: Oracle, { decision, planned, policies }: Decided, { key, limit }: Account): boolean {
  if (!("call" in planned) || planned.verb === "peek") return false;
  const verdict = decision.verdicts.find((each) => each.limit === limit);
  if (verdict === undefined || verdict.allowed) return false;
  const match = oracle.matchesOf(planned.call, policies[1]).find((each) => each.key === key);
  if (match === undefined || decision.degraded === null) return match !== undefined;
  // An instance that has not reached the store yet does not know how many there are, and admits nothing.
  return match.limit.onStoreError !== "deny" && decision.degraded.maxOvershoot !== null;
}

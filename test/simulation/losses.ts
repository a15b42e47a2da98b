// What may be missing from the store's count, or be counted although no call ran: the table of docs/failover.md
// (a test compares the two). A loss of one call is in oracle.ts.

import { type Entry, numberOf } from "./log.ts";
import type { Booking } from "./bookings.ts";
import { CLUSTER_LOSSES, hasDied } from "./cluster/losses.ts";
import { changeOf } from "./cluster/lost.ts";
import type { Account, Decided, Oracle } from "./oracle.ts";
import { isInDoubt, shardsOf } from "./outages.ts";
import type { Run } from "./run.ts";
import type { Fault, NamedBucket } from "./schedule.ts";
import { isRefusal } from "./node.ts";

export interface Losses {
  /** So many units may be missing. */
  readonly fewer: number;
  /** So many units may be counted that no call used. */
  readonly more: number;
}

/** A row of the table in docs/failover.md: `when` is its first cell. */
export interface Loss {
  readonly when: string;
  of(oracle: Oracle, account: Account): Losses;
}

const NONE: Losses = { fewer: 0, more: 0 };
/** Of one call, which the oracle looks at by itself. */
const OF_ONE_CALL = () => NONE;

/** In spite of these an instance returns what it has borrowed. */
const RETURNS: ReadonlySet<string> = new Set(["close", "reload", "clock"]);
/** How long the store counts units as lent. */
const LENT_MS = 2_000;

const REFUSED: Loss = {
  when: "the server refuses what was admitted for a reason that is not an outage (`failover.refused`; of a client, `dropped`)",
  of: (oracle, { bookings }) => {
    const { run } = oracle;
    const failsForGood = run.schedule.faults.some(isForGood);
    const isReported = ({ on, event }: Told) =>
      event.type === "failover.refused" ||
      (failsForGood && event.type === "store.recovered" && event.dropped > 0 && oracle.isClient(on));
    const refused = run.log.of("event").filter(isReported);
    // A service also refuses what its clients asked, and a later process what its journal has.
    const isOf = ({ decided }: Booking, events: readonly Told[]) =>
      decided !== null && events.some(({ on }) => oracle.isClient(decided.on) || numberOf(on) === numberOf(decided.on));
    // A call that was denied when its answer was lost is not taken back then.
    const unrefunded = refused.filter(({ event }) => event.type === "failover.refused" && event.refunds > 0);
    const isLeft = (booking: Booking) =>
      booking.decided !== null && isInDoubt(oracle, booking.decided) && mayBeTakenBack(oracle, booking);
    const left = bookings.filter((booking) => isLeft(booking) && isOf(booking, unrefunded));
    const more = left.reduce((sum, { mayBe }) => sum + mayBe, 0);
    const isRefused = (booking: Booking) => isOf(booking, refused);
    return { fewer: sumOf(bookings.filter((booking) => isAlone(booking) && isRefused(booking))), more };
  },
};

const DAMAGED: Loss = {
  when: "a bucket of a call is damaged when the call is booked or taken back after an outage",
  of: (oracle, { bookings }) => {
    const isDamaged = oracle.run.schedule.faults.some(({ type }) => type === "damage");
    const alone = bookings.filter((booking) => isAlone(booking) || mayBeTakenBack(oracle, booking));
    return isDamaged ? { fewer: sumOf(alone), more: alone.reduce((sum, { mayBe }) => sum + mayBe, 0) } : NONE;
  },
};

export const LOSSES: readonly Loss[] = [
  {
    when: "the store loses what it held",
    of: (oracle, { bookings, limit }) => {
      const { faults, settings } = oracle.run.schedule;
      const losses = faults.filter((fault) => fault.type === "restart" && fault.agoMs !== 0) as Restart[];
      if (losses.length === 0) return NONE;
      const isTwice = (booking: Booking) => isHeld(booking) || losses.some((loss) => isInFlight(oracle, booking, loss));
      const more = bookings.filter(isTwice).reduce((sum, { most, mayBe }) => sum + Math.max(most, mayBe), 0);
      if (oracle.run.store.isCluster) return { fewer: 0, more };
      // One instance that always lives has seen all of it, and gives it back.
      if (oracle.isOneAlone && !bookings.some(isHeld)) return { fewer: 0, more };
      const lastMs = Math.max(...losses.map(({ atMs, forMs }) => atMs + forMs));
      // Without failover nothing gives back units that were borrowed before, and that calls take afterwards.
      const isLent = !settings.hasFailover && oracle.run.policies.lends(limit);
      const isGone = ({ firstMs }: Booking) => firstMs <= lastMs + (isLent ? LENT_MS : 0);
      return { fewer: sumOf(bookings.filter(isGone)), more };
    },
  },
  {
    when: "the store starts again, and an instance has not seen units that others gave back",
    of: (oracle, { bookings }) => {
      const restarts = oracle.run.schedule.faults.filter(({ type }) => type === "restart");
      if (restarts.length === 0) return NONE;
      const lastMs = Math.max(...restarts.map(({ atMs }) => atMs));
      const back = bookings.map((booking) => (booking.firstMs <= lastMs ? gaveBack(oracle, booking) : 0));
      return { fewer: 0, more: back.reduce((sum, units) => sum + units, 0) };
    },
  },
  {
    when: "the store starts again just after its clock was set back by less than ten seconds",
    of: ({ run }, { capacity }) => {
      const { faults } = run.schedule;
      const restarts = faults.filter(
        ({ type, atMs }) => type === "restart" && faults.some((set) => isSetBack(set, atMs)),
      );
      return { fewer: restarts.length * capacity, more: 0 };
    },
  },
  REFUSED,
  DAMAGED,
  {
    when: "an instance has borrowed units, and dies or cannot return them",
    of: ({ run, policies }, { limit, capacity }) => {
      const lends = policies.some(({ limits }) => limits.some((each) => each.name === limit && each.isBorrowing));
      const { faults, instances } = run.schedule;
      const kept = faults.filter((fault) => !RETURNS.has(fault.type) || ("withinMs" in fault && fault.withinMs === 0));
      // After its lease a loan counts no more, and as much may be lent, and lost, again.
      const times = kept.reduce(
        (sum, fault) => sum + 1 + Math.floor(("forMs" in fault ? fault.forMs : 0) / LENT_MS),
        0,
      );
      return lends ? { fewer: 0, more: times * instances.length * Math.ceil(capacity / 32) } : NONE;
    },
  },
  {
    when: "a process dies while it decides alone, and no journal is read by another process, or its disk is full",
    // In a cluster a shard may keep the answer of a call that the process decided alone for another shard.
    of: (oracle, { bookings }) => {
      const kept = oracle.run.store.isCluster ? bookings.filter(({ planned }) => hasDied(oracle, planned)) : [];
      return { fewer: sumOf(kept), more: 0 };
    },
  },
  {
    when: "a process ends while its disk is full, or its machine loses the last writes, after it has booked what its journal has",
    of: OF_ONE_CALL,
  },
  { when: "a process whose own clock is wrong dies before it ever reached the store", of: OF_ONE_CALL },
  {
    when: "a hold of the store is settled or taken back in an outage that lasts longer than its lease",
    of: OF_ONE_CALL,
  },
  { when: "a call is sent twice under one key, and the answers are lost", of: OF_ONE_CALL },
  {
    when: "a call is sent again under its key, or a client's request arrives once more, after the store has lost the answer",
    of: OF_ONE_CALL,
  },
  {
    when: "a call fails because the server refuses it for good, and a copy of its request arrives when the server accepts it again",
    of: OF_ONE_CALL,
  },
  { when: "a client gets no answer to a call, and the call is then denied or fails", of: OF_ONE_CALL },
  ...CLUSTER_LOSSES,
];

/** What the oracle does not follow: what was admitted before a reset is gone, if it was booked by then. */
const UNJUDGED: Loss = {
  when: "a bucket was reset",
  of: (oracle, { key, bookings }) => {
    const resets = changesOf(oracle, key).filter(({ verb }) => verb === "reset");
    if (resets.length === 0) return NONE;
    const lastMs = Math.max(...resets.map(({ atMs }) => atMs)) + RESETS_WITHIN_MS;
    return { fewer: sumOf(bookings.filter(({ firstMs }) => firstMs <= lastMs)), more: 0 };
  },
};

/** How long a reset may be on its way, ms. */
const RESETS_WITHIN_MS = 5_000;

type Restart = Extract<Fault, { type: "restart" }>;

/** Whether a call may have been booked before the store was lost, and its process did not know of that by then. */
function isInFlight(oracle: Oracle, { firstMs, decided }: Booking, { atMs, forMs }: Restart): boolean {
  if (firstMs > atMs + forMs) return false;
  if (decided === null || decided.atMs >= atMs) return true;
  if (decided.decision.degraded === null) return false;
  // What was in doubt in an outage is settled at its end. A client's service may have an outage of its own.
  const { on, atMs: decidedAtMs } = decided;
  const isSettled = oracle.away.some(
    (time) => time.on === on && time.untilMs !== null && decidedAtMs <= time.untilMs && time.untilMs <= atMs,
  );
  return oracle.isClient(on) || !isSettled;
}

/** Whether a fault sets the server's clock back by less than ten seconds, just before an instant. */
function isSetBack(fault: Fault, untilMs: number): boolean {
  if (fault.type !== "server-clock" || fault.jumpMs >= 0 || fault.jumpMs <= -10_000) return false;
  return fault.atMs <= untilMs && untilMs <= fault.atMs + 10_000;
}

type Told = Extract<Entry, { type: "event" }>;

/** Whether a service's store fails for good in the eyes of its clients. */
function isForGood(fault: Fault): boolean {
  return fault.type === "full-disk" || isRefusal(fault);
}

function isHeld({ planned }: Booking): boolean {
  return planned.verb === "reserve" || planned.verb === "run";
}

/** Units that the store may have had for a while: of a hold, or of a call that was denied when its answer was lost. */
function gaveBack(oracle: Oracle, booking: Booking): number {
  const { admitted, mayBe, decided } = booking;
  const isBack =
    mayBeTakenBack(oracle, booking) || (decided !== null && !decided.decision.allowed && isWide(oracle, decided));
  return Math.max(isHeld(booking) ? admitted : 0, isBack ? mayBe : 0);
}

/** Whether a call is over several shards of a cluster: what one of them has booked is given back where another one denies it. */
function isWide(oracle: Oracle, decided: Decided): boolean {
  return shardsOf(oracle, decided).size > 1;
}

/** Whether the store may have booked a call that failed for its caller, or was denied alone, at first or in the end. */
function mayBeTakenBack(oracle: Oracle, booking: Booking): boolean {
  const { decided } = booking;
  if (decided === null) return !isRefusedByStore(oracle.run, booking);
  const { decision, planned } = decided;
  const isDoubtful = isInDoubt(oracle, decided);
  return decision.allowed ? isDoubtful && "maxWaitMs" in planned : isDoubtful || decision.degraded !== null;
}

/** Whether an instance decided it without the store. */
function isAlone({ decided }: Booking): boolean {
  return decided !== null && decided.decision.degraded !== null;
}

/** Whether the store has refused a call because of a damaged bucket, and so booked nothing of it. */
function isRefusedByStore({ log }: Run, { planned }: Booking): boolean {
  // A call that runs may fail at its end, and one that waits may have been booked before.
  if (planned.verb === "run" || "maxWaitMs" in planned) return false;
  return log.of("failed").some((entry) => entry.planned === planned && entry.error.code === "damaged-bucket");
}

function sumOf(bookings: readonly Booking[]): number {
  return bookings.reduce((sum, { most }) => sum + most, 0);
}

export function expectedLosses(oracle: Oracle, account: Account): Losses {
  let sum = NONE;
  for (const loss of [...LOSSES, UNJUDGED]) {
    const { fewer, more } = loss.of(oracle, account);
    sum = { fewer: sum.fewer + fewer, more: sum.more + more };
  }
  return sum;
}

/** The resets and grants of a bucket that programs asked for. */
function changesOf(oracle: Oracle, key: string) {
  const { log } = oracle.run;
  return [...log.about("reset"), ...log.about("grant")].flatMap(({ type, planned, atMs }) =>
    type === "asked" && "bucket" in planned && keyOf(oracle, planned.bucket) === key ? [{ ...planned, atMs }] : [],
  );
}

/** Whether programs have asked for a reset or a grant of a bucket. */
export function isChanged(oracle: Oracle, key: string): boolean {
  return changesOf(oracle, key).length > 0;
}

function keyOf(oracle: Oracle, { limit: name, ...dimensions }: NamedBucket): string | undefined {
  const call = { tool: "t", session: "s", turn: "t", user: "u", ...dimensions };
  return oracle.matchesOf(call, 0).find(({ limit }) => limit.name === name)?.key;
}

/** How many units may be admitted beyond a quota for reasons that no decision states. */
export function expectedExtra(oracle: Oracle, account: Account): number {
  const { run, isOneAlone } = oracle;
  const { capacity, key } = account;
  // What the store will never book of an outage is free again after it.
  let extra = [REFUSED, DAMAGED].reduce((sum, loss) => sum + loss.of(oracle, account).fewer, 0);
  extra += changeOf(oracle, account, isOneAlone).lost;
  for (const change of changesOf(oracle, key)) extra += change.verb === "grant" ? change.units : capacity;
  for (const fault of run.schedule.faults) {
    const isLoss = fault.type === "restart" && fault.agoMs !== 0 && !isOneAlone && !run.store.isCluster;
    if (isLoss || fault.type === "server-clock") extra += capacity;
  }
  return extra;
}

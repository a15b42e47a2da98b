// What may be missing from the store's count, or be counted although no call ran: the table of docs/failover.md
// (a test compares the two). A loss of one call is in oracle.ts.

import type { Account, Booking, Oracle } from "./oracle.ts";
import type { Run } from "./run.ts";

export interface Losses {
  /** So many units may be missing. */
  readonly fewer: number;
  /** So many units may be counted that no call used. */
  readonly more: number;
}

/** A row of the table in docs/failover.md: `when` is its first cell. */
interface Loss {
  readonly when: string;
  of(oracle: Oracle, account: Account): Losses;
}

const NONE: Losses = { fewer: 0, more: 0 };
const ANY: Losses = { fewer: Number.POSITIVE_INFINITY, more: Number.POSITIVE_INFINITY };
/** Of one call, which the oracle looks at by itself. */
const OF_ONE_CALL = () => NONE;

/** In spite of these an instance returns what it has borrowed. */
const RETURNS: ReadonlySet<string> = new Set(["close", "reload", "clock"]);

export const LOSSES: readonly Loss[] = [
  {
    when: "the store loses what it held",
    // One instance that always lives has seen all of it, and gives it back.
    of: (oracle, { bookings, capacity }) => {
      const { faults, settings } = oracle.run.schedule;
      const times = faults.filter((fault) => fault.type === "restart" && fault.agoMs !== 0).length;
      if (times === 0 || (oracle.isOneAlone && !bookings.some(isHeld))) return NONE;
      const hasEnded = faults.some(({ type }) => type === "kill" || type === "close" || type === "server-clock");
      return hasEnded || !settings.hasFailover || bookings.some(isHeld)
        ? ANY
        : { fewer: times * capacity, more: Number.POSITIVE_INFINITY };
    },
  },
  {
    when: "the store starts again, and an instance has not seen units that others gave back",
    of: ({ run }, { bookings }) => {
      const isRestarted = run.schedule.faults.some(({ type }) => type === "restart");
      const held = bookings.filter(isHeld);
      return isRestarted ? { fewer: 0, more: held.reduce((sum, { admitted }) => sum + admitted, 0) } : NONE;
    },
  },
  {
    when: "the store starts again just after its clock was set back by less than ten seconds",
    of: ({ run }) => {
      const types = new Set(run.schedule.faults.map(({ type }) => type));
      return types.has("restart") && types.has("server-clock") ? ANY : NONE;
    },
  },
  {
    when: "the server refuses what was admitted for a reason that is not an outage (`failover.refused`)",
    of: ({ run }, { bookings }) => {
      const isRefused = run.log.of("event").some(({ event }) => event.type === "failover.refused");
      return isRefused ? { fewer: sumOf(bookings.filter(isAlone)), more: 0 } : NONE;
    },
  },
  {
    when: "a bucket of a call is damaged when the call is booked or taken back after an outage",
    of: ({ run }, { bookings }) => {
      const isDamaged = run.schedule.faults.some(({ type }) => type === "damage");
      return isDamaged && bookings.some(isAlone) ? ANY : NONE;
    },
  },
  {
    when: "an instance has borrowed units, and dies or cannot return them",
    of: ({ run, policies }, { limit, capacity }) => {
      const lends = policies.some(({ limits }) => limits.some((each) => each.name === limit && each.isBorrowing));
      const canReturn = run.schedule.faults.every(
        (fault) => RETURNS.has(fault.type) && !("withinMs" in fault && fault.withinMs === 0),
      );
      return lends && !canReturn ? { fewer: 0, more: capacity } : NONE;
    },
  },
  { when: "a process dies while it decides alone, and no journal is read by another process", of: OF_ONE_CALL },
  {
    when: "a process dies while its disk is full, or its machine loses the last writes, after it has booked what its journal has",
    of: OF_ONE_CALL,
  },
  { when: "a process whose own clock is wrong dies before it ever reached the store", of: OF_ONE_CALL },
  {
    when: "a hold of the store is settled or taken back in an outage that lasts longer than its lease",
    of: OF_ONE_CALL,
  },
  { when: "a call is sent twice under one key, and the answers are lost", of: OF_ONE_CALL },
  { when: "a call is sent again under its key after the store has lost the answer", of: OF_ONE_CALL },
  { when: "a client gets no answer to a call, and the call is then denied or fails", of: OF_ONE_CALL },
  { when: "a client's request arrives after the service has denied its booking", of: OF_ONE_CALL },
];

/** What the oracle does not follow: what a reset leaves depends on when it came. */
const UNJUDGED: Loss = {
  when: "a bucket was reset",
  of: ({ run }, { key }) => {
    return changesOf(run, key).some(({ verb }) => verb === "reset") ? ANY : NONE;
  },
};

function isHeld({ planned }: Booking): boolean {
  return planned.verb === "reserve" || planned.verb === "run";
}

/** Whether an instance decided it without the store. */
function isAlone({ decided }: Booking): boolean {
  return decided !== null && decided.decision.degraded !== null;
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
function changesOf({ log }: Run, key: string) {
  return [...log.about("reset"), ...log.about("grant")].flatMap(({ type, planned }) =>
    type === "asked" && "bucket" in planned && mayBe(planned.bucket, key) ? [planned] : [],
  );
}

/** Whether programs have asked for a reset or a grant of a bucket. */
export function isChanged(run: Run, key: string): boolean {
  return changesOf(run, key).length > 0;
}

/** Whether a bucket of this name may have this key. */
function mayBe({ limit }: { readonly limit: string }, key: string): boolean {
  return key.includes(`:${limit}`);
}

/** How many units may be admitted beyond a quota for reasons that no decision states. */
export function expectedExtra({ run, isOneAlone }: Oracle, { capacity, key }: Account): number {
  let extra = 0;
  for (const change of changesOf(run, key)) extra += change.verb === "grant" ? change.units : capacity;
  for (const fault of run.schedule.faults) {
    const isLoss = fault.type === "restart" && fault.agoMs !== 0 && !isOneAlone;
    if (isLoss || fault.type === "server-clock") extra += capacity;
  }
  return extra;
}

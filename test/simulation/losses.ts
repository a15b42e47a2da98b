// What may be missing from the store's count, or be counted although no call ran: the table of losses that the docs name.

import type { Account, Oracle } from "./oracle.ts";

export interface Losses {
  /** So many units may be missing. */
  readonly fewer: number;
  /** So many units may be counted that no call used. */
  readonly more: number;
}

interface Loss {
  /** What happened. */
  readonly when: string;
  of(oracle: Oracle, account: Account): Losses;
}

const NONE: Losses = { fewer: 0, more: 0 };
const ANY: Losses = { fewer: Number.POSITIVE_INFINITY, more: Number.POSITIVE_INFINITY };

export const LOSSES: readonly Loss[] = [
  {
    when: "a bucket was reset",
    of: ({ run }, { key }) => {
      const resets = run.log.of("asked").some(({ planned }) => planned.verb === "reset" && mayBe(planned.bucket, key));
      return resets ? ANY : NONE;
    },
  },
  {
    when: "the store lost what it held",
    // One instance that always lives has seen all of it, and gives it back.
    of: (oracle, { bookings }) => {
      const isLost = oracle.run.schedule.faults.some((fault) => fault.type === "restart" && fault.agoMs !== 0);
      const hasHolds = bookings.some(({ planned }) => planned.verb === "reserve" || planned.verb === "run");
      // What an instance sees just after the store's clock was set back seems older to it than what it saw before.
      const hasJumped = oracle.run.schedule.faults.some(({ type }) => type === "server-clock");
      return isLost && (hasHolds || hasJumped || !oracle.isOneAlone) ? ANY : NONE;
    },
  },
  {
    when: "the server refused for a reason that is no outage to book what was admitted (failover.refused)",
    of: ({ run }, { bookings }) => {
      const isRefused = run.log.of("event").some(({ event }) => event.type === "failover.refused");
      const alone = bookings.filter(({ decided }) => decided?.decision.degraded != null);
      return isRefused ? { fewer: alone.reduce((sum, { most }) => sum + most, 0), more: 0 } : NONE;
    },
  },
  {
    when: "another bucket of a call was damaged when the call was booked or taken back after an outage",
    of: ({ run }, { bookings }) => {
      const isDamaged = run.schedule.faults.some(({ type }) => type === "damage");
      return isDamaged && bookings.some(({ decided }) => decided?.decision.degraded != null) ? ANY : NONE;
    },
  },
  {
    when: "the store started again, and units had been given back that another instance had seen as used",
    of: ({ run }, { bookings }) => {
      const isRestarted = run.schedule.faults.some(({ type }) => type === "restart");
      const held = bookings.filter(({ planned }) => planned.verb === "reserve" || planned.verb === "run");
      return isRestarted ? { fewer: 0, more: held.reduce((sum, { admitted }) => sum + admitted, 0) } : NONE;
    },
  },
  {
    when: "units were borrowed while something failed",
    of: ({ run, policies }, { limit, capacity }) => {
      const lends = policies.some(({ limits }) => limits.some((each) => each.name === limit && each.isBorrowing));
      return lends && run.schedule.faults.length > 0 ? { fewer: 0, more: capacity } : NONE;
    },
  },
];

export function expectedLosses(oracle: Oracle, account: Account): Losses {
  let sum = NONE;
  for (const loss of LOSSES) {
    const { fewer, more } = loss.of(oracle, account);
    sum = { fewer: sum.fewer + fewer, more: sum.more + more };
  }
  return sum;
}

/** Whether a bucket of this name may have this key. */
function mayBe({ limit }: { readonly limit: string }, key: string): boolean {
  return key.includes(`:${limit}`);
}

/** How many units may be admitted beyond a quota for reasons that no decision states. */
export function expectedExtra({ run, isOneAlone }: Oracle, { capacity, key }: Account): number {
  let extra = 0;
  for (const { planned } of run.log.of("asked")) {
    if (planned.verb === "reset" && mayBe(planned.bucket, key)) extra += capacity;
    if (planned.verb === "grant" && mayBe(planned.bucket, key)) extra += planned.units;
  }
  for (const fault of run.schedule.faults) {
    const isLoss = fault.type === "restart" && fault.agoMs !== 0 && !isOneAlone;
    if (isLoss || fault.type === "server-clock") extra += capacity;
  }
  return extra;
}

// While an instance decides alone, it admits at most its share of what was left when it last saw a bucket.

import { algorithmOf } from "../../../src/kernel/algorithms/registry.ts";
import type { Match } from "../../../src/kernel/charge.ts";
import { isChanged } from "../losses.ts";
import type { FaultType } from "../schedule.ts";
import { isRefusal } from "../node.ts";
import type { Account, Decided, Oracle } from "../oracle.ts";
import { type Away, isInDoubt, outageOf } from "../outages.ts";
import { isLasting } from "../used.ts";

/** What an instance has seen as used, and when. */
interface Seen {
  readonly used: number;
  readonly atMs: number;
}

class History {
  readonly #seen = new Map<string, Seen[]>();

  add(bucket: string, seen: Seen): void {
    const all = this.#seen.get(bucket) ?? [];
    this.#seen.set(bucket, all);
    all.push(seen);
  }

  /** What was seen last by a time. Answers that were under way then come later, and count beside it. */
  by(bucket: string, atMs: number): Seen | undefined {
    return this.#seen.get(bucket)?.findLast((seen) => seen.atMs <= atMs);
  }
}

/** What an instance has admitted of a bucket in one outage. */
interface Alone {
  units: number;
  /** Of these, units of calls that came more than once under one key: the store may have counted them before. */
  again: number;
  /** What it had seen as used. */
  readonly seen: number;
}

const CHANGES_USE: ReadonlySet<FaultType> = new Set(["restart", "damage", "server-clock"]);

export function* shares(oracle: Oracle): Generator<string> {
  const accounts = new Map([...oracle.accounts].filter(([, account]) => isJudged(oracle, account)));
  const seen = new History();
  const alone = new Map<Away, Map<string, Alone>>();
  for (const entry of oracle.run.log.of("decided")) {
    const { planned, decision, on, policies } = entry;
    if (planned.verb !== "consume" || decision.replayed) continue;
    for (const match of oracle.matchesOf(planned.call, policies[1])) {
      const away = outageOf(oracle, entry, match.key);
      if (decision.degraded !== null && (away === undefined || !decision.allowed)) continue;
      const account = accounts.get(match.key);
      if (account === undefined) continue;
      const { atMs } = entry;
      if (away === undefined) seen.add(`${on} ${match.key}`, { used: usedOf(entry, match), atMs });
      else {
        const of = alone.get(away) ?? new Map<string, Alone>();
        alone.set(away, of);
        const known = seen.by(`${on} ${match.key}`, away.fromMs);
        const left = known && isUseKnown(oracle, account) ? known.used - takenBack(oracle, account, known.atMs) : 0;
        const sum = of.get(match.key) ?? { units: 0, again: 0, seen: Math.max(0, left) };
        of.set(match.key, sum);
        sum.units += match.price ?? 0;
        if (oracle.comesTwice(planned)) sum.again += match.price ?? 0;
        // When it is back it has booked them, and knows that they are used.
        seen.add(`${on} ${match.key}`, { used: sum.seen + sum.units - sum.again, atMs });
        const bound = Math.max(...policies.map((policy) => shareOf(oracle, entry, away, match.key, policy, sum.seen)));
        if (sum.units <= bound) continue;
        yield `${on} admits ${sum.units} units of ${match.key} alone, with the call ${planned.id}; its share is ${bound}`;
      }
    }
  }
}

/** Units that are granted, reset or borrowed are in no share. */
function isJudged(oracle: Oracle, account: Account): boolean {
  const isPlain = oracle.policies.every(({ limits }) =>
    limits.every(({ name, mode, isBorrowing }) => name !== account.limit || (mode === "enforce" && !isBorrowing)),
  );
  return isPlain && isLasting(account) && !isChanged(oracle, account.key);
}

/** Whether what an instance has seen as used stays used. */
function isUseKnown({ run: { schedule } }: Oracle, { bookings }: Account): boolean {
  // What the server refuses for good is not booked, and known no more.
  const isLost = schedule.faults.some((fault) => CHANGES_USE.has(fault.type) || isRefusal(fault));
  return !isLost && bookings.every(({ planned }) => planned.verb === "consume" && planned.maxWaitMs === undefined);
}

/**
 * Units of calls that the store may have booked before they were denied alone, or before their process ended, and that it may have taken
 * back since an instant.
 */
function takenBack(oracle: Oracle, { bookings }: Account, sinceMs: number): number {
  const isTaken = ({ on, askedAtMs, atMs, decision }: Decided) =>
    !decision.allowed &&
    oracle.away.some((time) => {
      const isBefore = time.untilMs !== null && time.untilMs < sinceMs;
      return time.on === on && askedAtMs <= time.fromMs && time.fromMs <= atMs && !isBefore;
    });
  return bookings.reduce((sum, { decided, most, mayBe }) => {
    if (decided === null) return sum + most;
    return isInDoubt(oracle, decided) && isTaken(decided) ? sum + mayBe : sum;
  }, 0);
}

function usedOf({ decision }: Decided, { limit }: Match): number {
  const { quota, remaining } = decision.verdicts.find(({ limit: name }) => name === limit.name) ?? {};
  return quota == null || remaining == null ? 0 : Math.max(0, quota - remaining);
}

function shareOf(
  oracle: Oracle,
  { planned, on, atMs }: Decided,
  away: Away,
  key: string,
  policy: number,
  seen: number,
): number {
  if (!("call" in planned)) return 0;
  const match = oracle.matchesOf(planned.call, policy).find((each) => each.key === key);
  if (match === undefined) return 0;
  const { limit, allotment } = match;
  if (limit.onStoreError === "allow" && allotment.quota !== 0) return Number.POSITIVE_INFINITY;
  if (limit.onStoreError === "deny") return 0;
  const left = Math.max(0, algorithmOf(allotment.spec).capacity(allotment.spec) - seen);
  if (limit.onStoreError === "local") return left;
  const instances = instancesKnown(oracle, on, away, atMs);
  return instances === null ? 0 : Math.ceil(left / instances);
}

/** How many instances share a limit, as an instance knew when it decided first. */
export function instancesKnown(oracle: Oracle, on: string, { fromMs }: Away, atMs: number): number | null {
  const { census, schedule } = oracle.run;
  const count = (isOf: boolean) => schedule.instances.filter(({ role }) => (role === "client") === isOf).length;
  if (oracle.isClient(on)) return count(true);
  if (schedule.settings.knowsInstances) return count(false);
  return census.knownBy(on, fromMs) ?? census.firstKnownBy(on, atMs);
}

// No more is admitted than the quota, by the bound of the algorithm, and what the decisions said that it may be exceeded by.

import { algorithmOf, type LimitSpec } from "../../../src/kernel/algorithms/registry.ts";
import { expectedExtra } from "../losses.ts";
import type { Booking } from "../bookings.ts";
import type { Account, Decided, Oracle } from "../oracle.ts";
import { numberOf } from "../log.ts";
import { BEGIN_MS } from "../machine.ts";
import { type Away, hasReachedStore, isInDoubt, type Outage, outageOf, outagesOf, shardsOf } from "../outages.ts";
import { isLasting } from "../used.ts";
import { instancesKnown } from "./shares.ts";
import { overshootOf } from "./stated.ts";
import { sharesOfTooFew } from "./too-few.ts";

interface Admitted {
  readonly atMs: number;
  /** Before `atMs` where the store may have booked it before: its answer was lost, or given once more. */
  readonly earliestMs: number;
  readonly units: number;
}

/** From one call to another, by the store's clock. */
interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

export function* quota(oracle: Oracle): Generator<string> {
  const overshoots = outagesOf(oracle).map((outage) => overshootsIn(oracle, outage));
  for (const account of oracle.accounts.values()) {
    const { specs, capacity, key } = account;
    if (specs.some((spec) => algorithmOf(spec).isHeldOnly) || !isEnforced(oracle, account)) continue;
    if (!oracle.run.policies.keepsCounts(account.limit)) continue;
    const admitted = admissionsOf(oracle, account);
    // What one instance decides alone can exceed nothing, unless it has to admit everything.
    const isOne = oracle.isOneAlone || (oracle.isOneClient && isLasting(account) && account.bookings.every(isSpent));
    const isExact = isOne && isShared(oracle, account);
    const overshoot = isExact ? 0 : overshoots.reduce((sum, of) => sum + of(key), 0);
    const extra = expectedExtra(oracle, account) + overshoot;
    const boundOf = (span: Span) => boundIn(specs, span) + extra * most(specs, (spec) => timesIn(spec, span));
    // No bound is smaller for a longer time.
    if (sumOf(admitted) <= boundOf({ fromMs: BEGIN_MS, untilMs: BEGIN_MS })) continue;
    const worst = worstSpan(admitted, boundOf);
    if (worst === null) continue;
    const { units, ms, bound } = worst;
    yield `${units} units of ${key} were admitted within ${ms} ms, at most ${bound} may be (capacity ${capacity}, ${extra} extra)`;
  }
}

/** Whether every policy of the run has this limit deny calls. */
function isEnforced({ policies }: Oracle, { limit }: Account): boolean {
  return policies.every(({ limits }) => limits.every(({ name, mode }) => name !== limit || mode === "enforce"));
}

/** Whether the limit is shared out in an outage, by every policy of the run. */
function isShared({ policies }: Oracle, { limit }: Account): boolean {
  return policies.every(({ limits }) =>
    limits.every(({ name, onStoreError }) => name !== limit || onStoreError !== "allow"),
  );
}

/** Whether a call takes its units at once. */
function isSpent({ planned }: Booking): boolean {
  return planned.verb === "consume" && planned.maxWaitMs === undefined;
}

function admissionsOf(oracle: Oracle, account: Account): Admitted[] {
  const admitted = account.bookings.flatMap(({ decided, admitted: units, least, planned }: Booking): Admitted[] => {
    if (decided === null || planned.verb === "record") return [];
    // A call that waits is spent at its turn, and the log does not say exactly when that was.
    if (!isLasting(account) && "maxWaitMs" in planned) return [];
    // What was given back, or lost with its process, may be admitted again.
    const atMs = decidedAtMs(oracle, decided);
    // A call over several units of a cluster is decided at the last of their instants.
    const isEarlier = isInDoubt(oracle, decided) || shardsOf(oracle, decided).size > 1;
    const mayBeBefore = mayAnswerAgain(oracle, decided) || (!isLasting(account) && isEarlier);
    const earliestMs = mayBeBefore ? atMs - (decided.atMs - decided.askedAtMs) : atMs;
    // What decides counts whole milliseconds.
    return [{ atMs: Math.ceil(atMs), earliestMs: Math.floor(earliestMs), units: Math.min(units, least) }];
  });
  return admitted.filter(({ units }) => units > 0).sort((one, other) => one.atMs - other.atMs);
}

/**
 * When a call was decided, by the store's clock. What decides alone before it has reached the store has only its own clock, which may be
 * wrong: the simulated store's clock is that of the world.
 */
function decidedAtMs(oracle: Oracle, { decision, on, atMs }: Decided): number {
  if (decision.degraded === null || decision.replayed) return decision.decidedAtMs;
  // The clock may also be that of a client's service.
  const isAsked = (name: string) => name === on || (oracle.isClient(on) && !oracle.isClient(name));
  const starts = oracle.run.log.of("started").filter((start) => start.atMs <= atMs && isAsked(start.on));
  const sinceMs = Math.max(...starts.map((start) => start.atMs));
  return hasReachedStore(oracle, on, atMs, sinceMs) ? decision.decidedAtMs : BEGIN_MS + atMs;
}

/** Whether the answer may be to a copy of the call's batch. */
function mayAnswerAgain({ run }: Oracle, { askedAtMs, atMs }: Decided): boolean {
  return run.schedule.faults.some(
    (fault) =>
      fault.type === "network" &&
      fault.rules.repeats > 0 &&
      fault.atMs <= atMs &&
      askedAtMs <= fault.atMs + fault.forMs,
  );
}

function sumOf(admitted: readonly Admitted[]): number {
  return admitted.reduce((sum, { units }) => sum + units, 0);
}

/** The first span of time in which more was admitted than may be. */
function worstSpan(admitted: readonly Admitted[], boundOf: (span: Span) => number) {
  for (const [first, { earliestMs: fromMs }] of admitted.entries()) {
    let units = 0;
    for (const { atMs, earliestMs, units: more } of admitted.slice(first)) {
      if (earliestMs < fromMs) continue;
      units += more;
      const bound = boundOf({ fromMs, untilMs: atMs });
      if (units > bound) return { units, ms: atMs - fromMs, bound };
    }
  }
  return null;
}

/**
 * What docs/design.md states as the bound of each algorithm. While instances follow different policies, a bucket may end as one of them
 * says, and hold as much as another one says.
 */
function boundIn(specs: readonly LimitSpec[], span: Span): number {
  const quota = most(specs, (spec) => {
    if (spec.algorithm === "token-bucket") return spec.burst;
    const isCounted =
      spec.algorithm === "budget" || spec.algorithm === "fixed-window" || spec.algorithm === "sliding-window";
    return isCounted ? spec.quota : Number.POSITIVE_INFINITY;
  });
  if (specs.some(({ algorithm }) => algorithm !== "token-bucket")) {
    return quota * most(specs, (spec) => timesIn(spec, span));
  }
  const { fromMs, untilMs } = span;
  const freed = (spec: LimitSpec) =>
    spec.algorithm === "token-bucket" ? Math.floor(((untilMs - fromMs) * spec.levelPerMs) / spec.levelPerUnit) : 0;
  return quota + most(specs, freed);
}

function most(specs: readonly LimitSpec[], of: (spec: LimitSpec) => number): number {
  return Math.max(...specs.map(of));
}

/** In how many windows a span of time lies at most: so often all units may be used in it. */
function timesIn(spec: LimitSpec, { fromMs, untilMs }: Span): number {
  const windowMs =
    spec.algorithm === "sliding-window" ? spec.windowMs : Math.max(1, algorithmOf(spec).outage.lifeMs(spec));
  if (spec.algorithm === "fixed-window" && spec.align === "epoch")
    return 1 + Math.floor(untilMs / windowMs) - Math.floor(fromMs / windowMs);
  const times = (untilMs - fromMs) / windowMs;
  return (
    1 + (spec.algorithm === "budget" || spec.algorithm === "sliding-window" ? Math.floor(times) : Math.ceil(times))
  );
}

/** What decides without what it asks: `client`, without its service; `instance`, without the store. */
type Decider = "client" | "instance";

/**
 * By how much the decisions of an outage said that limits may be exceeded, by bucket: what clients admit alone comes on top of what
 * services without the store do.
 */
function overshootsIn(oracle: Oracle, outage: Outage): (key: string) => number {
  const stated = { client: new Map<string, number>(), instance: new Map<string, number>() };
  const together = sharesOfTooFew(oracle, outage);
  for (const entry of outage.decisions) {
    const { planned, decision } = entry;
    if (!("call" in planned) || decision.degraded === null) continue;
    const overshoot = decision.degraded.maxOvershoot ?? Number.POSITIVE_INFINITY;
    const matches = policiesOf(oracle, entry).flatMap((policy) => oracle.matchesOf(planned.call, policy));
    for (const { key, limit } of new Set(matches)) {
      // A limit that admits nothing meanwhile is never exceeded, whatever the others of the call are.
      if (limit.onStoreError === "deny") continue;
      // Nor one in a shard of a cluster that the store decides for.
      if (!isAwayIn(oracle, entry, key)) continue;
      for (const decider of decidersOf(oracle, entry))
        stated[decider].set(key, Math.max(stated[decider].get(key) ?? 0, overshoot));
    }
  }
  for (const [key, overshoot] of unheardOvershoots(oracle, outage))
    stated.instance.set(key, Math.max(stated.instance.get(key) ?? 0, overshoot));
  return (key) => (stated.client.get(key) ?? 0) + Math.max(stated.instance.get(key) ?? 0, together(key));
}

/** Whether the shard of a bucket was away for an instance while it decided a call. */
function isAwayIn(oracle: Oracle, { on, askedAtMs, atMs }: Decided, key: string): boolean {
  const { store } = oracle.run;
  if (!store.isCluster || oracle.isClient(on)) return true;
  const shard = store.shardOf(key);
  return oracle.away.some(
    (time) => time.on === on && time.shard === shard && time.fromMs <= atMs && askedAtMs <= (time.untilMs ?? atMs),
  );
}

/**
 * What a client's service has stated without the store in answers that the client did not wait for: it asked again, perhaps much later,
 * and heard what was booked meanwhile.
 */
function* unheardOvershoots(oracle: Oracle, outage: Outage): Generator<[key: string, overshoot: number]> {
  const decided = [...oracle.run.log.of("decided")];
  for (const { planned, decision, on, atMs } of decided) {
    if (!("call" in planned) || !oracle.isClient(on) || !decision.replayed || !decision.allowed) continue;
    const { idempotencyKey } = planned.call;
    const tries = decided.filter(
      (other) => "call" in other.planned && other.planned.call.idempotencyKey === idempotencyKey,
    );
    const askedAtMs = Math.min(...tries.map((each) => each.askedAtMs));
    for (const away of oracle.away) {
      const isThen = askedAtMs <= (away.untilMs ?? atMs) && away.fromMs <= atMs;
      if (!isThen || oracle.isClient(away.on) || away.fromMs < outage.fromMs || away.fromMs > outage.untilMs) continue;
      const instances = instancesKnown(oracle, away.on, away, atMs) ?? 1;
      for (const match of oracle.policies.flatMap((_, policy) => oracle.matchesOf(planned.call, policy))) {
        const isOpen = match.limit.onStoreError === "allow";
        yield [match.key, isOpen ? Number.POSITIVE_INFINITY : overshootOf(match, instances - 1)];
      }
    }
  }
}

/** What may have decided a call without the store. */
function decidersOf(oracle: Oracle, entry: Decided): readonly Decider[] {
  const { on, atMs } = entry;
  if (!oracle.isClient(on)) return ["instance"];
  if (outageOf(oracle, entry) !== undefined) return ["client"];
  const isAway = oracle.away.some(
    (time) => time.on === on && time.fromMs <= atMs && atMs <= (time.untilMs ?? Number.POSITIVE_INFINITY),
  );
  return isAway ? ["client", "instance"] : ["instance"];
}

/** The policies that a call may follow: the one before a reload, and of a client's call, those of a service that decides alone. */
function policiesOf(oracle: Oracle, { on, policies, askedAtMs, atMs }: Decided): number[] {
  if (!oracle.isClient(on)) return [...policies];
  const isAlone = ({ fromMs, untilMs, ...time }: Away) =>
    !oracle.isClient(time.on) && fromMs <= atMs && askedAtMs <= (untilMs ?? atMs);
  const services = new Set(oracle.away.filter(isAlone).map((time) => numberOf(time.on)));
  const reloads = oracle.run.schedule.faults.flatMap((fault) =>
    fault.type === "reload" && fault.atMs <= atMs && services.has(fault.instance) ? [fault.policy] : [],
  );
  return services.size === 0 ? [...policies] : [...policies, 0, ...reloads];
}

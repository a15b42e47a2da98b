// When instances decided without the store, from the events of a run.

import type { Asked } from "./log.ts";
import type { Decided, Oracle } from "./oracle.ts";
import type { Run } from "./run.ts";

/** A time in which one life of a process decided without the store. */
export interface Away {
  readonly on: string;
  readonly fromMs: number;
  /** `null`: it never came back. */
  untilMs: number | null;
  /** Whether its process ended meanwhile. */
  hasEnded: boolean;
}

export function awayTimes({ log, instances }: Run): Away[] {
  const times: Away[] = [];
  const open = (on: string) => times.find((time) => time.on === on && time.untilMs === null);
  for (const entry of log.entries) {
    if (entry.type !== "event") continue;
    const { on, atMs, event } = entry;
    if (event.type === "store.unreachable" && !open(on))
      times.push({ on, fromMs: atMs, untilMs: null, hasEnded: false });
    const time = open(on);
    if (event.type === "store.recovered" && time !== undefined) time.untilMs = atMs;
  }
  const living = new Set(instances.filter(({ program }) => program !== null).map(({ name }) => name));
  for (const time of times) time.hasEnded = !living.has(time.on);
  return times;
}

/** A time in which some instance decided without the store, and the decisions of that time. */
export interface Outage {
  readonly fromMs: number;
  untilMs: number;
  readonly decisions: Decided[];
}

/** The times of all instances together, as long as they overlap. */
export function outagesOf({ run, away }: Oracle): Outage[] {
  const outages: Outage[] = [];
  for (const { fromMs, untilMs } of away.toSorted((one, other) => one.fromMs - other.fromMs)) {
    const last = outages.at(-1);
    const end = untilMs ?? Number.POSITIVE_INFINITY;
    if (last !== undefined && fromMs <= last.untilMs) last.untilMs = Math.max(last.untilMs, end);
    else outages.push({ fromMs, untilMs: end, decisions: [] });
  }
  for (const entry of run.log.of("decided")) {
    if (entry.decision.degraded === null) continue;
    // A call that was decided alone is answered a little later.
    const outage = outages.findLast(({ fromMs }) => fromMs <= entry.atMs);
    outage?.decisions.push(entry);
  }
  return outages;
}

/**
 * Whether a call was asked before an outage and decided alone in it: the store may have booked it. A call that waits is asked again
 * and again, so the store may decide it in the end.
 */
export function isInDoubt(oracle: Oracle, entry: Decided): boolean {
  const { decision, planned } = entry;
  return (decision.degraded !== null || "maxWaitMs" in planned) && hasLeftDuring(oracle, entry);
}

/** Whether an outage of its instance began while a call was under way. */
export function hasLeftDuring({ away }: Oracle, { on, askedAtMs, atMs }: Asked & { readonly atMs: number }): boolean {
  return away.some((time) => time.on === on && askedAtMs <= time.fromMs && time.fromMs <= atMs);
}

/** Whether a process had reached the store by a time, since another one. Until then it has only its own clock. */
export function hasReachedStore({ run, away }: Oracle, on: string, atMs: number, sinceMs = 0): boolean {
  const isThen = (ms: number) => sinceMs <= ms && ms <= atMs;
  const knew = run.log.of("decided").some((entry) => {
    const { degraded, verdicts } = entry.decision;
    return entry.on === on && isThen(entry.atMs) && degraded === null && verdicts.length > 0;
  });
  const wasBack = away.some((time) => time.on === on && time.untilMs !== null && isThen(time.untilMs));
  // A heartbeat may have been answered before any call was. A client has none.
  return knew || wasBack || run.census.knownBy(on, atMs) !== null;
}

/**
 * The outage in which an instance has decided a call alone. `undefined`: the store decided it, perhaps with units that were borrowed in
 * an outage; or, of a client, perhaps its service has.
 */
export function outageOf(oracle: Oracle, entry: Decided): Away | undefined {
  const { decision, on, askedAtMs, atMs } = entry;
  if (decision.degraded === null) return undefined;
  const untilMs = (time: Away) => time.untilMs ?? Number.POSITIVE_INFINITY;
  const own = oracle.away.findLast((time) => time.on === on && time.fromMs <= atMs && atMs <= untilMs(time));
  // The store may still have answered what was asked before.
  if (own === undefined || (askedAtMs <= own.fromMs && mayBorrow(oracle, entry))) return undefined;
  // A service that is back may have decided it before.
  const sinceMs = Math.min(own.fromMs, askedAtMs);
  const isBoth = oracle.away.some(
    (time) => !oracle.isClient(time.on) && time.fromMs <= untilMs(own) && sinceMs <= untilMs(time),
  );
  return oracle.isClient(on) && isBoth ? undefined : own;
}

/** Whether a call may take units that were borrowed in advance. */
function mayBorrow(oracle: Oracle, { planned, policies }: Decided): boolean {
  if (!("call" in planned)) return false;
  const matches = policies.flatMap((policy) => oracle.matchesOf(planned.call, policy));
  return matches.some(({ limit }) => limit.isBorrowing);
}

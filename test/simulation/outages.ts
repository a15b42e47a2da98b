// When instances decided without the store, from the events of a run.

import { type Asked, numberOf } from "./log.ts";
import { ENDING } from "./bookings.ts";
import type { Decided, Oracle } from "./oracle.ts";
import type { Run } from "./run.ts";

/** A time in which one life of a process decided without the store. */
export interface Away {
  readonly on: string;
  /** Of a cluster, the shard; `null`: all of the store, or of a client, its services. */
  readonly shard: number | null;
  readonly fromMs: number;
  /** `null`: it never came back. */
  untilMs: number | null;
  /** Whether its process ended meanwhile. */
  hasEnded: boolean;
}

export function awayTimes({ log, store, instances }: Run): Away[] {
  const times: Away[] = [];
  const change = (on: string, shard: number | null, isAway: boolean, atMs: number) => {
    const open = times.find((time) => time.on === on && time.shard === shard && time.untilMs === null);
    if (isAway && open === undefined) times.push({ on, shard, fromMs: atMs, untilMs: null, hasEnded: false });
    if (!isAway && open !== undefined) open.untilMs = atMs;
  };
  const hasShards = (on: string) => store.isCluster && instances[numberOf(on)]?.plan.role !== "client";
  for (const entry of log.entries) {
    const { atMs } = entry;
    if (entry.type === "shard") change(entry.on, entry.shard, entry.isAway, atMs);
    if (entry.type !== "event" || hasShards(entry.on)) continue;
    const { type } = entry.event;
    if (type === "store.unreachable" || type === "store.recovered")
      change(entry.on, null, type === "store.unreachable", atMs);
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
export function hasReachedStore(oracle: Oracle, on: string, atMs: number, sinceMs = 0): boolean {
  const { run, away } = oracle;
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
 *
 * @param key of a cluster, whose shard was away. Default: any of the call's
 */
export function outageOf(oracle: Oracle, entry: Decided, key?: string): Away | undefined {
  const { decision, on, askedAtMs, atMs } = entry;
  if (decision.degraded === null) return undefined;
  const untilMs = (time: Away) => time.untilMs ?? Number.POSITIVE_INFINITY;
  const all = shardsOf(oracle, entry);
  const shards = key === undefined ? all : new Set([oracle.run.store.shardOf(key)]);
  const isOf = ({ shard }: Away) => shard === null || shards.has(shard);
  const own = oracle.away.findLast(
    (time) => time.on === on && isOf(time) && time.fromMs <= atMs && atMs <= untilMs(time),
  );
  // The store may still have answered what was asked before; of a call over several shards, any of them.
  if (own !== undefined && own.shard !== null && key !== undefined && askedAtMs <= own.fromMs && all.size > 1)
    return undefined;
  if (own === undefined || (askedAtMs <= own.fromMs && mayBorrow(oracle, entry))) return undefined;
  // A service that is back may have decided it before.
  const sinceMs = Math.min(own.fromMs, askedAtMs);
  const isBoth = oracle.away.some(
    (time) => !oracle.isClient(time.on) && time.fromMs <= untilMs(own) && sinceMs <= untilMs(time),
  );
  return oracle.isClient(on) && isBoth ? undefined : own;
}

/** The shards that a call is about, under the policies that it may follow. */
export function shardsOf(oracle: Oracle, { planned, policies }: Pick<Asked, "planned" | "policies">): Set<number> {
  const { store } = oracle.run;
  if (!("call" in planned) || !store.isCluster) return new Set([0]);
  const { call } = planned;
  const keys = policies.flatMap((policy) => oracle.matchesOf(call, policy).map(({ key }) => key));
  // An answer that is kept is where the session is.
  const kept = call.idempotencyKey === undefined && !ENDING.has(planned.verb) ? [] : [`{${call.session}}`];
  // A call that no limit matches asks for nothing, of the shard of no key.
  const all = [...(keys.length === 0 ? [""] : keys), ...kept];
  return new Set(all.map((key) => store.shardOf(key)));
}

/** Whether a call may take units that were borrowed in advance. */
function mayBorrow(oracle: Oracle, { planned, policies }: Decided): boolean {
  if (!("call" in planned)) return false;
  const matches = policies.flatMap((policy) => oracle.matchesOf(planned.call, policy));
  return matches.some(({ limit }) => limit.isBorrowing);
}

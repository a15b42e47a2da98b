// Which calls had used a bucket before a call was denied: those of its session one by one, those of others by session.

import { amount, isMoney, listed } from "../kernel/words.ts";
import type { DecisionEntry, LogEntry, LoggedVerdict } from "./entry.ts";
import { changesBefore } from "./explain-changes.ts";
import type { EntryQuery, LogReader, Tenants } from "./storage.ts";

/** How many calls before it are looked at. */
export const MAX_BEFORE = 50;
/** Pages that are read for them: a page may have none. */
const MAX_PAGES = 5;
/** Most calls, and most sessions, that are named. */
const MAX_CALLS = 5;
const MAX_SESSIONS = 3;

/** Entries that may have used the bucket that denied a call, the newest first. */
export async function usesBefore(
  read: LogReader,
  entry: DecisionEntry,
  { limit, per }: LoggedVerdict,
  tenants: Tenants,
): Promise<LogEntry[]> {
  const { session, user } = entry.dimensions;
  const query = { kind: "decision", tenants, toMs: entry.atMs + 1, pageSize: MAX_BEFORE } as const;
  const found = await someOf(read, {
    ...query,
    ...{ allowed: true, limit },
    ...(per.includes("session") && session !== undefined ? { session } : {}),
    ...(per.includes("user") && user !== undefined ? { user } : {}),
    ...(per.includes("tool") ? { tool: entry.tool } : {}),
  });
  // What was recorded beyond the quota is booked, and no allowed call.
  const ofSession = session === undefined ? [] : (await read.entries({ ...query, session })).items;
  const byId = new Map([...found, ...ofSession].map((each) => [each.id, each]));
  return [...byId.values()].sort((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1));
}

async function someOf(read: LogReader, query: EntryQuery): Promise<readonly LogEntry[]> {
  const found: LogEntry[] = [];
  let cursor: string | null | undefined;
  for (let page = 0; page < MAX_PAGES && cursor !== null && found.length < MAX_BEFORE; page++) {
    const { items, nextCursor } = await read.entries({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    found.push(...items);
    cursor = nextCursor;
  }
  return found.slice(0, MAX_BEFORE);
}

/** Sentences, each with a space before it; the empty text: the log knows none. */
export function usesOf(
  entry: DecisionEntry,
  verdict: LoggedVerdict,
  before: readonly LogEntry[],
  timeOf: (ms: number) => string,
): string {
  const uses = usedBy(entry, verdict, before);
  const isOwn = (use: DecisionEntry) => use.dimensions.session === entry.dimensions.session;
  const isWhole = uses.length < MAX_BEFORE;
  return ownText(entry, uses.filter(isOwn), isWhole, timeOf) + othersText(uses, verdict, isOwn);
}

/** @param isWhole whether these are all calls that used the bucket */
function ownText(
  entry: DecisionEntry,
  calls: readonly DecisionEntry[],
  isWhole: boolean,
  timeOf: (ms: number) => string,
): string {
  if (calls.length === 0) return "";
  const times = calls.map(({ atMs }) => timeOf(atMs)).reverse();
  const named =
    calls.length > MAX_CALLS
      ? `${isWhole ? "" : "the last "}${calls.length} calls from ${times[0]} to ${times.at(-1)} used it`
      : `the ${calls.length === 1 ? "call" : "calls"} at ${listed(times)} used it`;
  return entry.dimensions.session === undefined ? ` Without a session, ${named}.` : ` Of this session, ${named}.`;
}

/** The sessions that used most come first. */
function othersText(
  uses: readonly DecisionEntry[],
  { limit, unit }: LoggedVerdict,
  isOwn: (use: DecisionEntry) => boolean,
): string {
  const bySession = new Map<string | undefined, { calls: number; units: number }>();
  for (const use of uses.filter((each) => !isOwn(each))) {
    const { session } = use.dimensions;
    const sum = bySession.get(session) ?? { calls: 0, units: 0 };
    sum.calls++;
    sum.units += costOf(use, limit);
    bySession.set(session, sum);
  }
  if (bySession.size === 0) return "";
  const most = [...bySession].sort(([, a], [, b]) => b.units - a.units);
  const named = most.slice(0, MAX_SESSIONS).map(([session, { calls, units }]) => {
    const many = amount(calls, "calls");
    return `${session ?? "calls without one"} (${unit === "calls" ? amount(units, unit) : `${amount(units, unit, isMoney(unit) ? "up" : "exact")} in ${many}`})`;
  });
  if (most.length > MAX_SESSIONS) named.push(`${most.length - MAX_SESSIONS} more`);
  const some = uses.length < MAX_BEFORE ? "" : `, of the last ${uses.length} calls that used it`;
  return ` Other sessions used it${some}: ${listed(named)}.`;
}

/** The calls that used the same bucket since it was whole, the newest first. */
function usedBy(entry: DecisionEntry, verdict: LoggedVerdict, before: readonly LogEntry[]): DecisionEntry[] {
  const { limit, per, windowMs } = verdict;
  const reset = changesBefore(entry, verdict, before).find(({ type }) => type === "bucket.reset");
  const sinceMs = windowMs === null ? 0 : entry.atMs - windowMs;
  return before.filter((other): other is DecisionEntry => {
    if (other.kind !== "decision" || other.id === entry.id || other.atMs > entry.atMs) return false;
    const isCharged = other.allowed || other.verb === "record";
    return (
      isCharged &&
      other.atMs > sinceMs &&
      // Ids sort by time, and those of one instance also within a millisecond.
      other.id > (reset?.id ?? "") &&
      costOf(other, limit) > 0 &&
      per.every((name) => partOf(other, name) === partOf(entry, name))
    );
  });
}

function costOf({ verdicts }: DecisionEntry, limit: string): number {
  return verdicts.find((verdict) => verdict.limit === limit)?.cost ?? 0;
}

function partOf({ tool, argsHash, dimensions }: DecisionEntry, name: string): string | null | undefined {
  if (name === "tool") return tool;
  return name === "args" ? argsHash : dimensions[name];
}

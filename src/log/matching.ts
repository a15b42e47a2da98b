// What a query finds, for storages that look at entries one by one, and how pages continue.

import { invalidOption } from "../kernel/errors.ts";
import type { LogEntry } from "./entry.ts";
import type { EntryQuery, Tenants } from "./storage.ts";

/** Most entries that one page looks at: then it is short, and continues. */
export const MAX_LOOKED_AT = 20_000;

/** Whether an entry is what a query asks for. Where it stands in the log is left out. */
export function matchesQuery(entry: LogEntry, query: EntryQuery): boolean {
  const { kind, allowed, limit, tool, session, user, fromMs, toMs } = query;
  if (kind !== undefined && entry.kind !== kind) return false;
  if (fromMs !== undefined && entry.atMs < fromMs) return false;
  if (toMs !== undefined && entry.atMs >= toMs) return false;
  if (allowed !== undefined && (entry.kind !== "decision" || entry.allowed !== allowed)) return false;
  if (limit !== undefined && !isOfLimit(entry, limit)) return false;
  if (tool !== undefined && toolOf(entry) !== tool) return false;
  if (session !== undefined && entry.dimensions.session !== session) return false;
  if (user !== undefined && entry.dimensions.user !== user) return false;
  return isOfTenants(entry.dimensions.tenant, query.tenants);
}

/** Whether something of a tenant may be seen. */
export function isOfTenants(tenant: string | undefined, tenants: Tenants): boolean {
  return tenants === null || (tenant !== undefined && tenant !== "" && tenants.includes(tenant));
}

function toolOf(entry: LogEntry): string | undefined {
  return entry.kind === "decision" ? entry.tool : entry.dimensions.tool;
}

/** A denial is of the limit that denied it; an allowed call is of every limit that it was charged by. */
function isOfLimit(entry: LogEntry, limit: string): boolean {
  if (entry.kind === "event") return entry.limit === limit;
  return entry.allowed ? entry.verdicts.some((verdict) => verdict.limit === limit) : entry.deniedBy === limit;
}

/**
 * The position that a cursor says.
 *
 * @throws MisuseError `invalid-option`
 */
export function positionOf(name: string, text: string): number {
  const position = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(position)) {
    throw invalidOption(name, "what an earlier page returned", text);
  }
  return position;
}

/** Where a page of sessions ends. */
export interface SessionPlace {
  readonly lastMs: number;
  readonly session: string;
  readonly tenant: string;
}

export function sessionCursor({ lastMs, session, tenant }: SessionPlace): string {
  return JSON.stringify([lastMs, session, tenant]);
}

/** @throws MisuseError `invalid-option` */
export function sessionPlace(cursor: string): SessionPlace {
  try {
    const [lastMs, session, tenant] = JSON.parse(cursor);
    if (Number.isSafeInteger(lastMs) && typeof session === "string" && typeof tenant === "string") {
      return { lastMs, session, tenant };
    }
  } catch {
    // It is refused below.
  }
  throw invalidOption("cursor", "what an earlier page returned", cursor);
}

/** Below 0: the first was called later, and comes before the other. */
export function comparePlaces(a: SessionPlace, b: SessionPlace): number {
  return b.lastMs - a.lastMs || compareTexts(a.session, b.session) || compareTexts(a.tenant, b.tenant);
}

export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

// Which texts the server looks for in entries, so that it answers only with those that a query may be about. Entries are written by
// `JSON.stringify`, so a text that an entry has is in it as that writes it. What else has the text is left out when the entry is read.

import type { EntryQuery } from "../storage.ts";

/** More tenants than these are not looked for. */
const MAX_TENANTS = 16;

/** Groups of texts: a candidate has one of each. */
export function candidatesOf({ kind, allowed, limit, tool, session, user, tenants }: EntryQuery): string[][] {
  const field = (name: string, value: unknown) => `"${name}":${JSON.stringify(value)}`;
  const groups: string[][] = [];
  for (const [name, value] of Object.entries({ kind, allowed, tool, session, user })) {
    if (value !== undefined) groups.push([field(name, value)]);
  }
  if (limit !== undefined) groups.push([field("limit", limit), field("deniedBy", limit)]);
  if (tenants !== null && areLookedFor(tenants)) {
    groups.push(tenants.map((tenant) => field("tenant", tenant)));
  }
  return groups;
}

/** Whether what the server finds is what the query asks for, but for few entries. */
export function isJudgedThere({ fromMs, toMs, tenants }: EntryQuery): boolean {
  return fromMs === undefined && toMs === undefined && (tenants === null || areLookedFor(tenants));
}

function areLookedFor(tenants: readonly string[]): boolean {
  return tenants.length <= MAX_TENANTS;
}

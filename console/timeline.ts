// The entries that the timeline has, the newest first, and how others come to them.

import type { Decisions, LogEntry } from "./answers.ts";

/** Entries that stay while new ones come. Each more makes the list slower to draw. */
export const ROOM = 100;
/** What was cut off the end of the list: no cursor is known for it. */
const CUT = "";

export interface Timeline {
  readonly items: readonly LogEntry[];
  /** Entries that came while the list stood still. */
  readonly waiting: readonly LogEntry[];
  /** How many entries stay when others come. */
  readonly room: number;
  /** Where the entries behind the list begin; `null`: there are none. */
  readonly nextCursor: string | null;
}

export const EMPTY: Timeline = { items: [], waiting: [], room: ROOM, nextCursor: null };

export function firstPage({ items, nextCursor }: Decisions): Timeline {
  return { ...EMPTY, items, nextCursor };
}

/** The list with entries that came, the newest first. None stands there twice. While it is held, they wait. */
export function withNew(before: Timeline, came: readonly LogEntry[], isHeld: boolean): Timeline {
  const { room } = before;
  const waiting = [...came, ...before.waiting];
  if (isHeld) return { ...before, waiting: waiting.slice(0, room) };
  const items = [...unknown(before.items, waiting), ...before.items];
  const nextCursor = items.length > room ? CUT : before.nextCursor;
  return { room, waiting: [], items: items.slice(0, room), nextCursor };
}

/** The list with a page of older entries, which makes room for them. */
export function withOlder(before: Timeline, older: readonly LogEntry[], nextCursor: string | null): Timeline {
  const items = [...before.items, ...unknown(before.items, older)];
  return { ...before, items, room: Math.max(before.room, items.length), nextCursor };
}

/** The query for the entries behind the list. */
export function olderThan({ nextCursor, items }: Timeline): { readonly cursor?: string; readonly toMs?: number } {
  const last = items.at(-1);
  if (nextCursor === CUT && last !== undefined) return { toMs: last.atMs + 1 };
  return nextCursor === null ? {} : { cursor: nextCursor };
}

/** Those that do not stand in the list yet. */
function unknown(items: readonly LogEntry[], others: readonly LogEntry[]): LogEntry[] {
  const known = new Set(items.map(({ id }) => id));
  return others.filter(({ id }) => !known.has(id));
}

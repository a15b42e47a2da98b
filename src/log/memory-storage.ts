// What a log in memory keeps, and how it is read. It is the plainest storage: what it answers, all others have to.

import { systemClock } from "../clock.ts";
import { randomId } from "../ids.ts";
import type { LogEntry } from "./entry.ts";
import * as matching from "./matching.ts";
import { nearNameOf, withBucket } from "./near.ts";
import type { KeepSettings } from "./options.ts";
import { withSession } from "./sessions.ts";
import type * as log from "./storage.ts";
import { MINUTE_MS, nearOf, seriesOf, topOf, withMinute, withTop } from "./sums.ts";

/** Most rows of counts, of sessions and of buckets near their limit. */
const MAX_ROWS = 100_000;

export class MemoryStorage implements log.ReadableStorage {
  readonly name = "memory";
  readonly isShared = false;
  readonly read: log.LogReader;
  readonly #keep: KeepSettings;
  readonly #salt = randomId();
  /** The last batch of each instance. */
  readonly #numbers = new Map<string, number>();
  readonly #minutes = new Map<string, log.MinuteCount>();
  readonly #tops = new Map<string, log.MinuteTop>();
  readonly #near = new Map<string, log.NearBucket>();
  readonly #sessions = new Map<string, log.SessionSum>();
  readonly #policies = new Map<string, string>();
  /** In the order in which they were written. */
  #entries: LogEntry[] = [];
  /** The position of the first of them. */
  #first = 1;

  constructor(keep: KeepSettings) {
    this.#keep = keep;
    this.read = {
      entries: async (query) => this.#page(query),
      entry: async (id, tenants) => this.#entry(id, tenants),
      top: async (query) => topOf([...this.#minutes.values(), ...this.#tops.values()], query),
      near: async (query) => nearOf(this.#near.values(), query),
      sessions: async (query) => this.#sessionPage(query),
      series: async (query) => seriesOf(this.#minutes.values(), query),
      policy: async (version) => this.#policies.get(version) ?? null,
    };
  }

  async salt(): Promise<string> {
    return this.#salt;
  }

  async write(batch: log.LogBatch): Promise<void> {
    const { instance, number, entries, minutes, tops, near, sessions, policies } = batch;
    if ((this.#numbers.get(instance) ?? 0) >= number) return;
    this.#numbers.set(instance, number);
    this.#entries.push(...entries);
    for (const each of minutes)
      put(this.#minutes, [each.minute, each.limit, each.unit, each.tool, each.tenant], each, withMinute);
    for (const each of tops)
      put(this.#tops, [each.minute, each.dimension, each.unit, each.value, each.tenant], each, withTop);
    for (const each of near) put(this.#near, nearNameOf(each), each, withBucket);
    for (const each of sessions) put(this.#sessions, [each.session, each.tenant], each, withSession);
    for (const { version, source } of policies) this.#policies.set(version, source);
    this.#removeOld();
  }

  async close(): Promise<void> {}

  #removeOld(): void {
    const { maxEntries, maxAgeMs } = this.#keep;
    const oldestMs = systemClock.nowMs() - maxAgeMs;
    let count = Math.max(0, this.#entries.length - maxEntries);
    while ((this.#entries[count]?.atMs ?? oldestMs) < oldestMs) count++;
    // An eighth at a time: to move all of the list for each entry would take long.
    if (count > 0 && (count > maxEntries / 8 || this.#entries.length > maxEntries)) {
      this.#entries = this.#entries.slice(count);
      this.#first += count;
    }
    removeWhere(this.#minutes, ({ minute }) => minute * MINUTE_MS < oldestMs);
    removeWhere(this.#tops, ({ minute }) => minute * MINUTE_MS < oldestMs);
    removeWhere(this.#sessions, ({ lastMs }) => lastMs < oldestMs);
  }

  #page(query: log.EntryQuery): log.EntryPage {
    const { cursor, after, pageSize } = query;
    const end = this.#first + this.#entries.length;
    const isForward = after !== undefined;
    const start = isForward ? matching.positionOf("after", after) + 1 : cursorPosition(cursor, end) - 1;
    const step = isForward ? 1 : -1;
    const items: LogEntry[] = [];
    let position = Math.max(start, isForward ? this.#first : start);
    let seen = 0;
    for (; position >= this.#first && position < end; position += step) {
      if (items.length === pageSize || seen++ === matching.MAX_LOOKED_AT) break;
      const entry = this.#entries[position - this.#first] as LogEntry;
      if (matching.matchesQuery(entry, query)) items.push(entry);
    }
    const isLast = position < this.#first || position >= end;
    return { items, nextCursor: isLast ? null : String(position - step), lastPosition: String(end - 1) };
  }

  #entry(id: string, tenants: log.Tenants): LogEntry | null {
    const entry = this.#entries.findLast((each) => each.id === id);
    return entry !== undefined && matching.isOfTenants(entry.dimensions.tenant, tenants) ? entry : null;
  }

  #sessionPage({ tenants, prefix = "", pageSize, cursor }: log.SessionQuery): log.Page<log.SessionSum> {
    const place = cursor === undefined ? null : matching.sessionPlace(cursor);
    const found = [...this.#sessions.values()]
      .filter(({ session, tenant }) => session.startsWith(prefix) && matching.isOfTenants(tenant, tenants))
      .filter((sum) => place === null || matching.comparePlaces(sum, place) > 0)
      .sort(matching.comparePlaces);
    const items = found.slice(0, pageSize);
    const last = items.at(-1);
    return { items, nextCursor: last !== undefined && found.length > pageSize ? matching.sessionCursor(last) : null };
  }
}

function cursorPosition(cursor: string | undefined, end: number): number {
  return cursor === undefined ? end : matching.positionOf("cursor", cursor);
}

/** Adds to what is kept under a name. At the bound, what is there longest makes room. */
function put<Row>(
  rows: Map<string, Row>,
  name: unknown,
  more: Row,
  sum: (known: Row | undefined, more: Row) => Row,
): void {
  const key = typeof name === "string" ? name : JSON.stringify(name);
  const known = rows.get(key);
  // What was changed last stands at the end.
  rows.delete(key);
  rows.set(key, sum(known, more));
  if (rows.size <= MAX_ROWS) return;
  const [oldest] = rows.keys();
  if (oldest !== undefined) rows.delete(oldest);
}

/** Removes rows from the beginning, where the oldest are. */
function removeWhere<Row>(rows: Map<string, Row>, isOld: (row: Row) => boolean): void {
  for (const [key, row] of rows) {
    if (!isOld(row)) return;
    rows.delete(key);
  }
}

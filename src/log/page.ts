// Fills a page with entries of rows that a storage reads some at a time.

import type { LogEntry } from "./entry.ts";
import { isOfTenants, matchesQuery, MAX_LOOKED_AT, positionOf } from "./matching.ts";
import type { EntryPage, EntryQuery } from "./storage.ts";

/** Rows that are read at once. */
export const CHUNK = 500;

export type EntryRow = Readonly<Record<"position" | "body", unknown>> & { readonly tenant?: unknown };

/** What a storage looked at to find some rows. */
export interface Looked {
  readonly count: number;
  /** The position of the last. */
  readonly place: number;
  /** Whether there are no more. */
  readonly isEnd: boolean;
}

export class PageOfRows {
  readonly isForward: boolean;
  readonly #query: EntryQuery;
  /** The position of the newest entry. */
  readonly #last: number;
  readonly #items: LogEntry[] = [];
  #place: number;
  #seen = 0;

  constructor(query: EntryQuery, last: number) {
    const { cursor, after } = query;
    this.#query = query;
    this.#last = last;
    this.isForward = after !== undefined;
    if (after !== undefined) this.#place = positionOf("after", after);
    else this.#place = cursor === undefined ? last + 1 : positionOf("cursor", cursor);
  }

  /** The position behind which the next rows are. */
  get place(): number {
    return this.#place;
  }

  /**
   * Takes the next rows, at most `CHUNK`.
   *
   * @returns the page, or `null` when it takes more
   */
  add(rows: readonly EntryRow[]): EntryPage | null {
    const { length: count } = rows;
    return this.addSome(rows, { count, place: Number(rows.at(-1)?.position), isEnd: count < CHUNK });
  }

  /** Takes those of the next rows that may be of the page: the storage has left out others. */
  addSome(rows: readonly EntryRow[], { count, place, isEnd }: Looked): EntryPage | null {
    const { tenants, pageSize } = this.#query;
    for (const { position, tenant, body } of rows) {
      if (this.#items.length === pageSize) return this.#page(String(this.#place));
      this.#place = Number(position);
      if (tenant !== undefined && !isOfTenants(String(tenant), tenants)) continue;
      const entry: LogEntry = JSON.parse(String(body));
      if (matchesQuery(entry, this.#query)) this.#items.push(entry);
    }
    if (isEnd) return this.#page(null);
    this.#place = place;
    this.#seen += count;
    return this.#seen < MAX_LOOKED_AT ? null : this.#page(String(this.#place));
  }

  #page(nextCursor: string | null): EntryPage {
    // What came since `last` was read is on a page that goes forward already.
    const last = this.isForward && nextCursor === null ? Math.max(this.#last, this.#place) : this.#last;
    return { items: this.#items, nextCursor, lastPosition: String(last) };
  }
}

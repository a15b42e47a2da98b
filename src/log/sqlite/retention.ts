// Removes what is too old, and what is more than the file may have. A little at a time, so that no batch waits long for it.

import type { DatabaseSync } from "node:sqlite";
import { NEAR } from "../near.ts";
import { MINUTE_MS } from "../sums.ts";

/** Entries that are removed at once. */
const STEP = 2_000;
/** Rounds after one batch. */
const MAX_ROUNDS = 8;
const MAX_NEAR = 10_000;
const MAX_SESSIONS = 100_000;
const MAX_POLICIES = 1_000;
/** How often sums are looked at. */
const TIDY_MS = 60_000;

export interface Bounds {
  readonly maxEntries: number;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

export class Retention {
  readonly #database: DatabaseSync;
  readonly #bounds: Bounds;
  #tidiedMs = 0;

  constructor(database: DatabaseSync, bounds: Bounds) {
    this.#database = database;
    this.#bounds = bounds;
  }

  /** Called after each batch. */
  apply(nowMs: number): void {
    const { maxEntries, maxAgeMs, maxBytes } = this.#bounds;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { first, last } = this.#positions();
      const isTooLarge = this.#bytes() > maxBytes;
      // The newest stays, so that positions only grow.
      const tooMany = Math.min(last - maxEntries, last - 1);
      const upTo = Math.min(first + STEP - 1, isTooLarge ? last - 1 : tooMany);
      const old = this.#run(
        "DELETE FROM entries WHERE position < ? AND position < ? AND at_ms < ?",
        first + STEP,
        last,
        nowMs - maxAgeMs,
      );
      const many = upTo < first ? 0 : this.#run("DELETE FROM entries WHERE position <= ?", upTo);
      // Counts are small and say most: entries go first.
      if (isTooLarge && last - first < STEP) this.#removeSums();
      if (old + many < STEP && !isTooLarge) break;
    }
    if (nowMs - this.#tidiedMs < TIDY_MS) return;
    this.#tidiedMs = nowMs;
    this.#tidy(nowMs);
  }

  #tidy(nowMs: number): void {
    const oldestMs = nowMs - this.#bounds.maxAgeMs;
    const oldest = Math.floor(oldestMs / MINUTE_MS);
    this.#run("DELETE FROM minutes WHERE minute < ?", oldest);
    this.#run("DELETE FROM tops WHERE minute < ?", oldest);
    this.#run("DELETE FROM sessions WHERE last_ms < ?", oldestMs);
    this.#run("DELETE FROM writers WHERE at_ms < ?", oldestMs);
    this.#run("DELETE FROM near WHERE fill < ? OR ends_at_ms < ?", NEAR, oldestMs);
    this.#keepLast("near", "at_ms", MAX_NEAR);
    this.#keepLast("sessions", "last_ms", MAX_SESSIONS);
    this.#keepLast("policies", "at_ms", MAX_POLICIES);
    this.#database.exec("PRAGMA incremental_vacuum(1000)");
  }

  /** Removes some of the oldest sums: a file may be full of them. */
  #removeSums(): void {
    for (const table of ["minutes", "tops"]) {
      const [row] = this.#database.prepare(`SELECT min(minute) AS first, max(minute) AS last FROM ${table}`).all();
      if (row?.first !== row?.last) this.#run(`DELETE FROM ${table} WHERE minute = ?`, Number(row?.first));
    }
  }

  #keepLast(table: string, column: string, count: number): void {
    this.#run(
      `DELETE FROM ${table} WHERE ${column} < (SELECT ${column} FROM ${table} ORDER BY ${column} DESC LIMIT 1 OFFSET ?)`,
      count - 1,
    );
  }

  #positions(): { readonly first: number; readonly last: number } {
    const [row] = this.#database.prepare("SELECT min(position) AS first, max(position) AS last FROM entries").all();
    return { first: Number(row?.first ?? 0), last: Number(row?.last ?? 0) };
  }

  /** Bytes that are in use. */
  #bytes(): number {
    const pragma = (name: string) => Number(this.#database.prepare(`PRAGMA ${name}`).get()?.[name]);
    return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size");
  }

  #run(sql: string, ...parameters: number[]): number {
    return Number(this.#database.prepare(sql).run(...parameters).changes);
  }
}

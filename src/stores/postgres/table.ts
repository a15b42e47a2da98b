// The table of buckets: rows are made, read, locked, written and swept. Nothing is judged in SQL.

import type { Clock } from "../../clock.ts";
import { MARK_KEY } from "../../kernel/receipts.ts";
import type { StoredState } from "../../kernel/state.ts";
import { encodeState } from "../../kernel/encoding/state.ts";
import { decodeState } from "../../store/check.ts";
import { SWEPT_PER_NEW } from "../../store/room.ts";
import { listIn } from "./client.ts";
import { type Database, type Query, SERVER_NOW_MS, sqlNowMs } from "./database.ts";

/** How long a row lives that was made only to be locked, and was not written. */
const UNWRITTEN_MS = 60_000;
/** Half of the most keys that are known to have rows: all of them take about 10 MB. */
const MAX_YOUNG_KEYS = 50_000;
const ROWS_PER_SWEEP = 1_000;

export class Table {
  readonly database: Database;
  /** What the table is called in statements. */
  readonly buckets: string;
  readonly clock: Clock | undefined;
  /** Keys whose rows were there not long ago, in two generations: the older one is forgotten at once. */
  #young = new Set<string>();
  #old = new Set<string>();
  /** Rows that were made since the last sweep, or a few more. */
  #made = 0;
  /** Up to which key rows were looked at for expiry. */
  #hand = "";
  #isSweeping = false;

  /** @param clock absent: the server's */
  constructor(database: Database, buckets: string, clock: Clock | undefined) {
    this.database = database;
    this.buckets = buckets;
    this.clock = clock;
  }

  /**
   * Makes the rows of keys that are not known to have one, in a transaction of their own, so that no batch waits for a row
   * while it holds the lock of another.
   */
  async insertMissing(keys: readonly string[]): Promise<void> {
    const unsure = keys.filter((key) => !this.#young.has(key) && !this.#old.has(key));
    if (unsure.length === 0) return;
    const text = `INSERT INTO ${this.buckets} (key, value, expires_at_ms)
      SELECT key, '', ${SERVER_NOW_MS} + ${UNWRITTEN_MS}
      FROM jsonb_array_elements_text($1::text::jsonb) AS key ORDER BY key COLLATE "C" ON CONFLICT (key) DO NOTHING`;
    await this.database.run(text, JSON.stringify(unsure));
    this.#made += unsure.length;
  }

  /** Notes that keys have rows. */
  know(keys: readonly string[]): void {
    if (this.#young.size >= MAX_YOUNG_KEYS) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    for (const key of keys) this.#young.add(key);
  }

  /** Notes that keys have no rows. */
  forget(keys: readonly string[]): void {
    for (const key of keys) {
      this.#young.delete(key);
      this.#old.delete(key);
    }
  }

  /**
   * The states of the rows that are there, and the instant after the last of them was read.
   *
   * An aggregate is there when all of its rows are: the clock beside it is read after the last lock, where they are locked.
   * The mark is among the rows and never locked: every batch reads it, and none must wait for another there.
   */
  async read(query: Query, keys: readonly string[], lock: "FOR UPDATE OF bucket" | "") {
    const { buckets, clock } = this;
    const text = `WITH found AS MATERIALIZED (
        SELECT bucket.key, value, expires_at_ms FROM jsonb_array_elements_text($1::text::jsonb) AS wanted(key)
        JOIN ${buckets} AS bucket ON bucket.key = wanted.key COLLATE "C" ORDER BY bucket.key ${lock}),
      seen AS (SELECT * FROM found UNION ALL
        SELECT key, value, expires_at_ms FROM ${buckets} WHERE key = '${MARK_KEY}')
      SELECT json_build_array(${SERVER_NOW_MS},
        coalesce(json_agg(json_build_array(key, value, expires_at_ms)), '[]'))::text FROM seen`;
    const answer = listIn(await query(text, [JSON.stringify(keys)]));
    const [serverMs, rows] = answer as [number, [key: string, value: string, expiresAtMs: number][]];
    const nowMs = clock === undefined ? serverMs : clock.nowMs();
    const stateIn = (value: string, expiresAtMs: number) =>
      value === "" ? undefined : decodeState(value, expiresAtMs, nowMs);
    return { states: new Map(rows.map(([key, value, expiresAtMs]) => [key, stateIn(value, expiresAtMs)])), nowMs };
  }

  async write(query: Query, changed: ReadonlyMap<string, StoredState | undefined>): Promise<void> {
    const rows = [...changed].map(([key, state]) => ({
      key,
      value: state === undefined ? "" : encodeState(state),
      expires_at_ms: state?.expiresAtMs ?? 0,
    }));
    const text = `UPDATE ${this.buckets} AS bucket SET value = next.value, expires_at_ms = next.expires_at_ms
      FROM jsonb_to_recordset($1::text::jsonb) AS next(key text, value text, expires_at_ms bigint)
      WHERE bucket.key = next.key`;
    await query(text, [JSON.stringify(rows)]);
  }

  /**
   * Removes expired rows among the next ones once enough rows were made. It runs beside the calls: what fails here fails no
   * call, and is tried again later.
   */
  async sweep(): Promise<void> {
    if (this.#isSweeping || this.#made * SWEPT_PER_NEW < ROWS_PER_SWEEP) return;
    this.#isSweeping = true;
    this.#made = 0;
    try {
      const { buckets } = this;
      // It skips rows that are locked.
      const text = `WITH visited AS MATERIALIZED (
          SELECT key FROM ${buckets} WHERE key > $1 ORDER BY key LIMIT ${ROWS_PER_SWEEP}),
        expired AS MATERIALIZED (SELECT key FROM ${buckets} WHERE key IN (SELECT key FROM visited)
          AND expires_at_ms <= ${sqlNowMs(this.clock)} FOR UPDATE SKIP LOCKED),
        gone AS (DELETE FROM ${buckets} WHERE key IN (SELECT key FROM expired))
        SELECT json_build_array(max(key), count(*))::text FROM visited`;
      const answer = listIn(await this.database.query(text, [this.#hand]));
      const [last, looked] = answer as [last: string, looked: number];
      this.#hand = looked < ROWS_PER_SWEEP ? "" : last;
    } catch {
      // The next batch reports what is wrong.
    } finally {
      this.#isSweeping = false;
    }
  }
}

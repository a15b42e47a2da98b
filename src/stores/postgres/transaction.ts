// One batch, one transaction: its rows are locked in the order of their keys, the clock is read after the last lock, the
// kernel decides, and what changed is written. Nothing is judged in SQL.

import type { Clock } from "../../clock.ts";
import { keysOf } from "../../kernel/decide.ts";
import { MARK_KEY, receiptsKey } from "../../kernel/receipts.ts";
import type { StoreRequest } from "../../kernel/request.ts";
import type { StoredState } from "../../kernel/state.ts";
import { encodeState } from "../../kernel/encoding/state.ts";
import { decodeState, type ReadState } from "../../store/check.ts";
import { StoreError } from "../../store/error.ts";
import { bookBatch } from "../../store/receipts.ts";
import type { Terms } from "../../store/shared-store.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { listIn } from "./client.ts";
import { type Database, type Query, SERVER_NOW_MS, sqlNowMs } from "./database.ts";
import type { Tables } from "./schema.ts";

/** How long a row lives that was made only to be locked, and was not written. */
const UNWRITTEN_MS = 60_000;
const MAX_YOUNG_KEYS = 50_000;
/** How often a batch is tried while other processes remove its rows in between. */
const MAX_ATTEMPTS = 5;

/** A batch of one store. */
export interface Work {
  readonly database: Database;
  readonly tables: Tables;
  /** Absent: the server's. */
  readonly clock: Clock | undefined;
  /** Rows that were made since the last sweep, or a few more: the store sweeps by it, and sets it to 0. */
  made: number;
  /** Keys whose rows were there not long ago. */
  readonly known: KnownKeys;
}

/** What was read, and the instant after the last row. */
interface Read {
  /** Of the rows that are there. */
  readonly states: ReadonlyMap<string, ReadState>;
  readonly nowMs: number;
}

/** Decides a batch, or throws and has changed nothing. */
export async function transact(
  work: Work,
  requests: readonly StoreRequest[],
  terms: Terms,
): Promise<readonly StoreAnswer[]> {
  const { database, known } = work;
  const { receipt, ...withoutReceipt } = terms;
  const buckets = requests.flatMap(keysOf);
  // What books nothing needs no lock and no receipt, unless it closes a number that others may still book.
  if (requests.every(({ mode }) => mode === "peek") && receipt?.closes !== true) {
    const { states, nowMs } = await read(work, database.query, [...new Set(buckets)], "");
    return bookBatch(requests, (key) => states.get(key), nowMs, withoutReceipt).replies;
  }
  const keys = [...new Set(receipt === undefined ? buckets : [...buckets, receiptsKey(receipt.instance)])];
  for (let attempt = 1; ; attempt++) {
    const unsure = keys.filter((key) => !known.has(key));
    if (unsure.length > 0) await insertMissing(work, unsure);
    work.made += unsure.length;
    const replies = await database.transaction(async (query) => {
      const { states, nowMs } = await read(work, query, keys, "FOR UPDATE OF bucket");
      const removed = keys.filter((key) => !states.has(key));
      if (removed.length > 0) {
        for (const key of removed) known.delete(key);
        return null;
      }
      const { replies, changed } = bookBatch(requests, (key) => states.get(key), nowMs, terms);
      if (changed.size > 0) await write(work, query, changed);
      return replies;
    });
    if (replies !== null) {
      for (const key of keys) known.add(key);
      return replies;
    }
    if (attempt >= MAX_ATTEMPTS) {
      throw new StoreError("busy", "Postgres: others remove rows as fast as they are made", { transient: true });
    }
  }
}

/** Makes missing rows in a transaction of their own, so that no batch waits for a row while it holds the lock of another. */
async function insertMissing({ database, tables }: Work, keys: readonly string[]): Promise<void> {
  const text = `INSERT INTO ${tables.buckets} (key, value, expires_at_ms)
    SELECT key, '', ${SERVER_NOW_MS} + ${UNWRITTEN_MS}
    FROM jsonb_array_elements_text($1::text::jsonb) AS key ORDER BY key COLLATE "C" ON CONFLICT (key) DO NOTHING`;
  await database.run(text, JSON.stringify(keys));
}

/**
 * An aggregate is there when all of its rows are: the clock beside it is read after the last lock, where they are locked.
 * The mark is among the rows and never locked: every batch reads it, and none must wait for another there.
 */
async function read(
  { tables: { buckets }, clock }: Work,
  query: Query,
  keys: readonly string[],
  lock: "FOR UPDATE OF bucket" | "",
): Promise<Read> {
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

async function write({ tables }: Work, query: Query, changed: ReadonlyMap<string, StoredState | undefined>) {
  const rows = [...changed].map(([key, state]) => ({
    key,
    value: state === undefined ? "" : encodeState(state),
    expires_at_ms: state?.expiresAtMs ?? 0,
  }));
  const text = `UPDATE ${tables.buckets} AS bucket SET value = next.value, expires_at_ms = next.expires_at_ms
    FROM jsonb_to_recordset($1::text::jsonb) AS next(key text, value text, expires_at_ms bigint)
    WHERE bucket.key = next.key`;
  await query(text, [JSON.stringify(rows)]);
}

/**
 * Removes expired rows among some rows after a key. It skips rows that are locked.
 *
 * @returns the last key that was looked at, or nothing after the last row
 */
export async function sweep({ database, tables, clock }: Work, after: string, count: number): Promise<string> {
  const text = `WITH visited AS MATERIALIZED (SELECT key FROM ${tables.buckets} WHERE key > $1 ORDER BY key LIMIT ${count}),
    expired AS MATERIALIZED (SELECT key FROM ${tables.buckets} WHERE key IN (SELECT key FROM visited)
      AND expires_at_ms <= ${sqlNowMs(clock)} FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM ${tables.buckets} WHERE key IN (SELECT key FROM expired))
    SELECT json_build_array(max(key), count(*))::text FROM visited`;
  const [last, looked] = listIn(await database.query(text, [after])) as [last: string, looked: number];
  return looked < count ? "" : last;
}

/** Keys that were added lately: at most 100,000 (about 10 MB), of which the older half is forgotten at once. */
export class KnownKeys {
  #young = new Set<string>();
  #old = new Set<string>();

  has(key: string): boolean {
    return this.#young.has(key) || this.#old.has(key);
  }

  add(key: string): void {
    if (this.#young.size >= MAX_YOUNG_KEYS) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(key);
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}

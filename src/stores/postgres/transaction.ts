// One batch, one transaction: its rows are locked in the order of their keys, the clock is read after the last lock, the
// kernel decides, and what changed is written. Nothing is judged in SQL.

import type { Clock } from "../../clock.ts";
import { keysOf } from "../../kernel/decide.ts";
import { MARK_KEY, receiptsKey } from "../../kernel/receipts.ts";
import type { StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoredState } from "../../kernel/state.ts";
import { encodeState } from "../../kernel/encoding/state.ts";
import type { Known } from "../../store/batch.ts";
import { decodeState, validTime } from "../../store/check.ts";
import { StoreError } from "../../store/error.ts";
import { bookBatch } from "../../store/receipts.ts";
import type { Terms } from "../../store/shared-store.ts";
import { type Database, listIn, type Query } from "./client.ts";
import type { Tables } from "./schema.ts";

/** How long a row lives that was made only to be locked, and was not written. */
const UNWRITTEN_MS = 60_000;
/** How often a batch is tried while other processes remove its rows in between. */
const MAX_ATTEMPTS = 5;

/** A batch of one store. */
export interface Work {
  readonly database: Database;
  readonly tables: Tables;
  /** Absent: the server's. */
  readonly clock: Clock | undefined;
  /** At most so many rows were made since they were looked at for expiry. */
  made: number;
  /** Keys whose rows were there not long ago. */
  readonly known: KnownKeys;
}

/** A row of the table. */
interface Row {
  readonly value: string;
  readonly expiresAtMs: number;
}

/** Rows that were read, and the instant after the last of them. */
interface Read {
  readonly rows: ReadonlyMap<string, Row>;
  readonly nowMs: number;
}

/** Decides a batch, or throws and has changed nothing. */
export async function transact(
  work: Work,
  requests: readonly StoreRequest[],
  terms: Terms,
): Promise<readonly (StoreReply | StoreError)[]> {
  const { database, known } = work;
  const { receipt, ...unbooked } = terms;
  const buckets = requests.flatMap(keysOf);
  // What books nothing needs no lock and no receipt, unless it settles what others may still book.
  if (requests.every(({ mode }) => mode === "peek") && receipt?.closes !== true) {
    const { rows, nowMs } = await read(work, database.query, [...new Set(buckets)], "");
    return bookBatch(requests, (key) => stateIn(rows.get(key)), nowMs, unbooked).replies;
  }
  const keys = [...new Set(receipt === undefined ? buckets : [...buckets, receiptsKey(receipt.instance)])];
  for (let attempt = 1; ; attempt++) {
    const unsure = keys.filter((key) => !known.has(key));
    if (unsure.length > 0) await insertMissing(work, unsure);
    work.made += unsure.length;
    const replies = await database.transaction(async (query) => {
      const { rows, nowMs } = await read(work, query, keys, "FOR UPDATE OF bucket");
      const removed = keys.filter((key) => !rows.has(key));
      if (removed.length > 0) {
        for (const key of removed) known.delete(key);
        return null;
      }
      const { replies, changed } = bookBatch(requests, (key) => stateIn(rows.get(key)), nowMs, terms);
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
  const text =
    `INSERT INTO ${tables.buckets} (key, value, expires_at_ms)` +
    ` SELECT key, '', (extract(epoch FROM clock_timestamp()) * 1000)::bigint + ${UNWRITTEN_MS}` +
    ` FROM jsonb_array_elements_text($1::text::jsonb) AS key ORDER BY key COLLATE "C" ON CONFLICT (key) DO NOTHING`;
  await database.send(text, JSON.stringify(keys));
}

/**
 * An aggregate is there when all of its rows are: the clock beside it is read after the last lock, where they are locked.
 * The mark is among the rows and never locked: every batch reads it, and none must wait for another there.
 */
async function read(
  { tables, clock }: Work,
  query: Query,
  keys: readonly string[],
  lock: "FOR UPDATE OF bucket" | "",
): Promise<Read> {
  const text =
    `WITH found AS MATERIALIZED (SELECT bucket.key, value, expires_at_ms` +
    " FROM jsonb_array_elements_text($1::text::jsonb) AS wanted(key)" +
    ` JOIN ${tables.buckets} AS bucket ON bucket.key = wanted.key COLLATE "C" ORDER BY bucket.key ${lock}),` +
    ` seen AS (SELECT * FROM found UNION ALL` +
    ` SELECT key, value, expires_at_ms FROM ${tables.buckets} WHERE key = '${MARK_KEY}')` +
    ` SELECT json_build_array(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,` +
    ` coalesce(json_agg(json_build_array(key, value, expires_at_ms)), '[]'))::text FROM seen`;
  const [nowMs, rows] = listIn(await query(text, [JSON.stringify(keys)])) as [
    nowMs: number,
    rows: readonly (readonly [key: string, value: string, expiresAtMs: number])[],
  ];
  return {
    rows: new Map(rows.map(([key, value, expiresAtMs]) => [key, { value, expiresAtMs }])),
    nowMs: clock === undefined ? nowMs : clock.nowMs(),
  };
}

function stateIn(row: Row | undefined): Known {
  return row === undefined || row.value === "" ? undefined : decodeState(row.value, row.expiresAtMs);
}

async function write({ tables }: Work, query: Query, changed: ReadonlyMap<string, StoredState | undefined>) {
  const rows = [...changed].map(([key, state]) => ({
    key,
    value: state === undefined ? "" : encodeState(state),
    expires_at_ms: String(state?.expiresAtMs ?? 0),
  }));
  const text =
    `UPDATE ${tables.buckets} AS bucket SET value = next.value, expires_at_ms = next.expires_at_ms` +
    " FROM jsonb_to_recordset($1::text::jsonb) AS next(key text, value text, expires_at_ms bigint)" +
    " WHERE bucket.key = next.key";
  await query(text, [JSON.stringify(rows)]);
}

/**
 * Removes expired rows among some rows after a key. It skips rows that are locked.
 *
 * @returns the last key that was looked at, or nothing after the last row
 */
export async function sweep({ database, tables, clock }: Work, after: string, count: number): Promise<string> {
  const now =
    clock === undefined ? "(extract(epoch FROM clock_timestamp()) * 1000)::bigint" : String(validTime(clock.nowMs()));
  const text =
    `WITH visited AS MATERIALIZED (SELECT key FROM ${tables.buckets} WHERE key > $1 ORDER BY key LIMIT ${count}),` +
    ` expired AS MATERIALIZED (SELECT key FROM ${tables.buckets} WHERE key IN (SELECT key FROM visited)` +
    ` AND expires_at_ms <= ${now} FOR UPDATE SKIP LOCKED),` +
    ` gone AS (DELETE FROM ${tables.buckets} WHERE key IN (SELECT key FROM expired))` +
    " SELECT json_build_array(max(key), count(*))::text FROM visited";
  const [last, looked] = listIn(await database.query(text, [after])) as [last: string, looked: number];
  return looked < count ? "" : last;
}

/** A bounded set: the keys that were added first are the first to go. */
export class KnownKeys {
  readonly #keys = new Set<string>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  add(key: string): void {
    this.#keys.add(key);
    if (this.#keys.size <= this.#most) return;
    const [oldest] = this.#keys;
    if (oldest !== undefined) this.#keys.delete(oldest);
  }

  delete(key: string): void {
    this.#keys.delete(key);
  }
}

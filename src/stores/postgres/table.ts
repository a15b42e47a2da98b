// The table of buckets: rows are made, read, locked, written and swept. Nothing is judged in SQL but what plain-charges.ts says.

import type { Clock } from "../../clock.ts";
import { MARK_KEY } from "../../kernel/receipts.ts";
import type { StoredState } from "../../kernel/state.ts";
import { encodeState } from "../../kernel/encoding/state.ts";
import { decodeState, type ReadState } from "../../store/check.ts";
import { SWEPT_PER_NEW } from "../../store/room.ts";
import { listIn } from "./client.ts";
import { type Database, type Decide, SERVER_NOW_MS, sqlNowMs } from "./database.ts";
import { chargingIn } from "./plain-charges.ts";
import { KnownReceipts } from "./receipt-texts.ts";
import { arrayOf, type Asked, type Statement, statement } from "./statement.ts";

/** How long a row lives that was made only to be locked, and was not written. */
const UNWRITTEN_MS = 60_000;
/** Half of the most keys that are known to have rows: all of them take about 10 MB. */
const MAX_YOUNG_KEYS = 50_000;
const ROWS_PER_SWEEP = 1_000;
/**
 * After so many batches in a row that found what they did not know, the next one expects to find its rows, too. With many live
 * sessions nearly all of them do, and a row is locked for half of what it takes to make or lock it.
 */
const FOUND_BEFORE_TRUST = 8;

type Row = readonly [key: string, value: string, expiresAtMs: number];
type Changes = ReadonlyMap<string, StoredState | undefined>;

/** What rows hold, and the instant after the last of them was read. */
export interface Seen {
  readonly states: ReadonlyMap<string, ReadState>;
  readonly nowMs: number;
}

export class Table {
  readonly database: Database;
  /** What the table is called in statements. */
  readonly buckets: string;
  readonly clock: Clock | undefined;
  readonly receipts = new KnownReceipts();
  readonly #charge: Statement;
  readonly #make: Statement;
  readonly #lock: Statement;
  readonly #look: Statement;
  readonly #write: Statement;
  /** Keys whose rows were there not long ago, in two generations: the older one is forgotten at once. */
  #young = new Set<string>();
  #old = new Set<string>();
  /** Rows that were made since the last sweep, or a few more. */
  #made = 0;
  /** How many batches in a row found a row that holds something for each key that was not known to have one. */
  #foundInRow = 0;
  /** Up to which key rows were looked at for expiry. */
  #hand = "";
  #isSweeping = false;

  /** @param clock absent: the server's */
  constructor(database: Database, buckets: string, clock: Clock | undefined) {
    this.database = database;
    this.buckets = buckets;
    this.clock = clock;
    this.#charge = statement("charge", chargingIn(buckets, SERVER_NOW_MS));
    this.#make = statement("make", makingIn(buckets));
    this.#lock = statement("lock", readingIn(buckets, "ORDER BY key FOR UPDATE"));
    this.#look = statement("look", readingIn(buckets, ""));
    this.#write = statement("write", writingIn(buckets));
  }

  /** How keys stand, without a lock. */
  async look(keys: readonly string[]): Promise<Seen> {
    return seenIn(await this.database.often([{ statement: this.#look, values: [arrayOf(keys)] }]), this.clock);
  }

  /**
   * Adds to plain numbers, all or none, in one statement.
   *
   * @param values the parameters of that statement
   * @returns how the keys stood before; `null` where nothing was added
   */
  async charge(keys: readonly string[], values: readonly string[]): Promise<Seen | null> {
    const unsure = this.#unsure(keys);
    const charge = { statement: this.#charge, values };
    const answer = await this.database.often([...this.#making(keys, this.#makes(unsure)), charge]);
    // The clock is not read again: SQL has decided at the instant that it answers.
    const seen = seenIn(answer, undefined);
    this.#learn(keys, unsure, seen);
    return listIn(answer)[3] === true ? seen : null;
  }

  /**
   * Locks the rows of keys, decides, and writes what changed, in one transaction. Rows that may not be there are made before
   * the others are locked, and all of them are locked in that statement: so every transaction locks in the order of the keys.
   *
   * @param mustMake makes rows that are not known to be there, also where they are expected to be
   * @returns `null` where a row is not there that was known, or expected
   */
  async exchange<Value extends { readonly changed: Changes }>(
    keys: readonly string[],
    decide: (seen: Seen) => Value,
    mustMake: boolean,
  ): Promise<Value | null> {
    const unsure = this.#unsure(keys);
    const makes = this.#makes(unsure, mustMake);
    // Rows that were just made, or found in their places, are locked.
    const read = { statement: makes ? this.#look : this.#lock, values: [arrayOf(keys)] };
    const asked = [...this.#making(keys, makes), read];
    const decided: Decide<{ readonly seen: Seen; readonly value: Value | null }> = (answer) => {
      const seen = seenIn(answer, this.clock);
      if (keys.some((key) => !seen.states.has(key))) return [{ seen, value: null }, null];
      const value = decide(seen);
      return [{ seen, value }, value.changed.size === 0 ? null : columnsOf(value.changed)];
    };
    const { seen, value } = await this.database.exchange(asked, this.#write, decided);
    this.#learn(keys, unsure, seen);
    return value;
  }

  /** The keys that are not known to have rows. */
  #unsure(keys: readonly string[]): readonly string[] {
    return keys.filter((key) => !this.#young.has(key) && !this.#old.has(key));
  }

  /** Whether rows are made where there are none. */
  #makes({ length }: readonly string[], mustMake = false): boolean {
    return length > 0 && (mustMake || this.#foundInRow < FOUND_BEFORE_TRUST);
  }

  #making(keys: readonly string[], makes: boolean): Asked[] {
    return makes ? [{ statement: this.#make, values: [arrayOf(keys)] }] : [];
  }

  /** Notes which keys have rows, and how many of those that were not known to have one held nothing. */
  #learn(keys: readonly string[], unsure: readonly string[], { states }: Seen): void {
    const empty = unsure.filter((key) => states.get(key) === undefined).length;
    this.#made += empty;
    if (empty > 0) this.#foundInRow = 0;
    else if (unsure.length > 0) this.#foundInRow++;
    if (this.#young.size >= MAX_YOUNG_KEYS) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    for (const key of keys) {
      if (states.has(key)) {
        this.#young.add(key);
      } else {
        this.#young.delete(key);
        this.#old.delete(key);
      }
    }
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
      const nowMs = sqlNowMs(this.clock);
      // It skips rows that are locked.
      const text = `WITH visited AS MATERIALIZED (
          SELECT key, expires_at_ms <= ${nowMs} AS is_over FROM ${buckets} WHERE key > $1 ORDER BY key LIMIT ${ROWS_PER_SWEEP}),
        expired AS MATERIALIZED (SELECT key FROM ${buckets} WHERE key = ANY (ARRAY(SELECT key FROM visited WHERE is_over))
          AND expires_at_ms <= ${nowMs} FOR UPDATE SKIP LOCKED),
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

/**
 * Makes the rows of keys that have none, and locks those of all keys, in their order. Two transactions never wait for each
 * other: each waits only for a row whose key is after those of all rows that it has locked or made.
 */
function makingIn(buckets: string): string {
  return `INSERT INTO ${buckets} AS bucket (key, value, expires_at_ms)
    SELECT key, '', ${SERVER_NOW_MS} + ${UNWRITTEN_MS} FROM unnest($1::text::text[]) AS key ORDER BY key COLLATE "C"
    ON CONFLICT (key) DO UPDATE SET value = bucket.value WHERE bucket.key IS NULL`;
}

/**
 * Reads rows, and the mark. An aggregate is there when all of its rows are: the clock beside it is read after the last lock,
 * where they are locked. The mark is never locked: every batch reads it, and none must wait for another there.
 *
 * The keys are a query of their own, so that their text is read once: a row that another transaction has changed meanwhile is
 * compared with them again.
 */
function readingIn(buckets: string, lock: "ORDER BY key FOR UPDATE" | ""): string {
  return `SELECT json_build_array(${SERVER_NOW_MS},
      (SELECT json_build_array(key, value, expires_at_ms) FROM ${buckets} WHERE key = '${MARK_KEY}'),
      json_agg(json_build_array(key, value, expires_at_ms)))::text
    FROM (SELECT key, value, expires_at_ms FROM ${buckets} WHERE key = ANY((SELECT $1::text::text[])::text[]) ${lock}) AS found`;
}

/** Writes rows that are locked. It finds them as an insert does: by the primary key, whatever the server knows of the table. */
function writingIn(buckets: string): string {
  return `INSERT INTO ${buckets} (key, value, expires_at_ms)
    SELECT * FROM unnest($1::text::text[], $2::text::text[], $3::text::bigint[])
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at_ms = excluded.expires_at_ms`;
}

/** @param clock absent: the instant is the one in the answer */
function seenIn(answer: readonly unknown[], clock: Clock | undefined): Seen {
  const [answeredMs, mark, rows] = listIn(answer) as [number, Row | null, Row[] | null];
  const nowMs = clock === undefined ? answeredMs : clock.nowMs();
  const stateIn = (value: string, expiresAtMs: number) =>
    value === "" ? undefined : decodeState(value, expiresAtMs, nowMs);
  const found = mark === null ? (rows ?? []) : [...(rows ?? []), mark];
  return { states: new Map(found.map(([key, value, expiresAtMs]) => [key, stateIn(value, expiresAtMs)])), nowMs };
}

function columnsOf(changed: Changes): string[] {
  const values = [...changed.values()];
  const texts = values.map((state) => (state === undefined ? "" : encodeState(state)));
  const ends = values.map((state) => String(state?.expiresAtMs ?? 0));
  return [[...changed.keys()], texts, ends].map(arrayOf);
}

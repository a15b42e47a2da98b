// One JSON column of a program's own table on Postgres, through `pg`, postgres.js or Prisma.

import { type Clock, clockOption } from "../../clock.ts";
import { checked, readOptions, required, type TableOf, whole } from "../../kernel/options.ts";
import { StoreError } from "../../store/error.ts";
import { databaseThrough, listIn, type PostgresClient } from "../postgres/client.ts";
import { askedOnce, type Query, SERVER_NOW_MS } from "../postgres/database.ts";
import { type Fixes, postgresError } from "../postgres/errors.ts";
import { setupOf } from "../postgres/setup.ts";
import type { DocumentPort } from "./port.ts";

/** The statements of a change: BEGIN, those that set the spelling, lock and write, and COMMIT. Each has one deadline. */
const STATEMENTS_PER_CHANGE = 5;

/** Which column of which table. */
export interface ColumnOptions {
  /** The table, as the database calls it: Prisma's `model AgentSession` is `AgentSession`. */
  readonly table: string;
  /** The column that the policy's partition is in. Default `id`. */
  readonly id?: string;
  /** The JSON column (`json`, `jsonb` or `text`), which is Tollgate's alone. */
  readonly column: string;
  /** The schema that the table is in. Default: the first of the search path. */
  readonly schema?: string;
  /**
   * How long one statement may take, and wait for the row, 1 to 60,000 ms. Default 2,000. A connection that has not answered
   * half a second after that is destroyed.
   */
  readonly deadlineMs?: number;
  /** For tests. Default: the server's clock. */
  readonly clock?: Clock;
}

const databaseName = checked<string>("a name in the database", (value) => {
  return typeof value === "string" && /^[A-Za-z_]\w{0,62}$/.test(value);
});
const OPTIONS = {
  table: required(databaseName),
  id: { ...databaseName, default: "id" },
  column: required(databaseName),
  schema: databaseName,
  deadlineMs: whole(1, 60_000, 2_000),
  clock: clockOption,
} satisfies TableOf<ColumnOptions>;

/**
 * Settings of a session by which Postgres writes and reads values as texts. Instances may have different ones, and a row must
 * have one spelling.
 */
const SPELLING = Object.entries({
  TimeZone: "UTC",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  bytea_output: "hex",
  extra_float_digits: "1",
  lc_monetary: "C",
});
const SET_SPELLING = `SELECT json_build_array(${SPELLING.map(([name, value]) => `set_config('${name}', '${value}', true)`).join()})::text`;
/** Types whose texts depend on none of these: most tables have their ids in one of them, and need no further statement. */
const SPELLED_ALIKE = /^(text|varchar|bpchar|name|citext|uuid|int[248]|numeric|bool)$/;

const FIXES: Fixes = {
  "42P01": "name the table as the database calls it",
  "3F000": "name the schema that the table is in",
  "42501": "the role needs SELECT on the table's two columns, and UPDATE on the JSON column",
};

/**
 * The JSON column of a table, for `documentStore`.
 *
 * @throws MisuseError `unsupported-client`, `invalid-option`
 */
export function columnOf(client: PostgresClient, options: ColumnOptions): DocumentPort {
  const { table, id, column, schema, deadlineMs, clock } = readOptions(OPTIONS, options);
  const database = databaseThrough(client, deadlineMs);
  const from = schema === undefined ? `"${table}"` : `"${schema}"."${table}"`;
  const types = askedOnce(() => typesOf(database.query, from, id, column));
  const fail = (error: unknown): never => {
    throw postgresError(error, { fixes: FIXES });
  };
  const changeRow: DocumentPort["transact"] = async (partition, change) => {
    const { idType, columnType, isSpelledAlike } = await types();
    const where = `WHERE "${id}" = $1::text::${idType}`;
    const lock = `WITH locked AS MATERIALIZED (
        SELECT "${column}"::text AS json, "${id}"::text AS id FROM ${from} ${where} FOR UPDATE)
      SELECT json_build_array(count(*), max(json), max(id), ${SERVER_NOW_MS})::text FROM locked`;
    return database.transaction(async (query) => {
      if (!isSpelledAlike) await query(SET_SPELLING);
      // An aggregate is there when the row is locked: the server's clock beside it is read after that.
      const locked = listIn(await query(lock, [partition]));
      const [count, json, spelled, serverMs] = locked as [number, string, string, number];
      if (count !== 1) {
        const message = `${from} has ${count === 0 ? "no" : "more than one"} row whose "${id}" is the call's partition: make the session's row before its first call`;
        throw new StoreError("unknown-partition", message, { transient: false });
      }
      const changed = change(json, clock === undefined ? serverMs : clock.nowMs(), spelled);
      if (changed.json !== json) {
        const text = `UPDATE ${from} SET "${column}" = $2::text::${columnType} ${where}`;
        await query(text, [partition, JSON.stringify(changed.json)]);
      }
      return changed.result;
    });
  };
  return {
    deadlineMs: STATEMENTS_PER_CHANGE * deadlineMs,
    transact: (partition, change) => changeRow(partition, change).catch(fail),
    setup: () => setupOf(database).catch(fail),
  };
}

/**
 * What the columns are, so that texts can be compared with them and written to them: of a domain the type below it, and
 * without a length. A cast to `character`, or to a domain on `character(8)`, would cut a longer text to another row's id.
 */
async function typesOf(query: Query, from: string, id: string, column: string) {
  const text = `WITH RECURSIVE types AS (
      SELECT attname::text AS name, atttypid AS type FROM pg_attribute
      WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
      UNION ALL SELECT name, typbasetype FROM types JOIN pg_type ON pg_type.oid = type WHERE typtype = 'd')
    SELECT coalesce(json_agg(json_build_array(name, format_type(type, -1), typname)), '[]')::text
    FROM types JOIN pg_type ON pg_type.oid = type WHERE typtype <> 'd'`;
  const columns = listIn(await query(text, [from])) as [name: string, type: string, bareName: string][];
  const typeOf = (wanted: string) => {
    const found = columns.find(([name]) => name === wanted);
    if (found !== undefined) return found;
    const message = `the table ${from} has no column "${wanted}": add it, or name the one that is meant`;
    throw new StoreError("schema-version", message, { transient: false });
  };
  const [, idType, idName] = typeOf(id);
  // A server with `quote_all_identifiers` formats jsonb as "jsonb", in quotes.
  const [, columnType, bareName] = typeOf(column);
  if (!["json", "jsonb", "text"].includes(bareName)) {
    const message = `the column "${column}" of ${from} is of type ${columnType}: json, jsonb or text is needed`;
    throw new StoreError("schema-version", message, { transient: false });
  }
  return { idType, columnType, isSpelledAlike: SPELLED_ALIKE.test(idName) };
}

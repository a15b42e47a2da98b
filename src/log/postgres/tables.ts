// The tables of a log in Postgres. They are the log's own, with a version of their own: a migration of the store never waits for them.

import { StoreError } from "../../store/error.ts";
import { listIn } from "../../stores/postgres/client.ts";
import type { Database, Query } from "../../stores/postgres/database.ts";

const VERSION = 2;
/** One instance at a time makes the tables. The number is Tollgate's own. */
const LOCK = "SELECT json_build_array(pg_advisory_xact_lock(7465677488)::text)::text";

/** What stands before the names of tables. */
export type Prefix = string;

function tablesOf(at: Prefix): string[] {
  return [
    `CREATE TABLE ${at}tollgate_log_entries (
      position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL, at_ms bigint NOT NULL, kind text NOT NULL,
      allowed boolean, session text, tenant text NOT NULL, body text NOT NULL)`,
    `CREATE INDEX ON ${at}tollgate_log_entries USING hash (id)`,
    `CREATE INDEX ON ${at}tollgate_log_entries (session, position) WHERE session IS NOT NULL`,
    `CREATE INDEX ON ${at}tollgate_log_entries (position) WHERE allowed = false OR kind = 'event'`,
    `CREATE TABLE ${at}tollgate_log_minutes (
      minute bigint, "limit" text, unit text, tool text, tenant text, calls bigint, denied bigint, exceeded bigint, units numeric,
      logged bigint, dropped bigint, PRIMARY KEY (minute, "limit", unit, tool, tenant))`,
    `CREATE TABLE ${at}tollgate_log_tops (
      minute bigint, dimension text, unit text, value text, tenant text, calls bigint, denied bigint, units numeric, error numeric,
      PRIMARY KEY (minute, dimension, unit, value, tenant))`,
    `CREATE TABLE ${at}tollgate_log_near (name text PRIMARY KEY, fill float8, tenant text, at_ms bigint, ends_at_ms bigint, body text)`,
    `CREATE INDEX ON ${at}tollgate_log_near (fill)`,
    `CREATE TABLE ${at}tollgate_log_sessions (
      session text, tenant text, "user" text, first_ms bigint, last_ms bigint, calls bigint, denied bigint, denied_by text,
      PRIMARY KEY (session, tenant))`,
    `CREATE INDEX ON ${at}tollgate_log_sessions (last_ms)`,
    `CREATE TABLE ${at}tollgate_log_policies (version text PRIMARY KEY, at_ms bigint, source text)`,
    `CREATE TABLE ${at}tollgate_log_writers (instance text PRIMARY KEY, number bigint, at_ms bigint)`,
    `CREATE TABLE ${at}tollgate_log_schema (version integer, salt text)`,
    `INSERT INTO ${at}tollgate_log_schema VALUES (${VERSION}, gen_random_uuid()::text)`,
  ];
}

/** Whether there are tables of a log. */
export async function hasTables(query: Query, at: Prefix): Promise<boolean> {
  const asked = "SELECT json_build_array(to_regclass($1::text)::text)::text";
  const [found] = listIn(await query(asked, [`${at}tollgate_log_schema`]));
  return found !== null;
}

/**
 * Makes the tables where there are none. Returns the log's salt.
 *
 * @throws StoreError `schema-version`; what the client throws
 */
export async function ensureTables(database: Database, at: Prefix): Promise<string> {
  return database.transaction(async (query) => {
    await query(LOCK);
    if (!(await hasTables(query, at))) for (const statement of tablesOf(at)) await query(statement);
    const [version, salt] = listIn(
      await query(`SELECT json_build_array(version, salt)::text FROM ${at}tollgate_log_schema`),
    );
    if (version === VERSION) return String(salt);
    const message = `Postgres: the tables of the log have version ${version}; this version of Tollgate reads version ${VERSION}`;
    throw new StoreError("schema-version", message, { transient: false });
  });
}

// Tollgate's tables: made, checked and named.

import { invalidOption } from "../../kernel/errors.ts";
import { StoreError } from "../../store/error.ts";
import { databaseThrough, listIn, type PostgresClient } from "./client.ts";
import type { Database, Query } from "./database.ts";
import { postgresError } from "./errors.ts";
import { MIGRATIONS } from "./migrations.gen.ts";

/** The version that this code reads and writes. */
const VERSION = MIGRATIONS.length;
/** Deadlines of a statement that reads the version, and of one that migrates: that one may wait for another instance. */
const QUICK_MS = 2_000;
const MIGRATION_MS = 60_000;

/** Which tables. */
export interface SchemaOptions {
  /** The schema that Tollgate's tables are in: a name of lower-case letters, digits and `_`. Default: the first of the search path. */
  readonly schema?: string | undefined;
}

/**
 * What stands before the name of a table in statements.
 *
 * @throws MisuseError `invalid-option`
 */
export function prefixOf(schema: string | undefined): string {
  if (schema === undefined) return "";
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) return `"${schema}".`;
  throw invalidOption("schema", "a name of lower-case letters, digits and _", schema);
}

/**
 * Makes Tollgate's tables, or brings them to this version. Safe to run at every start, also by many instances at once.
 *
 * @throws MisuseError `unsupported-client`, `invalid-option`
 * @throws StoreError
 */
export async function migrate(client: PostgresClient, { schema }: SchemaOptions = {}): Promise<void> {
  const quick = databaseThrough(client, QUICK_MS);
  const database = databaseThrough(client, MIGRATION_MS);
  const prefix = prefixOf(schema);
  try {
    // Where there is nothing to do, a connection that dies meanwhile costs no more than any other.
    if ((await quick.transaction((query) => versionOf(query, prefix))) === VERSION) return;
    await database.transaction(async (query) => {
      // One at a time; the number is Tollgate's own.
      await query("SELECT json_build_array(pg_advisory_xact_lock(7465677487)::text)::text");
      if (schema !== undefined) await query(`SET LOCAL search_path = "${schema}"`);
      const from = await versionOf(query, prefix);
      if (from > VERSION) throw otherVersion(from);
      for (const statement of MIGRATIONS.slice(from).flat()) await query(statement);
    });
  } catch (error) {
    throw postgresError(error);
  }
}

/** 0 where there are no tables. */
async function versionOf(query: Query, prefix: string): Promise<number> {
  const table = `${prefix}tollgate_schema`;
  const [found] = listIn(await query("SELECT json_build_array(to_regclass($1::text)::text)::text", [table]));
  return found === null ? 0 : writtenVersion(query, prefix);
}

/**
 * Refuses tables of another version.
 *
 * @throws StoreError `schema-version`
 */
export async function checkVersion(database: Database, prefix: string): Promise<void> {
  const version = await writtenVersion(database.query, prefix);
  if (version !== VERSION) throw otherVersion(version);
}

async function writtenVersion(query: Query, prefix: string): Promise<number> {
  const [version = 0] = listIn(await query(`SELECT json_build_array(version)::text FROM ${prefix}tollgate_schema`));
  return Number(version);
}

function otherVersion(version: number): StoreError {
  const fix = version < VERSION ? "run migrate()" : "update tollgate";
  const message = `Postgres: the tables are of version ${version}, and this is version ${VERSION}: ${fix}`;
  return new StoreError("schema-version", message, { transient: false });
}

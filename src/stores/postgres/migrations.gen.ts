// Made from the migration files by `npm run sql`. Do not edit.

/** The statements of each version, from 1. */
export const MIGRATIONS: readonly (readonly string[])[] = [
  [
    "CREATE TABLE tollgate_buckets ( key text COLLATE \"C\" PRIMARY KEY, value text NOT NULL, expires_at_ms bigint NOT NULL ) WITH (fillfactor = 50)",
    "CREATE TABLE tollgate_schema ( version integer NOT NULL )",
    "INSERT INTO tollgate_schema (version) VALUES (1)",
  ],
];

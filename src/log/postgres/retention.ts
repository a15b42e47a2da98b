// Removes what is too old or too much, a little at a time.

import type { Query } from "../../stores/postgres/database.ts";
import { NEAR } from "../near.ts";
import type { KeepSettings } from "../options.ts";
import { MINUTE_MS } from "../sums.ts";
import type { Prefix } from "./tables.ts";

/** Entries that are removed after one batch. */
const STEP = 5_000;
const MAX_NEAR = 10_000;
const MAX_SESSIONS = 1_000_000;

/** Called in the transaction of a batch, which no other batch runs beside. */
export async function removeOld(
  query: Query,
  at: Prefix,
  { maxEntries, maxAgeMs }: KeepSettings,
  nowMs: number,
): Promise<void> {
  await query(
    `DELETE FROM ${at}tollgate_log_entries WHERE position IN (
      SELECT position FROM ${at}tollgate_log_entries ORDER BY position LIMIT ${STEP})
    AND (at_ms < $1::bigint OR position <= (SELECT max(position) FROM ${at}tollgate_log_entries) - $2::bigint)`,
    [String(nowMs - maxAgeMs), String(maxEntries)],
  );
}

/** Called once a minute. */
export async function removeOldSums(
  query: Query,
  at: Prefix,
  { maxAgeMs }: KeepSettings,
  nowMs: number,
): Promise<void> {
  const oldestMs = String(nowMs - maxAgeMs);
  const oldest = String(Math.floor((nowMs - maxAgeMs) / MINUTE_MS));
  for (const table of ["minutes", "tops"]) {
    await query(`DELETE FROM ${at}tollgate_log_${table} WHERE minute < $1::bigint`, [oldest]);
  }
  await query(`DELETE FROM ${at}tollgate_log_sessions WHERE last_ms < $1::bigint`, [oldestMs]);
  await query(`DELETE FROM ${at}tollgate_log_writers WHERE at_ms < $1::bigint`, [oldestMs]);
  await query(`DELETE FROM ${at}tollgate_log_near WHERE fill < ${NEAR} OR ends_at_ms < $1::bigint`, [oldestMs]);
  const bounds = [
    ["near", "at_ms", MAX_NEAR],
    ["sessions", "last_ms", MAX_SESSIONS],
  ] as const;
  for (const [table, column, count] of bounds) {
    await query(
      `DELETE FROM ${at}tollgate_log_${table} WHERE ${column} < (
        SELECT ${column} FROM ${at}tollgate_log_${table} ORDER BY ${column} DESC LIMIT 1 OFFSET ${count - 1})`,
    );
  }
}

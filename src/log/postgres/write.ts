// Writes a batch in one transaction: all of it, or nothing. One batch is written at a time, so that positions follow each other as batches
// are committed, and a reader that goes on from a position misses none.

import type { Query } from "../../stores/postgres/database.ts";
import { nearNameOf } from "../near.ts";
import type { LogBatch } from "../storage.ts";
import { fillOf } from "../sums.ts";
import { MAX_TEXT } from "../text.ts";
import type { Prefix } from "./tables.ts";

const LOCK = "SELECT json_build_array(pg_advisory_xact_lock(7465677489)::text)::text";

/** @returns whether it was new */
export async function writeBatch(query: Query, at: Prefix, batch: LogBatch, nowMs: number): Promise<boolean> {
  await query(LOCK);
  const number = [batch.instance, String(batch.number), String(nowMs)];
  const isNew = (await query(numberOf(at), number)).length > 0;
  if (!isNew) return false;
  const put = async (rows: readonly object[], sql: string) => {
    if (rows.length > 0) await query(sql, [JSON.stringify(rows)]);
  };
  await put(entriesOf(batch), insertEntries(at));
  await put(batch.minutes, addMinutes(at));
  await put(batch.tops, addTops(at));
  await put(nearOf(batch), putNear(at));
  await put(batch.sessions, addSessions(at));
  await put(batch.policies, putPolicies(at));
  return true;
}

function entriesOf({ entries }: LogBatch): object[] {
  return entries.map((entry) => {
    const { session = null, tenant = "" } = entry.dimensions;
    const allowed = entry.kind === "decision" ? entry.allowed : null;
    return { id: entry.id, at_ms: entry.atMs, kind: entry.kind, allowed, session, tenant, body: JSON.stringify(entry) };
  });
}

/** The last of each bucket: a statement may change a row only once. */
function nearOf({ near }: LogBatch): object[] {
  const rows = near.map((bucket) => {
    const { tenant, atMs, endsAtMs } = bucket;
    return {
      name: nearNameOf(bucket),
      fill: fillOf(bucket),
      tenant,
      at_ms: atMs,
      ends_at_ms: endsAtMs,
      body: JSON.stringify(bucket),
    };
  });
  return [...new Map(rows.map((row) => [row.name, row])).values()];
}

/** Rows of the first parameter, a list in JSON. */
function rowsOf(columns: string): string {
  return `SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(${columns})`;
}

function added(table: string, ...columns: string[]): string {
  return columns.map((column) => `${column} = ${table}.${column} + excluded.${column}`).join(", ");
}

const numberOf = (at: Prefix) =>
  `INSERT INTO ${at}tollgate_log_writers AS w VALUES ($1, $2::bigint, $3::bigint)
  ON CONFLICT (instance) DO UPDATE SET number = excluded.number, at_ms = excluded.at_ms WHERE excluded.number > w.number
  RETURNING json_build_array(number)::text`;

const insertEntries = (at: Prefix) =>
  `INSERT INTO ${at}tollgate_log_entries (id, at_ms, kind, allowed, session, tenant, body)
  ${rowsOf("id text, at_ms bigint, kind text, allowed boolean, session text, tenant text, body text")}`;

const addMinutes = (at: Prefix) =>
  `INSERT INTO ${at}tollgate_log_minutes AS m SELECT minute, "limit", unit, tool, tenant, sum(calls), sum(denied), sum(exceeded), sum(units),
    sum(logged), sum(dropped) FROM (${rowsOf(
      `minute bigint, "limit" text, unit text, tool text, tenant text, calls bigint, denied bigint, exceeded bigint, units numeric, logged bigint, dropped bigint`,
    )}) g GROUP BY 1, 2, 3, 4, 5
  ON CONFLICT (minute, "limit", unit, tool, tenant) DO UPDATE SET ${added("m", "calls", "denied", "exceeded", "units", "logged", "dropped")}`;

const addTops = (at: Prefix) =>
  `INSERT INTO ${at}tollgate_log_tops AS t SELECT minute, dimension, unit, value, tenant, sum(calls), sum(denied), sum(units), sum(error)
  FROM (${rowsOf(
    "minute bigint, dimension text, unit text, value text, tenant text, calls bigint, denied bigint, units numeric, error numeric",
  )}) g GROUP BY 1, 2, 3, 4, 5
  ON CONFLICT (minute, dimension, unit, value, tenant) DO UPDATE SET ${added("t", "calls", "denied", "units", "error")}`;

const putNear = (at: Prefix) =>
  `INSERT INTO ${at}tollgate_log_near AS n (name, fill, tenant, at_ms, ends_at_ms, body)
  ${rowsOf("name text, fill float8, tenant text, at_ms bigint, ends_at_ms bigint, body text")}
  ON CONFLICT (name) DO UPDATE SET tenant = CASE excluded.tenant WHEN '' THEN n.tenant ELSE excluded.tenant END, fill = excluded.fill, at_ms = excluded.at_ms, ends_at_ms = excluded.ends_at_ms,
    body = excluded.body`;

const addSessions = (at: Prefix) =>
  `INSERT INTO ${at}tollgate_log_sessions AS s
  SELECT session, tenant, "user", "firstMs", "lastMs", calls, denied, "deniedBy" FROM (${rowsOf(
    `session varchar(${MAX_TEXT}), tenant text, "user" text, "firstMs" bigint, "lastMs" bigint, calls bigint, denied bigint, "deniedBy" text`,
  )}) g
  ON CONFLICT (session, tenant) DO UPDATE SET ${added("s", "calls", "denied")},
    "user" = CASE excluded."user" WHEN '' THEN s."user" ELSE excluded."user" END,
    first_ms = least(s.first_ms, excluded.first_ms), last_ms = greatest(s.last_ms, excluded.last_ms),
    denied_by = coalesce(excluded.denied_by, s.denied_by)`;

const putPolicies = (at: Prefix) =>
  `INSERT INTO ${at}tollgate_log_policies SELECT version, "atMs", source
  FROM (${rowsOf(`version text, "atMs" bigint, source text`)}) g ON CONFLICT (version) DO NOTHING`;

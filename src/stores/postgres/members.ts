// The instances that share the store, and the mark by which they recognise it: rows of the same table, beside the buckets.

import { randomId } from "../../ids.ts";
import { MARK_KEY } from "../../kernel/receipts.ts";
import { encodeState } from "../../kernel/encoding/state.ts";
import { decodeState } from "../../store/check.ts";
import { StoreError } from "../../store/error.ts";
import { type Beat, ENDED_MEMBERS_PER_BEAT, LONGEST_LIFE_MS, type Member } from "../../store/shared-store.ts";
import { listIn } from "./client.ts";
import { sqlNowMs } from "./database.ts";
import type { Table } from "./table.ts";

/** The keys of instances: `tollgate:1:$instance:<group>/<instance>`. No name contains `/`. */
const INSTANCES = "tollgate:1:$instance:";
/** What the row of an instance holds: only its end counts. No state has this tag. */
const BEAT = "b1";
/** The pattern of a mark: one of another form is damaged, and is replaced. */
const MARK_PATTERN = "'^m1 [A-Za-z0-9_-]{1,64} (all|some)$'";
/** A mark never expires. */
const MARKED_UNTIL_MS = Number.MAX_SAFE_INTEGER;

/**
 * Notes that an instance lives or leaves, and makes the mark where there is none.
 *
 * It is one statement. Postgres shows it the table as it was before, without the row that it writes: so it counts the other
 * instances, and this one is added below.
 */
export async function beat(table: Table, { group, instance, livesMs, seen }: Member): Promise<Beat> {
  const { clock, database, buckets } = table;
  const mark = `SELECT value FROM ${buckets} WHERE key = '${MARK_KEY}' AND value ~ ${MARK_PATTERN}`;
  const whereLeft =
    seen.length === 0
      ? `key <> '${MARK_KEY}' AND NOT starts_with(key, '${INSTANCES}')`
      : "key = ANY (ARRAY(SELECT jsonb_array_elements_text($7::text::jsonb)))";
  // $1 its own key; $2, $3 between which the keys of its group are; $4 livesMs; $5, $6 the marks of a store that has lost some
  // of what it held, or all of it; $7 seen
  const text = `WITH instant AS MATERIALIZED (SELECT ${sqlNowMs(clock)} AS now_ms),
    others AS (SELECT count(*) FILTER (WHERE expires_at_ms > now_ms) AS living,
      count(*) FILTER (WHERE expires_at_ms > now_ms AND key < $1::text) AS before,
      count(*) FILTER (WHERE expires_at_ms <= now_ms OR expires_at_ms > now_ms + ${LONGEST_LIFE_MS}) AS untidy
      FROM ${buckets}, instant WHERE key > $2::text AND key < $3::text AND key <> $1::text),
    comes AS (INSERT INTO ${buckets} (key, value, expires_at_ms)
      SELECT $1::text, '${BEAT}', now_ms + $4::text::bigint FROM instant WHERE $4::text <> '0'
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at_ms = excluded.expires_at_ms),
    leaves AS (DELETE FROM ${buckets} WHERE key = $1::text AND $4::text = '0'),
    made AS (INSERT INTO ${buckets} AS mark (key, value, expires_at_ms)
      SELECT '${MARK_KEY}', CASE WHEN EXISTS (SELECT FROM ${buckets} WHERE value <> '' AND ${whereLeft})
        THEN $5::text ELSE $6::text END, ${MARKED_UNTIL_MS} WHERE NOT EXISTS (${mark})
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at_ms = excluded.expires_at_ms
      WHERE mark.value !~ ${MARK_PATTERN} RETURNING mark.value)
    SELECT json_build_array(now_ms, living, before, untidy, coalesce((${mark}), (SELECT value FROM made)))::text
    FROM instant, others`;
  const names = `${INSTANCES}${group}`;
  const incarnation = randomId();
  const markOf = (lost: "some" | "all") =>
    encodeState({ kind: "mark", expiresAtMs: MARKED_UNTIL_MS, incarnation, lost });
  // As bytes are ordered, 0 follows /.
  const values = [`${names}/${instance}`, `${names}/`, `${names}0`, String(livesMs), markOf("some"), markOf("all")];
  const answer = await database.query(text, seen.length === 0 ? values : [...values, JSON.stringify(seen)]);
  const [nowMs, others, rank, untidy, value] = listIn(answer) as [number, number, number, number, string | null];
  if (untidy > 0) await tidy(table, names, nowMs);
  // One that another instance made at this very moment was not there yet when this statement began.
  const [written] = value === null ? listIn(await database.query(`SELECT json_build_array((${mark}))::text`)) : [value];
  const state = decodeState(String(written), MARKED_UNTIL_MS);
  if (state?.kind !== "mark") {
    throw new StoreError("busy", "Postgres: the mark was removed while it was made", { transient: true });
  }
  return { incarnation: state.incarnation, lost: state.lost, instances: others + (livesMs === 0 ? 0 : 1), rank, nowMs };
}

/** Removes instances whose end is over, and shortens the lives that a clock wrote which was ahead. It waits for no other. */
async function tidy({ database, buckets }: Table, names: string, nowMs: number): Promise<void> {
  const untidy = (which: string) => `SELECT key FROM ${buckets} WHERE key > $1::text AND key < $2::text AND ${which}
    LIMIT ${ENDED_MEMBERS_PER_BEAT} FOR UPDATE SKIP LOCKED`;
  const text = `WITH gone AS (DELETE FROM ${buckets} WHERE key IN (${untidy("expires_at_ms <= $3::text::bigint")}))
    UPDATE ${buckets} SET expires_at_ms = $4::text::bigint WHERE key IN (${untidy("expires_at_ms > $4::text::bigint")})`;
  await database.query(text, [`${names}/`, `${names}0`, String(nowMs), String(nowMs + LONGEST_LIFE_MS)]);
}

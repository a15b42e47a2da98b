// Charges that only add to plain numbers, in one statement, where all of them pass: a single call then needs one round trip.
// Whatever else may be meant (a denial, a hold, a row that holds another text) is left to the kernel, and nothing is written.

import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import { MARK_KEY, RECEIPTS_KEPT_MS, RECEIPTS_STEP_MS } from "../../kernel/receipts.ts";
import type { Step, StoreRequest } from "../../kernel/request.ts";
import type { Terms } from "../../store/shared-store.ts";
import type { ReceiptTexts } from "./receipt-texts.ts";
import { arrayOf } from "./statement.ts";

/** Costs, quotas and lives below it add up to instants and units that are exact. */
const MAX_NUMBER = 2 ** 40;
/** Longest text of a number of units that is added to: below 10^15. */
const MAX_DIGITS = 15;
/** Before any instant that a store decides at. */
const NEVER_LATE = Number.MAX_SAFE_INTEGER;

interface Charge {
  readonly key: string;
  readonly cost: number;
  readonly quota: number;
  readonly lifeMs: number;
  readonly endsAfter: string;
}

/** A statement's parameters for a request that only adds to plain numbers; `null` where it may do anything else. */
export function plainChargesOf(
  { mode, steps, once, wait }: StoreRequest,
  { notAfterMs = NEVER_LATE, incarnation = "" }: Terms,
  receipt: ReceiptTexts | undefined,
  nowMs: number | undefined,
): string[] | null {
  if (mode !== "judge" || once !== undefined || wait !== undefined || steps.length === 0) return null;
  const charges: Charge[] = [];
  for (const step of steps) {
    const charge = plainChargeOf(step);
    if (charge === null) return null;
    charges.push(charge);
  }
  const { before = "", head = "", tail = "" } = receipt ?? {};
  return [
    arrayOf(charges.map((each) => each.key)),
    numbersOf(charges.map((each) => each.cost)),
    numbersOf(charges.map((each) => each.quota)),
    numbersOf(charges.map((each) => each.lifeMs)),
    `{${charges.map((each) => each.endsAfter).join(",")}}`,
    arrayOf(receipt === undefined ? [] : [receipt.key]),
    before,
    head,
    tail,
    incarnation,
    String(Math.min(Math.floor(notAfterMs), NEVER_LATE)),
    nowMs === undefined ? "" : String(nowMs),
  ];
}

function plainChargeOf({ bucket, limit, event, shadow }: Step): Charge | null {
  if (event.type !== "charge" || event.seen !== undefined || shadow === true) return null;
  const { cost } = event;
  // A cost of 0 books nothing, and needs a free unit.
  if (cost < 1 || cost > MAX_NUMBER) return null;
  const algorithm = algorithmOf(limit);
  const sum = algorithm.asSum(limit);
  if (sum === null || sum.lifeMs > MAX_NUMBER) return null;
  const charge = { key: bucket, cost, quota: algorithm.capacity(limit), ...sum };
  return [cost, charge.quota, charge.lifeMs].every(Number.isSafeInteger) ? charge : null;
}

function numbersOf(numbers: readonly number[]): string {
  return `{${numbers.join(",")}}`;
}

/**
 * Adds to all rows or to none. Answers as the statement that locks them does, without the mark: with the instant, what they
 * held before, and whether it added.
 *
 * $1 keys; $2 costs; $3 quotas; $4 lives, ms; $5 what they end after; $6 the key of the receipts, if any; $7 what that has to
 * hold; $8, $9 what it holds then, around the instant; $10 the incarnation, or nothing; $11 the last instant; $12 a clock's
 * time, or nothing. It locks in the order of the keys, and reads the clock after the last lock.
 */
export function chargingIn(buckets: string, serverNowMs: string): string {
  const keys = "$1::text::text[]";
  const receipts = "$6::text::text[]";
  const own = (array: string) => `(${array})[array_position(${keys}, found.key)]`;
  return `WITH found AS MATERIALIZED (
      SELECT key, value, expires_at_ms FROM ${buckets} WHERE key = ANY(${keys} || ${receipts}) ORDER BY key FOR UPDATE),
    instant AS MATERIALIZED (
      SELECT coalesce(nullif($12::text, '')::bigint, ${serverNowMs}) AS now_ms, count(*) AS rows FROM found),
    asked AS MATERIALIZED (
      SELECT found.*, now_ms, ${own("$2::text::bigint[]")} AS cost, ${own("$3::text::bigint[]")} AS quota,
        ${own("$4::text::bigint[]")} AS life_ms, ${own("$5::text::text[]")} AS ends_after FROM found, instant),
    passing AS MATERIALIZED (
      SELECT *, value <> '' AND expires_at_ms > now_ms AS is_live FROM asked WHERE CASE
        WHEN cost IS NULL THEN value = $7::text
        WHEN value = '' THEN cost <= quota
        WHEN expires_at_ms <= now_ms THEN cost <= quota AND expires_at_ms >= 0
        WHEN value ~ '^(0|[1-9][0-9]{0,${MAX_DIGITS - 1}})$' AND expires_at_ms <= now_ms + life_ms
          THEN cost <= quota - value::bigint END),
    added AS (
      INSERT INTO ${buckets} (key, value, expires_at_ms)
      SELECT key, CASE WHEN cost IS NULL THEN $8::text || now_ms || $9::text
          WHEN is_live THEN (value::bigint + cost)::text ELSE cost::text END,
        CASE WHEN cost IS NULL THEN now_ms - now_ms % ${RECEIPTS_STEP_MS} + ${RECEIPTS_STEP_MS + RECEIPTS_KEPT_MS}
          WHEN is_live AND ends_after <> 'last' THEN expires_at_ms
          WHEN ends_after = 'multiple' THEN now_ms - now_ms % life_ms + life_ms
          ELSE now_ms + life_ms END
      FROM passing WHERE (SELECT count(*) = cardinality(${keys} || ${receipts}) AND max(now_ms) <= $11::text::bigint FROM passing)
        AND ($10::text = '' OR EXISTS (SELECT FROM ${buckets} WHERE key = '${MARK_KEY}'
          AND value IN ('m1 ' || $10::text || ' all', 'm1 ' || $10::text || ' some')))
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_at_ms = excluded.expires_at_ms RETURNING 1)
    SELECT json_build_array(max(now_ms), NULL, json_agg(json_build_array(key, value, expires_at_ms)),
      EXISTS (SELECT FROM added))::text FROM asked`;
}

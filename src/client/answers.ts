// What the service must answer to each request. An answer that lacks a word, or has a time or a count that is not a whole
// number, is an error, never a decision.

import { formatGot } from "../kernel/errors.ts";
import { MAX_LEASE_MS } from "../kernel/policy-schema.ts";
import { isCount, isTime } from "../store-check.ts";
import { invalidReply } from "./problems.ts";

/** Says what is wrong with a value, or `null`. */
type Rule = (value: unknown, path: string) => string | null;

const rule =
  (expected: string, isValid: (value: unknown) => boolean): Rule =>
  (value, path) =>
    isValid(value) ? null : `${path}: expected ${expected}, got ${formatGot(value)}`;
const orNull =
  (of: Rule): Rule =>
  (value, path) =>
    value === null ? null : of(value, path);
const listOf =
  (of: Rule): Rule =>
  (value, path) => {
    if (!Array.isArray(value)) return `${path}: expected a list, got ${formatGot(value)}`;
    return first(value.map((each, i) => of(each, `${path}[${i}]`)));
  };
const objectOf =
  (rules: Readonly<Record<string, Rule>>): Rule =>
  (value, path) => {
    if (typeof value !== "object" || value === null) return `${path}: expected an object, got ${formatGot(value)}`;
    const words = value as Readonly<Record<string, unknown>>;
    return first(Object.entries(rules).map(([word, of]) => of(words[word], path === "" ? word : `${path}.${word}`)));
  };

function first(faults: readonly (string | null)[]): string | null {
  return faults.find((fault) => fault !== null) ?? null;
}

const flag = rule("true or false", (value) => typeof value === "boolean");
const text = rule("a text", (value) => typeof value === "string");
const count = rule("a whole number from 0 to 2^53 - 1", isCount);
const time = rule("whole milliseconds since 1970", isTime);
const lease = rule(
  `a whole number from 1 to ${MAX_LEASE_MS}`,
  (value) => isCount(value) && value >= 1 && value <= MAX_LEASE_MS,
);

const usage = { limit: text, unit: text, quota: count, used: count, remaining: count, resetAfterMs: count };
const verdict = {
  limit: text,
  allowed: flag,
  shadow: flag,
  unit: text,
  cost: count,
  quota: count,
  remaining: count,
  resetAfterMs: count,
  retryAfterMs: orNull(count),
};
const decision = {
  allowed: flag,
  verdicts: listOf(objectOf(verdict)),
  retryAfterMs: orNull(count),
  message: orNull(text),
  notice: orNull(text),
  degraded: orNull(objectOf({ reason: text, worstCaseOver: orNull(count) })),
  replayed: flag,
  decidedAtMs: time,
};
const settlement = { late: flag, problem: orNull(text), replayed: flag, usages: listOf(objectOf(usage)) };
const reserved = { ...decision, hold: orNull(text) };
const begun = { ...reserved, held: listOf(text), leaseMs: orNull(lease), onError: text, reports: flag };
const touched = { usage: orNull(objectOf(usage)) };

const ANSWERS = {
  consume: objectOf(decision),
  record: objectOf(decision),
  peek: objectOf(decision),
  reserve: objectOf(reserved),
  begin: objectOf(begun),
  settle: objectOf(settlement),
  release: objectOf(settlement),
  extend: objectOf({ extended: flag }),
  report: () => null,
  usage: objectOf({ usages: listOf(objectOf(usage)) }),
  reset: objectOf(touched),
  grant: objectOf(touched),
} satisfies Record<string, Rule>;

/** What the service is asked for. */
export type Op = keyof typeof ANSWERS;

/**
 * The answer to a request.
 *
 * @throws StoreError `invalid-reply`
 */
export function validAnswer<Answer>(op: Op, answer: unknown): Answer {
  const fault = ANSWERS[op](answer, "");
  if (fault !== null) throw invalidReply(`what is no answer to ${op}: ${fault}`);
  return answer as Answer;
}

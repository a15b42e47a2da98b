// What is wrong with the tests of a policy, and where: by their schema, by what one word demands of another, and by the
// names of the policy that they are for. Nothing is run here.

import type { z } from "zod";
import { CALL_WORDS } from "../kernel/call.ts";
import { takesClaims } from "../kernel/claims.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { formatGot } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { type PolicyFault, policyFault } from "../kernel/policy/contradictions.ts";
import { isObject, valueAt } from "../kernel/policy/place.ts";
import { withoutExtensions } from "../kernel/policy/settled.ts";
import { durationFrom } from "../kernel/policy/values.ts";
import { isMoneyText, MONEY_UNIT } from "../kernel/quantity.ts";
import { closest } from "../kernel/spelling.ts";
import { parseSpan, SPAN_PATTERN } from "./policy-test-amounts.ts";
import type { PolicyTest, PolicyTestCall, PolicyTestStep } from "./policy-test-input.ts";
import {
  DEFAULT_AT,
  instantMs,
  MAX_CALLS,
  policyTestFileSchema,
  policyTestsSchema,
  STEP_KEYS,
  STEP_WORDS,
  TEST_FILE_KEYS,
  TEST_KEYS,
} from "./policy-test-schema.ts";

type Keys = readonly (string | number)[];
type Issue = z.core.$ZodIssue;

/** What was read, or all that is wrong with it. */
export type Read<Value> = { readonly value: Value } | { readonly faults: readonly PolicyFault[] };

/** Reads the tests of a policy; `at` is what leads to them. */
export function readPolicyTests(
  input: unknown,
  policy: CompiledPolicy,
  at: Keys = ["tests"],
): Read<readonly PolicyTest[]> {
  const parsed = policyTestsSchema.safeParse(input);
  if (!parsed.success) return { faults: issueFaults(parsed.error.issues, input, at) };
  // The annotation fails to compile when the schema and the type that users see part.
  const tests: readonly PolicyTest[] = parsed.data as readonly PolicyTest[];
  const faults = contradictions(tests, policy).map((fault) => policyFaultAt(fault, at));
  return faults.length > 0 ? { faults } : { value: tests };
}

/** Reads a file of tests, but for what they demand of the policy, which is not read yet. */
export function readTestFile(input: unknown): Read<{ readonly policy: string; readonly tests: unknown }> {
  const parsed = policyTestFileSchema.safeParse(withoutExtensions(input));
  return parsed.success ? { value: parsed.data } : { faults: issueFaults(parsed.error.issues, input, []) };
}

function policyFaultAt({ keys, expected, got, hint, isKey }: PolicyFault, at: Keys): PolicyFault {
  const fault = policyFault([...at, ...keys], expected, got);
  return { ...fault, ...(hint === undefined ? {} : { hint }), ...(isKey === undefined ? {} : { isKey }) };
}

function issueFaults(issues: readonly Issue[], input: unknown, at: Keys): PolicyFault[] {
  return issues.flatMap((issue) => faultsOf(issue, input, [])).map((fault) => policyFaultAt(fault, at));
}

/** @param around keys that lead to what the path of the issue begins at */
function faultsOf(issue: Issue, input: unknown, around: Keys): PolicyFault[] {
  const keys = [...around, ...issue.path.map((key) => (typeof key === "number" ? key : String(key)))];
  const given = valueAt(input, keys);
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownKey([...keys, key], given));
  if (issue.code === "invalid_union" && keys.at(-2) === "steps") return stepFaults(issue, input, keys);
  const fault = policyFault(keys, issue.message, formatGot(given));
  const hint = hintFor(keys, given);
  return [hint === null ? fault : { ...fault, hint }];
}

/** What people write for `allowed` and `denied`. */
const EXPECTED: Readonly<Record<string, string>> = {
  allow: "allowed",
  true: "allowed",
  deny: "denied",
  false: "denied",
};
/** Words of a test that are durations, or may be. */
const SPANS: readonly unknown[] = ["wait", "retryAfter", "duration", "used", "remaining", "quota"];

/** What to write instead of a value; `null` where there is no guess. */
function hintFor(keys: Keys, given: unknown): string | null {
  const [word, within] = [keys.at(-1), keys.at(-2)];
  if (within === "for" && CALL_WORDS.some((each) => each === word)) {
    return `It is no dimension. Write it in the call: { tool: search, ${word}: … }.`;
  }
  const text = String(given).slice(0, 64);
  if (word === "expect") {
    const meant = (Object.hasOwn(EXPECTED, text) ? EXPECTED[text] : undefined) ?? closest(text, ["allowed", "denied"]);
    return meant === null || meant === undefined ? null : `Write ${meant}.`;
  }
  const span =
    typeof given === "string" && [word, within].some((each) => SPANS.includes(each)) ? durationFrom(text) : null;
  return span === null || span === text ? null : `Write ${span}.`;
}

/** The faults of a step as the kind that it is meant to be. */
function stepFaults(issue: Extract<Issue, { code: "invalid_union" }>, input: unknown, keys: Keys): PolicyFault[] {
  const step = valueAt(input, keys);
  const words = isObject(step) ? STEP_WORDS.filter((word) => Object.hasOwn(step, word)) : [];
  const [word] = words;
  if (word === undefined || words.length > 1) {
    const fault = policyFault(keys, `a step with exactly one of ${STEP_WORDS.join(", ")}`, formatGot(step));
    const given = isObject(step) && word === undefined ? Object.keys(step) : [];
    const meant = given.map((key) => closest(key, STEP_WORDS)).find((each) => each !== null);
    return [withHint(fault, meant ?? null)];
  }
  return (issue.errors[STEP_WORDS.indexOf(word)] ?? []).flatMap((inner) => faultsOf(inner, input, keys));
}

function unknownKey(keys: Keys, around: unknown): PolicyFault {
  const known = keysAround(keys, around);
  const key = String(keys.at(-1));
  const meant = closest(key, known);
  const expected = meant === null ? `only ${known.join(", ")}` : "a known key";
  return { ...withHint(policyFault(keys, expected, formatGot(key)), meant), isKey: true };
}

function withHint(fault: PolicyFault, meant: string | null): PolicyFault {
  return meant === null ? fault : { ...fault, hint: `Did you mean "${meant}"?` };
}

/** The keys that there are where an unknown one stands. */
function keysAround(keys: Keys, around: unknown): readonly string[] {
  if (keys.length === 1) return TEST_FILE_KEYS;
  if (keys.at(-3) !== "steps") return TEST_KEYS;
  const word = isObject(around) ? STEP_WORDS.find((each) => Object.hasOwn(around, each)) : undefined;
  return word === undefined ? STEP_WORDS : STEP_KEYS[word];
}

/** What one word of a test demands of another one, and of the policy. */
function contradictions(tests: readonly PolicyTest[], policy: CompiledPolicy): PolicyFault[] {
  const faults = tests.flatMap((test, i) => testFaults(test, policy).map((fault) => policyFaultAt(fault, [i])));
  const calls = tests.reduce((sum, { steps }) => sum + steps.reduce((each, step) => each + callsOf(step), 0), 0);
  if (calls > MAX_CALLS)
    faults.push(policyFault([], `at most ${MAX_CALLS} calls in all tests together`, String(calls)));
  return faults;
}

function callsOf(step: PolicyTestStep): number {
  return "call" in step ? (step.times ?? 1) : 0;
}

type Demand = (isMet: boolean, word: string, expected: string, got: unknown) => void;

function testFaults({ at = DEFAULT_AT, for: shared = {}, steps }: PolicyTest, policy: CompiledPolicy): PolicyFault[] {
  const faults = wordFaults(["for"], shared, new Set([...policy.callWords, ...policy.bucketWords]));
  const beganMs = instantMs(at) ?? 0;
  let nowMs = beganMs;
  const open = new Set<string>();
  for (const [n, step] of steps.entries()) {
    const demand: Demand = (isMet, word, expected, got) => {
      if (!isMet) faults.push(policyFault(["steps", n, word], expected, formatGot(got)));
    };
    faults.push(...nameFaults(step, policy).map((fault) => policyFaultAt(fault, ["steps", n])));
    if ("wait" in step) nowMs += parseSpan(step.wait) ?? 0;
    if ("at" in step) {
      const toMs = instantMs(step.at) ?? 0;
      demand(toMs >= nowMs, "at", `an instant from ${new Date(nowMs).toISOString()} on, which it is before`, step.at);
      nowMs = Math.max(nowMs, toMs);
    }
    const isLate = nowMs - beganMs > MAX_DURATION_MS;
    if (isLate && "wait" in step) demand(false, "wait", "at most 36500d in one test", step.wait);
    if (isLate && "at" in step) demand(false, "at", "at most 36500d in one test", step.at);
    if ("call" in step) {
      const { tool } = isObject(step.call) ? { ...shared, ...step.call } : { tool: step.call };
      demand(tool !== undefined && tool !== null, "call", "a call with a tool, such as { tool: search }", step.call);
      callFaults(step, open, demand);
    }
    if ("end" in step) {
      demand(open.delete(step.end), "end", "the name of a call that is open (as: NAME)", step.end);
      endingFaults(step, demand);
    }
    if ("bucket" in step) {
      const isExpecting = [step.used, step.remaining, step.quota].some((given) => given !== undefined);
      demand(isExpecting, "bucket", "used, remaining or quota beside it", "none of them");
    }
    if (isLate) break;
  }
  return faults;
}

function callFaults(step: PolicyTestCall, open: Set<string>, demand: Demand): void {
  const { call, cost, as, expect = "allowed", usage, error, result, notice } = step;
  const isDenied = expect === "denied";
  for (const word of ["by", "retryAfter", "message"] as const) {
    demand(isDenied || step[word] === undefined, word, `expect: denied beside ${word}`, expect);
  }
  demand(!isDenied || notice === undefined, "notice", "no notice of a denied call, which has a message", notice);
  demand(
    cost === undefined || !isObject(call) || call.cost === undefined,
    "cost",
    "no cost here and in the call",
    cost,
  );
  for (const [word, given] of Object.entries({ as, usage, error, result })) {
    demand(!isDenied || given === undefined, word, `no ${word} of a denied call, which does not run`, given);
  }
  for (const [word, given] of Object.entries({ usage, error, result })) {
    demand(as === undefined || given === undefined, word, `${word} in the step that ends the call`, given);
  }
  endingFaults(step, demand);
  if (as === undefined) return;
  demand(!open.has(as), "as", "a name that no open call has", as);
  open.add(as);
}

function endingFaults({ error, result }: Pick<PolicyTestCall, "error" | "result">, demand: Demand): void {
  demand(error !== true || result === undefined, "result", "no result of a call that fails", result);
}

/** Words that no call, or no bucket, of the policy has. */
function wordFaults(at: Keys, given: object, known: ReadonlySet<string>): PolicyFault[] {
  const unknown = Object.keys(given).filter((word) => !known.has(word));
  return unknown.map((word) => unknownName([...at, word], `only ${[...known].join(", ")}`, known, true));
}

function unknownName(keys: Keys, expected: string, known: Iterable<string>, isKey: boolean): PolicyFault {
  const name = String(keys.at(-1));
  return { ...withHint(policyFault(keys, expected, formatGot(name)), closest(name, known)), isKey };
}

/** Limits, units and dimensions that the policy does not have, and amounts in another unit than they stand for. */
function nameFaults(step: PolicyTestStep, policy: CompiledPolicy): PolicyFault[] {
  const limits = policy.limits.map(({ name }) => name);
  const faults: PolicyFault[] = [];
  const checkLimit = (keys: Keys, name: string, isKey = false) => {
    if (limits.includes(name)) return;
    const fault = policyFault(keys, `one of the policy's limits: ${limits.join(", ")}`, formatGot(name));
    faults.push({ ...withHint(fault, closest(name, limits)), isKey });
  };
  const checkUnit = (keys: Keys, amount: unknown, unit: string | undefined) => {
    const fault = unit === undefined ? null : amountFault(keys, amount, unit);
    if (fault !== null) faults.push(fault);
  };
  const unitOf = (name: string) => policy.limits.find((limit) => limit.name === name)?.unit;
  if ("call" in step) {
    if (isObject(step.call)) faults.push(...wordFaults(["call"], step.call, policy.callWords));
    if (step.by !== undefined) checkLimit(["by"], step.by);
    for (const [name, left] of Object.entries(step.remaining ?? {})) {
      checkLimit(["remaining", name], name, true);
      checkUnit(["remaining", name], left, unitOf(name));
    }
    for (const [n, name] of (step.exceeded ?? []).entries()) checkLimit(["exceeded", n], name);
  }
  for (const word of ["bucket", "grant", "reset"] as const) {
    if (!(word in step)) continue;
    const named = (step as Record<typeof word, { readonly limit: string }>)[word];
    checkLimit([word, "limit"], named.limit);
    faults.push(...wordFaults([word], named, new Set(["limit", ...policy.bucketWords])));
    for (const key of ["used", "remaining", "quota", "units"])
      checkUnit([key], (step as Readonly<Record<string, unknown>>)[key], unitOf(named.limit));
  }
  if ("quotas" in step) {
    const takers = policy.limits.filter(takesClaims).map(({ name }) => name);
    for (const [name, quota] of Object.entries(step.quotas ?? {})) {
      const expected = `a limit with quota: { from: call }: ${takers.length === 0 ? "there is none" : takers.join(", ")}`;
      if (!takers.includes(name)) faults.push(unknownName(["quotas", name], expected, takers, true));
      checkUnit(["quotas", name], quota, unitOf(name));
    }
  }
  for (const [keys, costs] of costsIn(step)) {
    for (const [unit, amount] of Object.entries(costs)) {
      const expected = `units that a limit of the policy counts: ${[...policy.units].join(", ")}`;
      if (!policy.units.has(unit)) faults.push(unknownName([...keys, unit], expected, policy.units, true));
      checkUnit([...keys, unit], amount, unit);
    }
  }
  return faults;
}

/** Where a step says units by their name, and what it says. */
function costsIn(step: PolicyTestStep): (readonly [keys: Keys, costs: object])[] {
  const own = (["cost", "usage"] as const).map(
    (word) => [[word], word in step ? (step as PolicyTestCall)[word] : undefined] as const,
  );
  const inCall = "call" in step && isObject(step.call) ? step.call.cost : undefined;
  return [...own, [["call", "cost"], inCall] as const].flatMap(([keys, costs]) =>
    isObject(costs) ? [[keys, costs] as const] : [],
  );
}

/** What is wrong with an amount in a unit: dollars, or a duration, are for one unit alone. */
function amountFault(keys: Keys, amount: unknown, unit: string): PolicyFault | null {
  if (typeof amount !== "string" || amount === "unlimited") return null;
  if (isMoneyText(amount) && unit !== MONEY_UNIT)
    return policyFault(keys, `an amount of ${unit}, without $, which is for usd_micros`, formatGot(amount));
  if (SPAN_PATTERN.test(amount) && unit !== "ms")
    return policyFault(
      keys,
      `an amount of ${unit}, and no duration, which is for limits of elapsed`,
      formatGot(amount),
    );
  return null;
}

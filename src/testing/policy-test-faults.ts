// Reads the tests of a policy: what is wrong with them, and where. Nothing is run here.

import { CALL_WORDS } from "../kernel/call.ts";
import { formatGot } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { type PolicyFault, policyFault } from "../kernel/policy/contradictions.ts";
import { isObject, valueAt } from "../kernel/policy/place.ts";
import { readBy, type SchemaFault } from "../kernel/policy/schema-kinds.ts";
import { withoutExtensions } from "../kernel/policy/settled.ts";
import { durationFrom } from "../kernel/policy/values.ts";
import { closest, didYouMean } from "../kernel/spelling.ts";
import { contradictions, faultAt, type Keys } from "./policy-test-contradictions.ts";
import type { PolicyTest } from "./policy-test-input.ts";
import { policyTestFileSchema, policyTestsSchema, stepKeys, STEP_WORDS, TEST_FILE_KEYS } from "./policy-test-schema.ts";
import { TEST_KEYS } from "./policy-test-schema.ts";

/** What was read, or all that is wrong with it. */
export type Read<Value> = { readonly value: Value } | { readonly faults: readonly PolicyFault[] };

/** Reads the tests of a policy; `at` is what leads to them. */
export function readPolicyTests(
  input: unknown,
  policy: CompiledPolicy,
  at: Keys = ["tests"],
): Read<readonly PolicyTest[]> {
  const read = readBy(policyTestsSchema, input);
  if ("faults" in read) return { faults: faultsOf(read.faults, input, at) };
  // The annotation fails to compile when the schema and the type that users see part.
  const tests: readonly PolicyTest[] = read.value as readonly PolicyTest[];
  const faults = contradictions(tests, policy).map((fault) => faultAt(fault, at));
  return faults.length > 0 ? { faults } : { value: tests };
}

/** Reads a file of tests, but for what they demand of the policy, which is not read yet. */
export function readTestFile(input: unknown): Read<{ readonly policy: string; readonly tests: unknown }> {
  const read = readBy(policyTestFileSchema, withoutExtensions(input));
  return "faults" in read ? { faults: faultsOf(read.faults, input, []) } : read;
}

function faultsOf(faults: readonly SchemaFault[], input: unknown, at: Keys): PolicyFault[] {
  return faults.flatMap((fault) => testFaults(fault, input)).map((fault) => faultAt(fault, at));
}

function testFaults({ keys, expected, unknown }: SchemaFault, input: unknown): PolicyFault[] {
  const given = valueAt(input, keys);
  if (unknown.length > 0) return unknown.map((key) => unknownKey([...keys, key], given));
  return [withHint(policyFault(keys, expected, formatGot(given)), hintFor(keys, given))];
}

function withHint(fault: PolicyFault, hint: string | null): PolicyFault {
  return hint === null ? fault : { ...fault, hint };
}

/** What people write for `allowed` and `denied`. */
const EXPECTED = new Map([
  ["allow", "allowed"],
  ["true", "allowed"],
  ["deny", "denied"],
  ["false", "denied"],
]);
/** Words of a test that are durations, or may be. */
const SPANS: readonly unknown[] = ["wait", "retryAfter", "duration", "used", "remaining", "quota"];

/** What to write instead of a value; `null` where there is no guess. */
function hintFor(keys: Keys, given: unknown): string | null {
  const [word, within] = [keys.at(-1), keys.at(-2)];
  if (within === "steps") return hintForStep(given);
  if (within === "for" && CALL_WORDS.some((each) => each === word)) {
    return `It is no dimension. Write it in the call: { tool: search, ${word}: … }.`;
  }
  const text = String(given).slice(0, 64);
  if (word === "expect") {
    const meant = EXPECTED.get(text) ?? closest(text, ["allowed", "denied"]);
    return meant === null ? null : `Write ${meant}.`;
  }
  const span =
    typeof given === "string" && [word, within].some((each) => SPANS.includes(each)) ? durationFrom(text) : null;
  return span === null || span === text ? null : `Write ${span}.`;
}

/** The word that was meant in a step with none. */
function hintForStep(step: unknown): string | null {
  const given = isObject(step) ? Object.keys(step) : [];
  if (given.some((key) => STEP_WORDS.some((word) => word === key))) return null;
  const meant = given.map((key) => closest(key, STEP_WORDS)).find((each) => each !== null);
  return didYouMean(meant ?? null);
}

function unknownKey(keys: Keys, around: unknown): PolicyFault {
  const known = keysAround(keys, around);
  const key = String(keys.at(-1));
  const meant = closest(key, known);
  const expected = meant === null ? `only ${known.join(", ")}` : "a known key";
  return { ...withHint(policyFault(keys, expected, formatGot(key)), didYouMean(meant)), isKey: true };
}

/** The keys that there are where an unknown one stands. */
function keysAround(keys: Keys, around: unknown): readonly string[] {
  if (keys.length === 1) return TEST_FILE_KEYS;
  if (keys.at(-3) !== "steps") return TEST_KEYS;
  const word = isObject(around) ? STEP_WORDS.find((each) => Object.hasOwn(around, each)) : undefined;
  return word === undefined ? STEP_WORDS : stepKeys(word);
}

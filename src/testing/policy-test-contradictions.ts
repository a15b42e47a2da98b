// What the words of policy tests demand of one another, and of the policy that they are for: its limits, units and dimensions.

import { takesClaims } from "../kernel/claims.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { formatGot } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { type PolicyFault, policyFault } from "../kernel/policy/contradictions.ts";
import { isObject } from "../kernel/policy/place.ts";
import { isMoneyText, MONEY_UNIT } from "../kernel/quantity.ts";
import { typoHint } from "../kernel/spelling.ts";
import { parseSpan, SPAN_PATTERN } from "./policy-test-amounts.ts";
import type { PolicyTest, PolicyTestBucketName, PolicyTestCall, PolicyTestStep } from "./policy-test-input.ts";
import { DEFAULT_AT, instantMs, MAX_CALLS } from "./policy-test-schema.ts";

export type Keys = readonly (string | number)[];

/** A fault of a part of the tests, with the keys that lead to that part. */
export function faultAt(fault: PolicyFault, at: Keys): PolicyFault {
  return { ...fault, ...policyFault([...at, ...fault.keys], fault.expected, fault.got) };
}

/** The faults of tests whose schema is right. */
export function contradictions(tests: readonly PolicyTest[], policy: CompiledPolicy): PolicyFault[] {
  const faults = tests.flatMap((test, i) => testFaults(test, policy).map((fault) => faultAt(fault, [i])));
  const steps = tests.flatMap((test) => test.steps);
  const calls = steps.reduce((sum, step) => sum + ("call" in step ? (step.times ?? 1) : 0), 0);
  if (calls > MAX_CALLS)
    faults.push(policyFault([], `at most ${MAX_CALLS} calls in all tests together`, String(calls)));
  return faults;
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
    faults.push(...nameFaults(step, policy).map((fault) => faultAt(fault, ["steps", n])));
    nowMs = timeAfter(step, nowMs, demand);
    const isLate = nowMs - beganMs > MAX_DURATION_MS;
    if (isLate && "wait" in step) demand(false, "wait", "at most 36500d in one test", step.wait);
    if (isLate && "at" in step) demand(false, "at", "at most 36500d in one test", step.at);
    checkStep(step, shared, open, demand);
    if (isLate) break;
  }
  return faults;
}

/** The time after a step; a step cannot go back to an earlier instant. */
function timeAfter(step: PolicyTestStep, nowMs: number, demand: Demand): number {
  if ("wait" in step) return nowMs + (parseSpan(step.wait) ?? 0);
  if (!("at" in step)) return nowMs;
  const toMs = instantMs(step.at) ?? 0;
  demand(toMs >= nowMs, "at", `an instant from ${new Date(nowMs).toISOString()} on, which it is before`, step.at);
  return Math.max(nowMs, toMs);
}

/** @param open names of calls that earlier steps keep open */
function checkStep(step: PolicyTestStep, shared: object, open: Set<string>, demand: Demand): void {
  if ("call" in step) {
    const { tool } = isObject(step.call) ? { ...shared, ...step.call } : { tool: step.call };
    demand(tool !== undefined && tool !== null, "call", "a call with a tool, such as { tool: search }", step.call);
    checkCall(step, open, demand);
  }
  if ("end" in step) {
    demand(open.delete(step.end), "end", "the name of a call that is open (as: NAME)", step.end);
    checkEnding(step, demand);
  }
  if ("bucket" in step) {
    const isExpecting = [step.used, step.remaining, step.quota].some((given) => given !== undefined);
    demand(isExpecting, "bucket", "used, remaining or quota beside it", "none of them");
  }
}

function checkCall(step: PolicyTestCall, open: Set<string>, demand: Demand): void {
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
  checkEnding(step, demand);
  if (as === undefined) return;
  demand(!open.has(as), "as", "a name that no open call has", as);
  open.add(as);
}

function checkEnding({ error, result }: Pick<PolicyTestCall, "error" | "result">, demand: Demand): void {
  demand(error !== true || result === undefined, "result", "no result of a call that fails", result);
}

/** Words that no call, or no bucket, of the policy has. */
function wordFaults(at: Keys, given: object, known: ReadonlySet<string>): PolicyFault[] {
  const unknown = Object.keys(given).filter((word) => !known.has(word));
  return unknown.map((word) => unknownName([...at, word], `only ${[...known].join(", ")}`, known, true));
}

function unknownName(
  keys: Keys,
  expected: string,
  known: Iterable<string>,
  isKey: boolean,
  name = String(keys.at(-1)),
): PolicyFault {
  return { ...policyFault(keys, expected, formatGot(name)), ...typoHint(name, known), isKey };
}

/** Limits, units and dimensions that the policy does not have, and amounts in another unit than they stand for. */
function nameFaults(step: PolicyTestStep, policy: CompiledPolicy): PolicyFault[] {
  return [
    ...("call" in step ? callNameFaults(step, policy) : []),
    ...("bucket" in step ? bucketFaults("bucket", step.bucket, step, policy) : []),
    ...("grant" in step ? bucketFaults("grant", step.grant, step, policy) : []),
    ...("reset" in step ? bucketFaults("reset", step.reset, step, policy) : []),
    ...("quotas" in step ? quotaFaults(step.quotas ?? {}, policy) : []),
    ...costsIn(step).flatMap(([keys, costs]) => costFaults(keys, costs, policy)),
  ];
}

function callNameFaults({ call, by, remaining = {}, exceeded = [] }: PolicyTestCall, policy: CompiledPolicy) {
  return [
    ...(isObject(call) ? wordFaults(["call"], call, policy.callWords) : []),
    ...(by === undefined ? [] : limitFaults(["by"], by, policy)),
    ...Object.entries(remaining).flatMap(([name, left]) => [
      ...limitFaults(["remaining", name], name, policy, true),
      ...amountFaults(["remaining", name], left, unitOf(name, policy)),
    ]),
    ...exceeded.flatMap((name, n) => limitFaults(["exceeded", n], name, policy)),
  ];
}

function bucketFaults(word: string, bucket: PolicyTestBucketName, step: object, policy: CompiledPolicy): PolicyFault[] {
  const amounts = Object.entries(step).filter(([key]) => ["used", "remaining", "quota", "units"].includes(key));
  return [
    ...limitFaults([word, "limit"], bucket.limit, policy),
    ...wordFaults([word], bucket, new Set(["limit", ...policy.bucketWords])),
    ...amounts.flatMap(([key, amount]) => amountFaults([key], amount, unitOf(bucket.limit, policy))),
  ];
}

function quotaFaults(quotas: object, policy: CompiledPolicy): PolicyFault[] {
  const takers = policy.limits.filter(takesClaims).map(({ name }) => name);
  const expected = `a limit with quota: { from: call }: ${takers.length === 0 ? "there is none" : takers.join(", ")}`;
  return Object.entries(quotas).flatMap(([name, quota]) => [
    ...(takers.includes(name) ? [] : [unknownName(["quotas", name], expected, takers, true)]),
    ...amountFaults(["quotas", name], quota, unitOf(name, policy)),
  ]);
}

function costFaults(keys: Keys, costs: object, { units }: CompiledPolicy): PolicyFault[] {
  const expected = `units that a limit of the policy counts: ${[...units].join(", ")}`;
  return Object.entries(costs).flatMap(([unit, amount]) => [
    ...(units.has(unit) ? [] : [unknownName([...keys, unit], expected, units, true)]),
    ...amountFaults([...keys, unit], amount, unit),
  ]);
}

function limitFaults(keys: Keys, name: string, policy: CompiledPolicy, isKey = false): PolicyFault[] {
  const limits = policy.limits.map((limit) => limit.name);
  const expected = `one of the policy's limits: ${limits.join(", ")}`;
  return limits.includes(name) ? [] : [unknownName(keys, expected, limits, isKey, name)];
}

function unitOf(limit: string, { limits }: CompiledPolicy): string | undefined {
  return limits.find(({ name }) => name === limit)?.unit;
}

/** The costs in a step, and the keys that lead to them. */
function costsIn(step: PolicyTestStep): (readonly [keys: Keys, costs: object])[] {
  const { cost, usage, call } = step as Partial<PolicyTestCall>;
  const inCall = isObject(call) ? call.cost : undefined;
  const found: (readonly [Keys, unknown])[] = [
    [["cost"], cost],
    [["usage"], usage],
    [["call", "cost"], inCall],
  ];
  return found.flatMap(([keys, costs]) => (isObject(costs) ? [[keys, costs] as const] : []));
}

/** What is wrong with an amount in a unit: dollars, or a duration, are for one unit alone. */
function amountFaults(keys: Keys, amount: unknown, unit: string | undefined): PolicyFault[] {
  if (unit === undefined || typeof amount !== "string" || amount === "unlimited") return [];
  if (isMoneyText(amount) && unit !== MONEY_UNIT)
    return [policyFault(keys, `an amount of ${unit}, without $, which is for usd_micros`, formatGot(amount))];
  if (!SPAN_PATTERN.test(amount) || unit === "ms") return [];
  const expected = `an amount of ${unit}, and no duration, which is for limits of elapsed`;
  return [policyFault(keys, expected, formatGot(amount))];
}

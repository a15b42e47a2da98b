// A policy: from what is written to what a call is judged by. Everything that can be wrong with it is found here, once.

import type { CalendarWindow } from "./algorithms/fixed-window.ts";
import type { LimitSpec } from "./algorithms/registry.ts";
import type { Cost, Dimension } from "./call.ts";
import type { Claims } from "./claims.ts";
import { formatGot, MisuseError } from "./errors.ts";
import type { NewHold } from "./holds.ts";
import { compilePolicy } from "./policy-compile.ts";
import { contradictions, type PolicyFault, policyFault } from "./policy-contradictions.ts";
import { hintForKey, misplacement } from "./policy-hints.ts";
import { type OldWord, oldWordsIn } from "./policy-old-words.ts";
import { isObject, valueAt } from "./policy-place.ts";
import type { Mode, OnError, OnMissing, OnStoreError, PolicyInput } from "./policy-input.ts";
import { policySchema } from "./policy-schema.ts";
import { readable, settledLimits } from "./policy-settled.ts";
import type { CallMatcher, TextOf } from "./selector.ts";
import { hintForName, hintForValue } from "./policy-value-hints.ts";
import type { Policy, PolicyFor, PolicyLimit } from "./typed.ts";
import type { Checked, WrittenPolicy } from "./typed-keys.ts";

export type { PolicyFault } from "./policy-contradictions.ts";
export type { Policy, PolicyLimit } from "./typed.ts";

const POLICY = Symbol.for("tollgate.policy");

/** Of `limits[0].overrides[0].when.tool[0]`; no accepted policy is deeper. */
const MAX_DEPTH = 6;

/** Most faults, and most unknown keys of one object, for which a hint is looked for; most limits that are looked at again. */
const MAX_HINTS = 100;

/** What a bucket is allotted, and the numbers that its algorithm takes. */
export interface Allotment {
  /** `null`: unlimited. The bucket is charged, and the limit denies nothing. */
  readonly quota: number | null;
  /** Of an unlimited quota: the largest that all arithmetic is exact for. */
  readonly spec: LimitSpec;
  /** Most units that can be used at once. */
  readonly capacity: number;
  /** Whether there is anything to count. Not in an unlimited token bucket, which has no rate, nor in unlimited slots. */
  readonly isCounted: boolean;
  /** How calls bring other quotas; `null` where they cannot. */
  readonly claims: Claims | null;
  /** With fewer units left the model is told so; 0 for never. */
  readonly noticeBelow: number;
  /** How long its window is; `null` where it has no fixed length. */
  readonly windowMs: number | null;
}

/** An allotment for some calls. */
export interface Override {
  readonly allotment: Allotment;
}

/** Allotments by the values of a dimension. */
export interface Quotas {
  readonly dimension: Dimension;
  readonly allotments: ReadonlyMap<string, Allotment>;
}

/** What the policy knows of a tool. */
export interface Tool {
  /** What a call costs unless it says otherwise. */
  readonly cost: Cost | undefined;
  readonly group: string | undefined;
  /** Fields of its arguments that are left out. */
  readonly ignoreArgs: ReadonlySet<string>;
  /** What a failed call costs, where its limit does not say. */
  readonly onError: OnError | undefined;
}

/** One limit, ready to judge by. */
export interface Limit extends PolicyLimit {
  /** Whether calls have a price in its unit. Else a call counts for what it is, or when it was. */
  readonly isPriced: boolean;
  /** The dimension whose distinct values are counted; `null` where units are. */
  readonly distinct: Dimension | null;
  /** Which outcomes of calls it counts; `null` for none. */
  readonly reports: "errors" | "results" | null;
  /** How its windows lie, where that is a calendar's. */
  readonly calendar: CalendarWindow | null;
  readonly onMissing: OnMissing;
  /** Whether it denies, gives a notice where another would deny, or only counts and reports. */
  readonly mode: Mode;
  /** Whether an instance may borrow units ahead. */
  readonly isBorrowing: boolean;
  /** From which share of the quota on a call gets a notice (`null` for never), and in which words (`null`: the usual). */
  readonly notice: { readonly at: number | null; readonly message: string | null };
  /** What a denied model is told instead of the usual text. */
  readonly message: string | null;
  /** What applies while the store is unreachable. */
  readonly onStoreError: OnStoreError;
  /** Each dimension that decides whether it applies to a call, which bucket it charges, and what that is allotted. */
  readonly dimensions: ReadonlySet<Dimension>;
  /** The tools that it is for, by name or pattern: none where a list would not say it; `null` for all. */
  readonly tools: readonly string[] | null;
  /** Whether it is for calls of the model, and not for those of tools. */
  readonly isOfModel: boolean;
  /** Whether it is for a tool. */
  matches(tool: string): boolean;
  /** Which calls of these tools it is for, by other dimensions; `null` for all. */
  readonly selects: CallMatcher | null;
  /** Other allotments for some calls: the first that matches. */
  readonly overrides: readonly Override[];
  /** Finds that override by what a call says; `undefined` where none matches. */
  readonly overrideFor: (textOf: TextOf) => Override | undefined;
  /** How long its holds live unless they are extended. */
  readonly leaseMs: number;
  readonly onExpiry: NewHold["onExpiry"];
  /** What a failed call costs here; `null` where the tool or the policy says it. */
  readonly onError: OnError | null;
  /** Other allotments by dimension: the first that has an entry for the call wins. */
  readonly quotas: readonly Quotas[];
  /** For every other call. */
  readonly allotment: Allotment;
}

/** A policy as calls are judged by it. Each `Policy` is one at run time. */
export interface CompiledPolicy extends Policy {
  readonly partition: Dimension;
  readonly limits: readonly Limit[];
  /** What a call costs that `run` made and that failed, where neither its limit nor its tool says. */
  readonly onError: OnError;
  /** What the policy knows of a tool: its own entry, else that of the first pattern that matches. */
  readonly toolNamed: (tool: string) => Tool | undefined;
  /** How long `run` keeps the hold of one call alive. */
  readonly maxHoldMs: number;
  /** The units that some limit counts. */
  readonly units: ReadonlySet<string>;
  /** The tools that the policy names. */
  readonly tools: readonly string[];
  /** The tools that any part of it names, in words that can stand in a text: what a model made up is not among them. */
  readonly namedTools: ReadonlySet<string>;
  /** The groups that tools are in. */
  readonly groups: ReadonlySet<string>;
  /** The dimensions that calls may have, the words that they may say, and what may name a bucket. */
  readonly dimensions: ReadonlySet<string>;
  readonly callWords: ReadonlySet<string>;
  readonly bucketWords: ReadonlySet<string>;
}

/** Every allotment of a limit, the one for all others first. */
export function allotmentsOf({ allotment, quotas, overrides }: Limit): Allotment[] {
  const named = quotas.flatMap(({ allotments }) => [...allotments.values()]);
  return [allotment, ...named, ...overrides.map((override) => override.allotment)];
}

/**
 * Checks a policy and makes it ready to judge by. A policy that was made before is returned as it is.
 *
 * @throws MisuseError `invalid-policy` with every fault that was found
 *
 * @example
 * ```ts
 * import { createLimiter, definePolicy } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const policy = definePolicy({
 *   version: 1,
 *   limits: [{ name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 2, quotas: { tool: { send_email: 1 } } }],
 * });
 * const limiter = createLimiter({ policy, store: memoryStore() });
 * const call = { tool: "send_email", session: "s1", turn: "t1" };
 * console.log((await limiter.consume(call)).allowed, (await limiter.consume(call)).allowed); // true false
 * ```
 */
export function definePolicy<const Source extends Policy | WrittenPolicy>(
  policy: Source & Checked<Source>,
): PolicyFor<Source>;
export function definePolicy(policy: Policy | PolicyInput): Policy {
  return compiledPolicy(policy);
}

/** Makes a policy ready to judge by, as `definePolicy` does. */
export function compiledPolicy(policy: Policy | PolicyInput): CompiledPolicy {
  if (isPolicy(policy)) return policy;
  const result = readPolicy(policy);
  if ("faults" in result) throw new MisuseError("invalid-policy", result.faults);
  return result.policy;
}

/** Checks a policy; unlike `definePolicy` it returns what is wrong, so that a file's lines can be told. */
export function readPolicy(
  input: unknown,
): { readonly policy: CompiledPolicy } | { readonly faults: readonly PolicyFault[] } {
  const reserved = isObject(input) ? reservedKeys({ ...input, tests: undefined }, []) : [];
  if (reserved.length > 0) return { faults: reserved };
  const parsed = policySchema.safeParse(readable(input));
  if (!parsed.success) {
    const { issues } = parsed.error;
    const all = issues.filter(isOfItsKind).flatMap((issue, n) => issueFaults(issue, input, n < MAX_HINTS));
    const old = oldWordsIn(input);
    const faults = [...faultsBeside(old, all), ...contradictionsBeside(all, input)];
    const unknown = faults.filter(({ isKey, hint }) => isKey === true && hint !== undefined);
    return {
      faults: [...old.map((word) => oldFault(word, input)), ...faults.filter((fault) => !isMisspelt(fault, unknown))],
    };
  }
  // The annotation fails to compile when the schema and the type that users see part.
  const accepted: PolicyInput = parsed.data;
  const settled = { ...parsed.data, limits: settledLimits(parsed.data) };
  const faults = contradictions(settled).map((fault, n) =>
    n < MAX_HINTS ? hinted(fault, hintForValue(fault.keys, settled, [])) : fault,
  );
  return faults.length > 0 ? { faults } : { policy: branded(compilePolicy(settled), accepted) };
}

/** What contradicts itself in the right parts of limits, beside the faults of others: one look finds all. */
function contradictionsBeside(faults: readonly PolicyFault[], input: unknown): PolicyFault[] {
  const limits = isObject(input) && Array.isArray(input.limits) ? input.limits.slice(0, MAX_HINTS) : [];
  const found = limits.flatMap((limit, i) => {
    const wrong = new Set(faults.flatMap(({ keys }) => (keys[0] === "limits" && keys[1] === i ? keys[2] : [])));
    const right = isObject(limit) && Object.fromEntries(Object.entries(limit).filter(([key]) => !wrong.has(key)));
    const parsed = policySchema.safeParse(readable({ version: 1, limits: [right] }));
    if (!parsed.success) return [];
    const settled = { ...parsed.data, limits: settledLimits(parsed.data) };
    return contradictions(settled).map(({ keys, expected, got }) =>
      policyFault(["limits", i, ...keys.slice(2)], expected, got),
    );
  });
  return found.map((fault, n) => (n < MAX_HINTS ? hinted(fault, hintForValue(fault.keys, input, [])) : fault));
}

/** The schema library passes `__proto__` over in silence: a limit would be lost. */
function reservedKeys(value: unknown, keys: readonly (string | number)[]): PolicyFault[] {
  if (typeof value !== "object" || value === null || keys.length > MAX_DEPTH) return [];
  if (Object.hasOwn(value, "__proto__")) return [policyFault([...keys, "__proto__"], "another name", "a reserved one")];
  return Object.entries(value).flatMap(([key, inner]) =>
    reservedKeys(inner, [...keys, Array.isArray(value) ? Number(key) : key]),
  );
}

function isPolicy(value: PolicyInput | Policy): value is CompiledPolicy {
  return typeof value === "object" && value !== null && POLICY in value;
}

type Issue = NonNullable<ReturnType<typeof policySchema.safeParse>["error"]>["issues"][number];

/** The schema library measures a text that stands in place of a list: that it is no list is all that is wrong. */
function isOfItsKind({ code, path }: Issue, n: number, issues: readonly Issue[]): boolean {
  const before = issues[n - 1];
  return code !== "too_big" || before?.code !== "invalid_type" || before.path.join(".") !== path.join(".");
}

function issueFaults(issue: Issue, input: unknown, isHinted: boolean): PolicyFault[] {
  const keys = issue.path.map((key) => (typeof key === "number" ? key : String(key)));
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key, n) => {
      const hint = isHinted && n < MAX_HINTS ? hintForKey([...keys, key], input) : null;
      // With a hint, a list of all keys is only in the way.
      const [expected, got] =
        hint === null
          ? [issue.message, "an unknown key"]
          : (misplacement([...keys, key], input) ?? ["a known key", formatGot(key)]);
      return { ...hinted(policyFault([...keys, key], expected, got), hint), isKey: true };
    });
  }
  if (issue.code === "invalid_key") {
    const fault = policyFault(keys, issue.issues[0]?.message ?? issue.message, formatGot(keys.at(-1)));
    return [{ ...hinted(fault, isHinted ? hintForName(keys) : null), isKey: true }];
  }
  const choices = issue.code === "invalid_value" ? issue.values.map(String) : [];
  const hint = isHinted ? hintForValue(keys, input, choices) : null;
  return [hinted(policyFault(keys, issue.message, formatGot(valueAt(input, keys))), hint)];
}

/** An old word, and what to write instead. */
function oldFault({ keys, edit, hint }: OldWord, input: unknown): PolicyFault {
  if (keys.at(-1) === "quotas") {
    const fault = policyFault(keys, "quotas by dimension and value", formatGot(valueAt(input, keys)));
    return { ...fault, hint, isKey: true, isOld: edit !== null };
  }
  const isKey = typeof keys.at(-1) === "string" && keys.at(-1) !== "algorithm";
  const got = formatGot(isKey ? keys.at(-1) : valueAt(input, keys));
  return { ...policyFault(keys, "a current word", got), hint, isKey, isOld: true };
}

/** The faults that are not about old words, or about what these make of the policy. */
function faultsBeside(old: readonly OldWord[], faults: readonly PolicyFault[]): PolicyFault[] {
  const known = new Set(
    old.flatMap(({ keys, edit }) => {
      const to = edit === null || edit === "remove" || edit.to === null ? [] : [[...keys.slice(0, -1), edit.to[0]]];
      return [keys, ...to].map((each) => JSON.stringify(each));
    }),
  );
  return faults.filter(({ keys }) => !keys.some((_, n) => known.has(JSON.stringify(keys.slice(0, n + 1)))));
}

/** Whether a key is missing because it stands there under another name, as a hint says. */
function isMisspelt({ keys, got, hint }: PolicyFault, unknown: readonly PolicyFault[]): boolean {
  if (got !== "nothing" || hint === undefined) return false;
  const [parent, key] = [keys.slice(0, -1).join(), String(keys.at(-1))];
  const named = new RegExp(`["\\s]${key}["\\s:]`);
  return unknown.some((other) => other.keys.slice(0, -1).join() === parent && named.test(other.hint ?? ""));
}

function hinted(fault: PolicyFault, hint: string | null): PolicyFault {
  return hint === null ? fault : { ...fault, hint };
}

/** What a policy was made from, with the algorithm of each limit. */
export function writtenPolicy(policy: Policy): PolicyInput {
  return (policy as unknown as { readonly [POLICY]: PolicyInput })[POLICY];
}

/** Marks a policy with what it was made from, so that another installed copy knows it, too. */
function branded(policy: CompiledPolicy, input: PolicyInput): CompiledPolicy {
  return Object.freeze(Object.defineProperty(policy, POLICY, { value: input }));
}

// A policy: from what is written to what a call is judged by. Everything that can be wrong with it is found here, once.

import { formatGot, MisuseError } from "../errors.ts";
import type { Allotment, CompiledPolicy, Limit } from "../limit.ts";
import { compilePolicy } from "./compile.ts";
import { contradictions, type PolicyFault, policyFault } from "./contradictions.ts";
import { hintForKey, misplacement } from "./hints.ts";
import type { PolicyInput } from "./input.ts";
import { type OldWord, oldWordsIn } from "./old-words.ts";
import { isObject, type Keys, listOr, objectOr, valueAt } from "./place.ts";
import { policySchema } from "./schema.ts";
import { readBy, type SchemaFault } from "./schema-kinds.ts";
import { readable, settledPolicy } from "./settled.ts";
import { hintForName, hintForValue } from "./value-hints.ts";
import type { Policy, PolicyFor } from "./typed.ts";
import type { Checked, WrittenPolicy } from "./typed-keys.ts";

export type { PolicyFault } from "./contradictions.ts";
export type { Policy, PolicyLimit } from "./typed.ts";

const POLICY = Symbol.for("tollgate.policy");
/** Of `limits[0].overrides[0].when.tool[0]`; no accepted policy is deeper. */
const MAX_DEPTH = 6;
/** Most faults, and most unknown keys of one object, for which a hint is looked for; most limits that are looked at again. */
const MAX_HINTS = 100;

/** Every allotment of a limit, the one for all others first. */
export function allotmentsOf({ allotment, quotas, overrides }: Limit): Allotment[] {
  const named = quotas.flatMap(({ allotments }) => [...allotments.values()]);
  return [allotment, ...named, ...overrides];
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
  const read = readBy(policySchema, readable(input));
  if ("faults" in read) {
    const all = read.faults.flatMap((fault, n) => policyFaults(fault, input, n < MAX_HINTS));
    const old = oldWordsIn(input);
    const faults = [...faultsBeside(old, all), ...contradictionsBeside(all, input)];
    const unknown = faults.filter(({ isKey, hint }) => isKey === true && hint !== undefined);
    return {
      faults: [...old.map((word) => oldFault(word, input)), ...faults.filter((fault) => !isMisspelt(fault, unknown))],
    };
  }
  // The annotation fails to compile when the schema and the type that users see part.
  const accepted: PolicyInput = read.value;
  const settled = settledPolicy(read.value);
  const faults = withHints(contradictions(settled), settled);
  return faults.length > 0 ? { faults } : { policy: branded(compilePolicy(settled), accepted) };
}

/** What contradicts itself in the right parts of limits, beside the faults of others: one look finds all. */
function contradictionsBeside(faults: readonly PolicyFault[], input: unknown): PolicyFault[] {
  const limits = listOr(objectOr(input).limits).slice(0, MAX_HINTS);
  const found = limits.flatMap((limit, i) => {
    const wrong = new Set(faults.flatMap(({ keys }) => (keys[0] === "limits" && keys[1] === i ? keys[2] : [])));
    const right = Object.fromEntries(Object.entries(objectOr(limit)).filter(([key]) => !wrong.has(key)));
    const read = readBy(policySchema, readable({ version: 1, limits: [right] }));
    if ("faults" in read) return [];
    return contradictions(settledPolicy(read.value)).map(({ keys, expected, got }) =>
      policyFault(["limits", i, ...keys.slice(2)], expected, got),
    );
  });
  return withHints(found, input);
}

function withHints(faults: readonly PolicyFault[], input: unknown): PolicyFault[] {
  return faults.map((fault, n) => (n < MAX_HINTS ? hinted(fault, hintForValue(fault.keys, input, [])) : fault));
}

/** Keys that no part of a policy can have. They are reported alone: what stands there has no meaning. */
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

function policyFaults({ keys, expected, unknown, isKey, choices }: SchemaFault, input: unknown, isHinted: boolean) {
  if (unknown.length > 0)
    return unknown.map((key, n) => unknownKey([...keys, key], expected, input, isHinted && n < MAX_HINTS));
  if (isKey) {
    const fault = policyFault(keys, expected, formatGot(keys.at(-1)));
    return [{ ...hinted(fault, isHinted ? hintForName(keys) : null), isKey }];
  }
  const hint = isHinted ? hintForValue(keys, input, choices.map(String)) : null;
  return [hinted(policyFault(keys, expected, formatGot(valueAt(input, keys))), hint)];
}

function unknownKey(keys: Keys, only: string, input: unknown, isHinted: boolean): PolicyFault {
  const hint = isHinted ? hintForKey(keys, input) : null;
  // With a hint, a list of all keys is only in the way.
  const [expected, got] =
    hint === null ? [only, "an unknown key"] : (misplacement(keys, input) ?? ["a known key", formatGot(keys.at(-1))]);
  return { ...hinted(policyFault(keys, expected, got), hint), isKey: true };
}

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

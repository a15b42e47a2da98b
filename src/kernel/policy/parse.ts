// A policy: from what is written to what a call is judged by. Everything that can be wrong with it is found here, once.

import { type Fault, formatGot, MisuseError } from "../errors.ts";
import type { Allotment, CompiledPolicy, Limit } from "../limit.ts";
import { listed } from "../words.ts";
import { compilePolicy } from "./compile.ts";
import { contradictions, type PolicyFault, policyFault } from "./contradictions.ts";
import type { PolicyInput } from "./input.ts";
import { isObject, listOr, objectOr, valueAt } from "./place.ts";
import { LIMIT_KEYS, policySchema } from "./schema.ts";
import { readBy, type SchemaFault } from "./schema-kinds.ts";
import { readable, settledPolicy } from "./settled.ts";
import type { Policy, PolicyFor } from "./typed.ts";
import type { Checked, WrittenPolicy } from "./typed-keys.ts";

export type { PolicyFault } from "./contradictions.ts";
export type { Policy, PolicyLimit } from "./typed.ts";

const POLICY = Symbol.for("tollgate.policy");
/** Of `limits[0].overrides[0].when.tool[0]`; no accepted policy is deeper. */
const MAX_DEPTH = 6;
/** Most limits of a wrong policy that are looked at again. */
const MAX_AGAIN = 100;

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
  if ("policy" in result) return result.policy;
  const faults = result.faults.map(({ path, expected, got }): Fault => ({ path, expected, got }));
  const last = faults.pop() as Fault;
  throw new MisuseError("invalid-policy", [...faults, { ...last, hint: typeof policy === "string" ? READ : CHECK }]);
}

const READ = 'loadPolicy(path) of "tollgate/policy" reads a file, and parsePolicy(text) a text in YAML or JSON.';
const CHECK = 'For a policy in a file, "tollgate check FILE" says what to write instead.';

/** Makes the faults of a policy that was written by hand more useful: `hintedFaults`. */
type Explain = (
  faults: readonly PolicyFault[],
  contradictions: readonly PolicyFault[],
  input: unknown,
) => readonly PolicyFault[];

/** Checks a policy; unlike `definePolicy` it returns what is wrong, so that a file's lines can be told. */
export function readPolicy(
  input: unknown,
  explain: Explain = (faults, others) => [...faults, ...others],
): { readonly policy: CompiledPolicy } | { readonly faults: readonly PolicyFault[] } {
  const reserved = isObject(input) ? reservedKeys({ ...input, tests: undefined }, []) : [];
  if (reserved.length > 0) return { faults: reserved };
  const read = readBy(policySchema, readable(input));
  if ("faults" in read) {
    const faults = read.faults.flatMap((fault) => policyFaults(fault, input));
    return { faults: explain(faults, contradictionsBeside(faults, input), input) };
  }
  // The annotation fails to compile when the schema and the type that users see part.
  const accepted: PolicyInput = read.value;
  const settled = settledPolicy(read.value);
  const found = contradictions(settled);
  return found.length > 0
    ? { faults: explain([], found, settled) }
    : { policy: branded(compilePolicy(settled), accepted) };
}

/** What contradicts itself in the right parts of limits, beside the faults of others: one look finds all. */
function contradictionsBeside(faults: readonly PolicyFault[], input: unknown): PolicyFault[] {
  const limits = listOr(objectOr(input).limits).slice(0, MAX_AGAIN);
  return limits.flatMap((limit, i) => {
    const wrong = new Set(faults.flatMap(({ keys }) => (keys[0] === "limits" && keys[1] === i ? keys[2] : [])));
    const right = Object.fromEntries(Object.entries(objectOr(limit)).filter(([key]) => !wrong.has(key)));
    const read = readBy(policySchema, readable({ version: 1, limits: [right] }));
    if ("faults" in read) return [];
    return contradictions(settledPolicy(read.value)).map(({ keys, expected, got }) =>
      policyFault(["limits", i, ...keys.slice(2)], expected, got),
    );
  });
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

function policyFaults({ keys, expected, unknown, isKey, choices }: SchemaFault, input: unknown): PolicyFault[] {
  if (unknown.length > 0)
    return unknown.map((key) => ({
      ...policyFault(
        [...keys, key],
        expected,
        keys[0] === "limits" && keys.length === 2 ? gotKey(key) : "an unknown key",
      ),
      isKey: true,
      isUnknown: true,
    }));
  if (isKey) return [{ ...policyFault(keys, expected, formatGot(keys.at(-1))), isKey }];
  return [{ ...policyFault(keys, expected, formatGot(valueAt(input, keys))), choices: choices.map(String) }];
}

/** A key that a limit does not have: one of limits with another algorithm, or of none. */
function gotKey(key: string): string {
  const owners = [...LIMIT_KEYS].filter(([, own]) => own.includes(key)).map(([algorithm]) => algorithm);
  return owners.length === 0 ? "an unknown key" : `a key of limits with the algorithm ${listed(owners, "or")}`;
}

/** What a policy was made from, with the algorithm of each limit. */
export function writtenPolicy(policy: Policy): PolicyInput {
  return (policy as unknown as { readonly [POLICY]: PolicyInput })[POLICY];
}

/** Marks a policy with what it was made from, so that another installed copy knows it, too. */
function branded(policy: CompiledPolicy, input: PolicyInput): CompiledPolicy {
  return Object.freeze(Object.defineProperty(policy, POLICY, { value: input }));
}

// Policies from text: YAML, which JSON is part of, with the line and column of each fault.

import { type Fault, formatGot, MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { hintedFaults } from "../kernel/policy/fault-hints.ts";
import { type Policy, readPolicy } from "../kernel/policy/parse.ts";
import { type Named, oneSpelling } from "../policy-warnings/warning.ts";
import { type PolicyWarning, policyWarnings } from "../policy-warnings/warnings.ts";
import { MAX_FAULTS, readYaml, type YamlText } from "./yaml-text.ts";

/** What faults name as the origin of a text that has none. */
const UNNAMED = "policy";

/**
 * Reads a policy from YAML or JSON.
 *
 * @param text the policy
 * @param source what faults name as its origin, such as a file's path
 * @throws MisuseError `invalid-policy` with every fault that was found, its line and column
 *
 * @example
 * ```ts
 * import { parsePolicy } from "tollgate/policy";
 *
 * const policy = parsePolicy(`
 * version: 1
 * limits:
 *   - { name: tool-per-turn, per: [session, turn, tool], quota: 5, resetAfterIdle: 1h }
 * `);
 * console.log(policy.limits.length); // 1
 * ```
 */
export function parsePolicy(text: string, source = UNNAMED): Policy {
  return readPolicyText(text, source).policy;
}

/** Reads a policy as `parsePolicy` does, with functions for its warnings and for the place of its parts. */
export function readPolicyText(
  text: string,
  source = UNNAMED,
): { readonly policy: CompiledPolicy; readonly warnings: () => readonly PolicyWarning[]; readonly at: YamlText["at"] } {
  if (typeof text !== "string") {
    throw new MisuseError("invalid-policy", { path: source, expected: "a text in YAML or JSON", got: formatGot(text) });
  }
  const { value, at } = readYaml(text, source, "invalid-policy");
  const result = readPolicy(value, hintedFaults);
  if ("policy" in result) {
    const { policy } = result;
    const placed = (warning: PolicyWarning): PolicyWarning => {
      const lineOf = (named: Named) => `line ${/(\d+):\d+$/.exec(at(named.keys, partOf(named)))?.[1]}`;
      const hint = warning.pair === undefined ? warning.hint : oneSpelling(warning.pair, lineOf);
      return { ...warning, hint, at: at(warning.keys, partOf(warning)) };
    };
    return { policy, warnings: () => policyWarnings(policy).map(placed), at };
  }
  const file = source === UNNAMED ? "FILE" : source;
  const firstOld = result.faults.findIndex(({ isOld }) => isOld === true);
  throw new MisuseError(
    "invalid-policy",
    result.faults.slice(0, MAX_FAULTS).map(({ keys, isKey, path, expected, got, hint }, n): Fault => {
      const more = n === firstOld ? ` "tollgate policy upgrade ${file}" rewrites all old words.` : "";
      const place = { at: at(keys, partOf({ isKey })), path, expected, got };
      return hint === undefined ? place : { ...place, hint: hint + more };
    }),
  );
}

function partOf({ isKey }: { readonly isKey?: boolean | undefined }): "key" | "value" {
  return isKey === true ? "key" : "value";
}

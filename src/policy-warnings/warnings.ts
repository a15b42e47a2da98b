// Warnings of a correct policy: names that nothing has, limits and overrides that can never apply. They decide nothing.
// Only what is certain is reported, and names that are very probably typos.

import { compiledPolicy, type Policy, writtenPolicy } from "../kernel/policy/parse.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { duplicateWarnings, limitWarnings, overrideWarnings, priceWarnings, unitWarnings } from "./effects.ts";
import { knownOf } from "./known.ts";
import { dimensionWarnings, similarWarnings } from "./names.ts";
import { selectorWarnings } from "./selectors.ts";
import { quotaWarnings, toolWarnings } from "./tools.ts";
import { modelWarnings, moneyWarnings, planWarnings, zoneWarnings } from "./values.ts";
import type { PolicyWarning, Warnings } from "./warning.ts";

export type { PolicyWarning } from "./warning.ts";

/** Most warnings that are looked for. */
export const MAX_WARNINGS = 100;

/**
 * The warnings of a policy, at most 100: parts of it that have no effect, or very probably another one than was meant. They are
 * those of `tollgate check`; a limiter does not look for them.
 *
 * @throws MisuseError `invalid-policy` where the policy is wrong
 *
 * @example
 * ```ts
 * import { policyWarnings } from "tollgate/policy";
 *
 * const [warning] = policyWarnings({
 *   version: 1,
 *   tools: { search: {} },
 *   limits: [
 *     { name: "searches", per: ["session"], when: { tool: "serach" }, quota: 5 },
 *     { name: "calls", per: ["user"], quota: 50 },
 *   ],
 * });
 * console.log(warning?.path, warning?.hint); // limits[0].when.tool Did you mean "search"?
 * ```
 */
export function policyWarnings(policy: Policy | PolicyInput): readonly PolicyWarning[] {
  const found: PolicyWarning[] = [];
  for (const warning of allWarnings(writtenPolicy(compiledPolicy(policy)))) {
    found.push(warning);
    if (found.length === MAX_WARNINGS) break;
  }
  return found;
}

function* allWarnings(input: PolicyInput): Warnings {
  const known = knownOf(input);
  yield* toolWarnings(known);
  yield* dimensionWarnings(known);
  yield* zoneWarnings(known);
  for (const limit of known.limits) {
    yield* selectorWarnings(limit, known);
    yield* quotaWarnings(limit, known);
    yield* overrideWarnings(limit);
    yield* planWarnings(limit);
    yield* modelWarnings(limit, known);
    yield* moneyWarnings(limit);
    yield* unitWarnings(limit, known);
    yield* priceWarnings(limit, known);
    yield* limitWarnings(limit, known);
  }
  yield* duplicateWarnings(known);
  yield* similarWarnings(known);
}

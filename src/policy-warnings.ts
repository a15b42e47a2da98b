// What a correct policy says in vain: names that nothing has, limits and overrides that can never apply. It decides nothing.
// It warns of what is certain, and of names that are very probably typos; of nothing else.

import type { PolicyInput } from "./kernel/policy-schema.ts";
import { duplicateWarnings, limitWarnings, overrideWarnings, unitWarnings } from "./policy-warnings/effects.ts";
import { dimensionWarnings, similarWarnings } from "./policy-warnings/names.ts";
import { matchWarnings, quotaWarnings, toolWarnings, whenWarnings } from "./policy-warnings/tools.ts";
import { knownOf, type PolicyWarning, type Warnings } from "./policy-warnings/warning.ts";

export type { PolicyWarning } from "./policy-warnings/warning.ts";

/** Most warnings that are looked for. */
export const MAX_WARNINGS = 100;

/** What a policy says in vain: at most 100 warnings. */
export function policyWarnings(input: PolicyInput): readonly PolicyWarning[] {
  const found: PolicyWarning[] = [];
  for (const warning of allWarnings(input)) {
    found.push(warning);
    if (found.length === MAX_WARNINGS) break;
  }
  return found;
}

function* allWarnings(input: PolicyInput): Warnings {
  const known = knownOf(input);
  yield* toolWarnings(known);
  yield* dimensionWarnings(known);
  for (const limit of known.limits) {
    yield* matchWarnings(limit, known);
    yield* quotaWarnings(limit, known);
    yield* whenWarnings(limit, known);
    yield* overrideWarnings(limit);
    yield* unitWarnings(limit, known);
    yield* limitWarnings(limit, known);
  }
  yield* duplicateWarnings(known);
  yield* similarWarnings(known);
}

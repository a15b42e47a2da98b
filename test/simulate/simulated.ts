// The decisions of a simulation, as a list.

import type { Decision, PolicyInput } from "tollgate";
import { compiledPolicy } from "../../src/kernel/policy/parse.ts";
import { simulate } from "../../src/simulate/simulate.ts";
import type { TracedCall } from "../../src/simulate/traced-call.ts";

export async function simulated(policy: PolicyInput, calls: readonly TracedCall[]): Promise<Decision[]> {
  const decisions: Decision[] = [];
  await simulate([compiledPolicy(policy)], calls, (_, [decision]) => void decisions.push(decision as Decision));
  return decisions;
}

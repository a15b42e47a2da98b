// The decisions of a simulation, as a list.

import type { PolicyInput } from "tollgate";
import type { Judgement } from "../../src/kernel/answer.ts";
import { compiledPolicy } from "../../src/kernel/policy/parse.ts";
import { simulate } from "../../src/simulate/simulate.ts";
import type { TracedCall } from "../../src/simulate/traced-call.ts";

export async function simulated(policy: PolicyInput, calls: readonly TracedCall[]): Promise<Judgement[]> {
  const decisions: Judgement[] = [];
  await simulate(
    [compiledPolicy(policy)],
    calls,
    (_, [decision]) => void decisions.push(judged(decision as Judgement)),
  );
  return decisions;
}

/** A decision without its texts. */
export function judged({ allowed, deniedBy, verdicts }: Judgement): Judgement {
  return { allowed, deniedBy, verdicts } as Judgement;
}

// `tollgate simulate --inject runaway`: what runaways could do under a policy.

import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { amount, grouped } from "../kernel/words.ts";
import { playRunaways, RUNAWAY_CALLS, type RunawayResult, runawaysFor } from "../simulate/runaways.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import { wholeNumber } from "./defaults.ts";
import { formatTable } from "./table.ts";

const MAX_CALLS = 100_000;

export interface Injected {
  /** Of each runaway. */
  readonly calls: number;
  /** By policy, in the order of the policies. */
  readonly results: readonly (readonly RunawayResult[])[];
}

/** How many calls each runaway makes, from `runaway` or `runaway=5000`. */
export function runawayLength(option: string): number {
  const [what, calls, ...more] = option.split("=");
  if (what !== "runaway" || more.length > 0) throw invalidOption("--inject", "runaway, or runaway=CALLS", option);
  return calls === undefined ? RUNAWAY_CALLS : wholeNumber("--inject runaway=", calls, 1, MAX_CALLS);
}

export async function inject(
  policies: readonly CompiledPolicy[],
  trace: readonly TracedCall[],
  calls: number,
): Promise<Injected> {
  const runaways = runawaysFor(trace, calls);
  const results: RunawayResult[][] = [];
  for (const policy of policies) results.push(await playRunaways(policy, runaways));
  return { calls, results };
}

export function injectedText({ calls, results }: Injected): string {
  const [first = []] = results;
  const names = results.length > 1 ? ["A ", "B "] : [""];
  const rows = first.map(({ kind, isAfterSession }, i) => {
    const place = isAfterSession ? "after a session" : "alone";
    return [kind, place, ...results.flatMap((each) => cells(each.slice(i, i + 1)))];
  });
  const heading = ["runaway", "where", ...names.flatMap((name) => [`${name}admitted`, `${name}cut`])];
  const all = ["all", "", ...results.flatMap(cells)];
  return `Runaways of ${amount(calls, "calls")} each\n${formatTable(heading, [...rows, all])}`;
}

/** How many calls were admitted, and the share that was cut. */
function cells(results: readonly RunawayResult[]): [admitted: string, cut: string] {
  const calls = results.reduce((sum, each) => sum + each.calls, 0);
  const admitted = results.reduce((sum, each) => sum + each.admitted, 0);
  return [grouped(admitted), `${((100 * (calls - admitted)) / Math.max(1, calls)).toFixed(1)} %`];
}

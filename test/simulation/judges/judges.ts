// All judges, by the promise that each one keeps.

import { Oracle } from "../oracle.ts";
import type { Run } from "../run.ts";
import { count } from "./count.ts";
import type { Judge, Violation } from "./judge.ts";

export const JUDGES: Readonly<Record<string, Judge>> = {
  "every admitted unit is counted once": count,
};

/** What is wrong with a run, by each judge. */
export function judge(run: Run): Violation[] {
  const oracle = new Oracle(run);
  return Object.entries(JUDGES).flatMap(([name, find]) =>
    [...find(oracle)].map((problem) => ({ judge: name, problem })),
  );
}

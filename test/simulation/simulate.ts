// Makes, runs and judges schedules.

import { judge } from "./judges/judges.ts";
import { makeSchedule } from "./make/schedule.ts";
import type { Chunk } from "./processes.ts";
import { runSchedule } from "./run.ts";
import { shrink } from "./shrink.ts";
import { storyOf } from "./story.ts";
import { NONE, sumOf, type Totals, totalsOf } from "./totals.ts";
import { watchUnseen } from "./unseen.ts";

export interface SimulateOptions {
  readonly seed: string;
  /** Makes failing schedules smaller before it prints them. */
  readonly shrink: boolean;
  /** Prints what happened in each schedule. */
  readonly story: boolean;
  /** Sums up the logs, so that two runs can be compared. */
  readonly digest: boolean;
  /** Stops at the first schedule that fails. */
  readonly untilFound: boolean;
}

/** Most violations that are printed of one schedule. */
const SHOWN = 3;

export async function simulate({ first, schedules }: Chunk, options: SimulateOptions): Promise<Totals> {
  const { seed } = options;
  // Errors are everyday here, and where each was made takes long to write down.
  if (!options.story) Error.stackTraceLimit = 0;
  const begun = process.cpuUsage();
  const unseen = watchUnseen();
  let totals = NONE;
  try {
    for (let i = first; i < first + schedules; i++) {
      let run = await runSchedule(makeSchedule(`${seed}.${i}`));
      const unhandled = (await unseen.take()).map((problem) => ({ judge: "nothing fails unseen", problem }));
      let violations = [...judge(run), ...unhandled];
      totals = sumOf(totals, totalsOf(run, violations.length > 0, options.digest));
      if (options.shrink && violations.length > unhandled.length) {
        run = await runSchedule(await shrink(run.schedule, violations[0]?.judge ?? ""));
        violations = judge(run);
      }
      if (options.story) console.log(storyOf(run));
      const faults = [...new Set(run.schedule.faults.map(({ type }) => type))].join(" ");
      for (const { judge, problem } of violations.slice(0, SHOWN))
        console.log(`${seed}.${i}: ${judge}: ${problem} [${faults}]`);
      if (violations.length > 0 && options.untilFound) break;
    }
  } finally {
    unseen.stop();
  }
  const { user, system } = process.cpuUsage(begun);
  return { ...totals, cpuSeconds: (user + system) / 1_000_000 };
}

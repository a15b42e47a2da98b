// The calls of a simulation, in the order of their times, from whatever `tollgate simulate` is given.

import { formatDuration, MAX_DURATION_MS, parseDuration } from "../kernel/duration.ts";
import { invalidOption } from "../kernel/errors.ts";
import { amount } from "../kernel/words.ts";
import { type Timeline, timelineOf } from "../simulate/simulate.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import { readTrace, type TraceOptions } from "./trace-files.ts";
import { isLogOrService, readLogAt } from "./trace-log.ts";

export interface TimelineOptions extends TraceOptions {
  readonly every?: string;
}

/** @throws MisuseError, CommandError */
export async function timelineAt(source: string, options: TimelineOptions): Promise<Timeline> {
  const { every } = options;
  const everyMs = every === undefined ? undefined : parseDuration(every);
  if (everyMs === null) {
    throw invalidOption("--every", `a duration such as 1s, at most ${formatDuration(MAX_DURATION_MS)}`, every);
  }
  const calls = isLogOrService(source) ? await callsOfLog(source) : await callsOfTrace(source, options);
  if (everyMs !== undefined && calls.some(({ atMs }) => atMs !== null)) {
    throw invalidOption("--every", "a trace without times", "one whose lines have `at`");
  }
  return timelineOf(calls, everyMs);
}

async function callsOfTrace(source: string, options: TraceOptions): Promise<readonly TracedCall[]> {
  const { calls, format, skipped } = await readTrace(source, options);
  if (format !== "trace") {
    const rest = skipped === 0 ? "" : `; ${amount(skipped, "lines")} of other kinds left out`;
    console.error(`Read ${amount(calls.length, "calls")} in the format ${format}${rest}.`);
  }
  return calls;
}

async function callsOfLog(source: string): Promise<readonly TracedCall[]> {
  const { calls, isSample } = await readLogAt(source);
  const which = isSample ? "; the log is a sample, so only sessions that were allowed calls are simulated" : "";
  console.error(`Read ${amount(calls.length, "calls")} of the decision log${which}.`);
  return calls;
}

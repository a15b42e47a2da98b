// What a simulation cannot say, in sentences.

import type { CompiledPolicy } from "../kernel/limit.ts";
import { listed } from "../kernel/words.ts";
import type { Timeline } from "./simulate.ts";
import { type Missing, uncountedUnits, unknownTo } from "./unknown.ts";

const SENTENCES: Readonly<Record<Missing, (limits: string, source: string) => string>> = {
  times: (limits, source) =>
    `${source} has no times, so all calls are made at one instant: do not rely on ${limits}. Add \`at\` to its lines, or say --every 1s.`,
  durations: (limits, source) =>
    `${source} has no \`durationMs\`, so no two calls run at once: ${limits} denies nothing.`,
  outcomes: (limits, source) =>
    `${source} has neither \`error\` nor \`result\`, so no call fails and no two results are equal: ${limits} denies nothing.`,
  costs: (limits) => `No call has a \`cost\` in the unit of ${limits}: nothing is counted there.`,
  arguments: (limits, source) =>
    `${source} has no \`args\`, so all calls of a tool are equal: do not rely on ${limits}.`,
};

export const CANNOT_REACT =
  "A recorded agent cannot react: after a denial, a real one may do something else than the trace has.";

/** @param source what the calls are of, as the beginning of a sentence */
export function notesOn(
  policies: readonly CompiledPolicy[],
  timeline: Timeline,
  source = "The trace",
): readonly string[] {
  const notes = policies.flatMap((policy) =>
    unknownTo(policy, timeline).map(({ missing, limits }) => SENTENCES[missing](listed(limits, "and"), source)),
  );
  const uncounted = uncountedUnits(policies, timeline);
  if (uncounted.length > 0) notes.push(`No limit counts ${listed(uncounted, "and")}: these costs are left out.`);
  return [...new Set(notes)];
}

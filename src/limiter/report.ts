// The outcome of a call, for limits that count outcomes.

import { resultDigest } from "../kernel/args.ts";
import type { Call } from "../kernel/call.ts";
import type { Match } from "../kernel/charge.ts";
import type { Step } from "../kernel/request.ts";
import { ask } from "./ask.ts";
import type { CallOptions } from "./call-options.ts";
import type { LimiterContext } from "./context.ts";
import { emitEvent } from "./listener.ts";

/** The outcome of a call: an error, or a result, of which only a hash is kept. */
export type Outcome = { readonly error: unknown } | { readonly result: unknown };

/** The outcome of a call as one limit counts it: `error`, the hash of a result, or `null` for no error. */
export interface CountedOutcome {
  readonly match: Match;
  readonly outcome: string | null;
}

/** Reports an outcome to every limit of a call that counts outcomes. */
export async function reportOutcome(
  context: LimiterContext,
  call: Call,
  matches: readonly Match[],
  outcome: Outcome,
  options?: CallOptions,
): Promise<void> {
  const counted = countedOutcomes(context, call, matches, outcome);
  if (counted.length > 0) await ask(context, () => ({ mode: "force", steps: reportSteps(context, counted) }), options);
}

/** The outcome as each limit counts it that counts such outcomes. */
export function countedOutcomes(
  context: LimiterContext,
  call: Call,
  matches: readonly Match[],
  outcome: Outcome,
): CountedOutcome[] {
  const isError = "error" in outcome;
  let result: string | undefined;
  return matches.flatMap((match): CountedOutcome[] => {
    const { reports } = match.limit;
    // A call that did not fail ends a streak of errors.
    if (reports === "errors") return [{ match, outcome: isError ? "error" : null }];
    // A call that failed has no result: it neither ends a streak of equal results nor makes it longer.
    if (reports !== "results" || isError) return [];
    result ??= hashOf(context, call, outcome.result);
    return [{ match, outcome: result }];
  });
}

/** One step for each of the limits, with the boundaries of the present calendar windows. */
export function reportSteps({ calendar }: LimiterContext, counted: readonly CountedOutcome[]): Step[] {
  return counted.map(({ match, outcome }) => calendar.stepOf(match, { type: "report", outcome }));
}

/** The hash of a result. A result that cannot be read must not fail its run. */
function hashOf(context: LimiterContext, call: Call, result: unknown): string {
  const { outcome: hash, error } = resultDigest(result);
  if (error !== null) emitEvent(context, { type: "outcome.unusable", call, error });
  return hash;
}

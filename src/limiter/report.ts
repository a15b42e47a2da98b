// The outcome of a call, for limits that count outcomes.

import { resultDigest } from "../kernel/args.ts";
import type { Call } from "../kernel/call.ts";
import { type Match, stepOf } from "../kernel/charge.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { ask } from "./ask.ts";
import type { CallOptions } from "./call-options.ts";
import type { LimiterContext } from "./context.ts";
import { emitEvent } from "./listener.ts";

/** The outcome of a call: an error, or a result, of which only a hash is kept. */
export type Outcome = { readonly error: unknown } | { readonly result: unknown };

/** Reports an outcome to every limit of a call that counts outcomes. */
export async function reportOutcome(
  context: LimiterContext,
  call: Call,
  matches: readonly Match[],
  outcome: Outcome,
  options?: CallOptions,
): Promise<void> {
  const report = reportFor(context, call, matches, outcome);
  if (report.matches.length > 0) await ask(context, () => ({ mode: "force", steps: report.steps() }), options);
}

/** An outcome in the form that the limits of a call count. */
export interface OutcomeReport {
  /** The limits that count it. */
  readonly matches: readonly Match[];
  /** For each limit: `error`, the hash of a result, or `null` for no error. */
  readonly outcomes: readonly (string | null)[];
  /** One step for each of the limits, with the boundaries of the present calendar windows. */
  steps(): StoreRequest["steps"];
}

/** The report of a call's outcome to each limit that counts outcomes. */
export function reportFor(
  context: LimiterContext,
  call: Call,
  matches: readonly Match[],
  outcome: Outcome,
): OutcomeReport {
  const isError = "error" in outcome;
  // A call that failed has no result: it neither ends a streak of equal results nor makes it longer.
  const counting = matches.filter(
    ({ limit }) => limit.reports === "errors" || (limit.reports === "results" && !isError),
  );
  const result = counting.some(({ limit }) => limit.reports === "results") ? resultOf(context, call, outcome) : null;
  // A call that did not fail ends a streak of errors.
  const outcomes = counting.map(({ limit }) => (limit.reports === "results" ? result : isError ? "error" : null));
  return {
    matches: counting,
    outcomes,
    steps: () =>
      counting.map((match, i) =>
        stepOf(match, context.calendar.specOf(match), { type: "report", outcome: outcomes[i] ?? null }),
      ),
  };
}

/** The hash of a result. A result that cannot be read must not fail its run. */
function resultOf(context: LimiterContext, call: Call, outcome: Outcome): string {
  const { outcome: hash, error } = resultDigest("result" in outcome ? outcome.result : undefined);
  if (error !== null) emitEvent(context, { type: "outcome.unusable", call, error });
  return hash;
}

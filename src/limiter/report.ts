// What came of a call, for limits that count outcomes.

import { resultDigest } from "../kernel/args.ts";
import type { Call } from "../kernel/call.ts";
import { type Match, stepOf } from "../kernel/charge.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { CallOptions } from "./call-options.ts";
import { ask, type Shared, tellEvent } from "./shared.ts";

/** What came of a call: it failed, or it gave a result, of which only a hash is kept. */
export type Outcome = { readonly error: unknown } | { readonly result: unknown };

/** Tells every limit of a call that counts outcomes. */
export async function reportOutcome(
  shared: Shared,
  call: Call,
  matches: readonly Match[],
  outcome: Outcome,
  options?: CallOptions,
): Promise<void> {
  const told = reportFor(shared, call, matches, outcome);
  if (told.matches.length > 0) await ask(shared, () => ({ mode: "force", steps: told.steps() }), options);
}

/** An outcome as the limits of a call are told it. */
export interface OutcomeReport {
  /** The limits that count it. */
  readonly matches: readonly Match[];
  /** Two outcomes with the same words are the same to every limit. */
  readonly words: readonly (string | null)[];
  /** One for each of the limits, with the boundaries of the present. */
  steps(): StoreRequest["steps"];
}

/** What each limit of a call that counts outcomes is told. */
export function reportFor(shared: Shared, call: Call, matches: readonly Match[], outcome: Outcome): OutcomeReport {
  const isError = "error" in outcome;
  // A call that failed has no result: it neither ends a row of equal results nor makes it longer.
  const told = matches.filter(({ limit }) => limit.reports === "errors" || (limit.reports === "results" && !isError));
  const result = told.some(({ limit }) => limit.reports === "results") ? resultOf(shared, call, outcome) : null;
  // A call that did not fail ends a row of errors.
  const words = told.map(({ limit }) => (limit.reports === "results" ? result : isError ? "error" : null));
  return {
    matches: told,
    words,
    steps: () =>
      told.map((match, i) =>
        stepOf(match, shared.calendar.specOf(match), { type: "report", outcome: words[i] ?? null }),
      ),
  };
}

/** The hash of a result. One that cannot be read must not end the run of which it came. */
function resultOf(shared: Shared, call: Call, outcome: Outcome): string {
  const { outcome: hash, error } = resultDigest("result" in outcome ? outcome.result : undefined);
  if (error !== null) tellEvent(shared, { type: "outcome.unusable", call, error });
  return hash;
}

// What came of a call, for limits that count outcomes.

import { resultDigest } from "../kernel/args.ts";
import type { Call } from "../kernel/call.ts";
import { type Match, stepOf } from "../kernel/charge.ts";
import type { StoreRequest } from "../kernel/decide.ts";
import { ask, type CallOptions, type Shared, tellEvent } from "./shared.ts";

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
  const isError = "error" in outcome;
  // A call that failed has no result: it neither ends a row of equal results nor makes it longer.
  const told = matches.filter(({ limit }) => limit.reports === "errors" || (limit.reports === "results" && !isError));
  if (told.length === 0) return;
  const result = told.some(({ limit }) => limit.reports === "results") ? resultOf(shared, call, outcome) : null;
  const steps = (): StoreRequest["steps"] =>
    told.map((match) => {
      // A call that did not fail ends a row of errors.
      const ended = match.limit.reports === "results" ? result : isError ? "error" : null;
      return stepOf(match, shared.calendar.specOf(match), { type: "report", outcome: ended });
    });
  await ask(shared, () => ({ mode: "force", steps: steps() }), options);
}

/** The hash of a result. One that cannot be read must not end the run of which it came. */
function resultOf(shared: Shared, call: Call, outcome: Outcome): string {
  const { outcome: hash, error } = resultDigest("result" in outcome ? outcome.result : undefined);
  if (error !== null) tellEvent(shared, { type: "result-unusable", call, error });
  return hash;
}

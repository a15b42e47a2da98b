// What came of a call, for limits that count outcomes.

import { argsDigest } from "../kernel/args.ts";
import { type Match, stepOf } from "../kernel/charge.ts";
import type { StoreRequest } from "../kernel/decide.ts";
import { ask, type CallOptions, type Shared } from "./shared.ts";

/** What came of a call: it failed, or it gave a result, of which only a hash is kept. */
export type Outcome = { readonly error: unknown } | { readonly result: unknown };

const NOTHING_VOLATILE: ReadonlySet<string> = new Set();

/** Tells every limit of a call that counts outcomes. */
export async function report(
  shared: Shared,
  matches: readonly Match[],
  outcome: Outcome,
  options?: CallOptions,
): Promise<void> {
  const told = matches.filter(({ limit }) => limit.reports !== null);
  if (told.length === 0) return;
  const steps = (): StoreRequest["steps"] =>
    told.flatMap((match) => {
      const outcomeOf = match.limit.reports === "errors" ? errorOf(outcome) : resultOf(outcome);
      if (outcomeOf === undefined) return [];
      return stepOf(match, shared.calendar.specOf(match), { type: "report", outcome: outcomeOf });
    });
  await ask(shared, () => ({ mode: "force", steps: steps() }), options);
}

/** A call that did not fail ends the row. */
function errorOf(outcome: Outcome): string | null {
  return "error" in outcome ? "error" : null;
}

/** A call that failed has no result: it neither ends the row nor makes it longer. */
function resultOf(outcome: Outcome): string | undefined {
  return "error" in outcome ? undefined : argsDigest(outcome.result, NOTHING_VOLATILE);
}

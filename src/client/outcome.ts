// The outcome of a call in the form in which it is sent to the service.

import { isWithinBounds, resultDigest } from "../kernel/args.ts";
import type { Call } from "../kernel/call.ts";
import { emitEvent } from "../limiter/listener.ts";
import type { Outcome } from "../limiter.ts";
import { askOr } from "./ask.ts";
import { jsonText } from "./body.ts";
import type { ClientContext } from "./context.ts";
import { type BatchItem, MAX_CHARACTERS } from "./wire.ts";

export type SentOutcome = { readonly error: true } | { readonly result: unknown };

export function sentOutcome(context: ClientContext, call: Call, outcome: Outcome): SentOutcome {
  return "error" in outcome ? { error: true } : { result: sentResult(context, call, outcome.result) };
}

/** A result, or only its hash when the service would not take it. */
function sentResult(context: ClientContext, call: Call, result: unknown): unknown {
  const text = isWithinBounds(result) ? jsonText(result) : null;
  // JSON leaves `undefined` out of a body, which would then name no outcome.
  if (text === "null") return null;
  if (text !== null && text.length <= MAX_CHARACTERS) return result;
  const { outcome: hash, error } = resultDigest(result);
  if (error !== null) emitEvent(context, { type: "outcome.unusable", call, error });
  return hash;
}

/** Reports an outcome by itself. Sent twice it would count twice. */
export function reportItem(call: Call, outcome: SentOutcome): BatchItem<"report"> {
  return { op: "report", body: { call, ...outcome }, isRepeatable: false };
}

export async function reportRemotely(context: ClientContext, call: Call, outcome: Outcome): Promise<void> {
  const item = reportItem(call, sentOutcome(context, call, outcome));
  await askOr(context, item, async (away, isInDoubt) => {
    await away.limiter.reportOutcome(call, outcome);
    if (!isInDoubt) away.book({ item: () => item }, false);
    return null;
  });
}

// Decides calls, and reports their outcomes.

import type { Decision } from "../../kernel/decision.ts";
import type { Outcome } from "../../limiter.ts";
import type { Asking, ServiceContext } from "../context.ts";
import { invalidBody } from "../problems.ts";
import type { CallBody, ConsumeBody, EndBody, ReportBody } from "../../http/requests.ts";
import { callAs, claimsOf } from "./as-caller.ts";
import { inTime } from "./wait.ts";

export async function consume(
  context: ServiceContext,
  { caller, request }: Asking,
  { call, quotas, maxWaitMs }: ConsumeBody,
): Promise<Decision> {
  const whole = callAs(context, caller, call);
  const claims = claimsOf(caller, quotas);
  // The fast path: `consume` may decide without another turn of the event loop.
  if (maxWaitMs === undefined) return context.limiter.consume(whole, claims);
  return inTime(context, request, maxWaitMs, (wait) => context.limiter.consumeFor(whole, { ...claims, ...wait }));
}

export async function record(context: ServiceContext, { caller }: Asking, body: CallBody): Promise<Decision> {
  return context.limiter.record(callAs(context, caller, body.call), claimsOf(caller, body.quotas));
}

export async function peek(context: ServiceContext, { caller }: Asking, body: CallBody): Promise<Decision> {
  return context.limiter.peek(callAs(context, caller, body.call), claimsOf(caller, body.quotas));
}

export async function report(context: ServiceContext, { caller }: Asking, body: ReportBody): Promise<null> {
  const outcome = outcomeIn(body);
  if (outcome === null) throw invalidBody("body", '"error": true or "result"', "neither");
  await context.limiter.reportOutcome(callAs(context, caller, body.call), outcome);
  return null;
}

/** The outcome of a call; `null` where the body names none. */
export function outcomeIn(body: Pick<EndBody, "error" | "result">): Outcome | null {
  const hasResult = Object.hasOwn(body, "result");
  if (body.error === undefined) return hasResult ? { result: body.result } : null;
  if (!hasResult) return { error: true };
  throw invalidBody("body", '"error": true or "result", not both', "both");
}

// Decides calls, and reports what came of them.

import type { Decision } from "../../kernel/decision.ts";
import type { Outcome } from "../../limiter.ts";
import type { Asking, ServiceContext } from "../context.ts";
import { invalidBody } from "../problems.ts";
import type { CallBody, ConsumeBody, EndBody, ReportBody } from "../request-schemas.ts";
import { claimsOf, scope } from "./scope.ts";
import { inTime } from "./wait.ts";

export async function consume(
  context: ServiceContext,
  { caller, request }: Asking,
  { call, quotas, maxWaitMs }: ConsumeBody,
): Promise<Decision> {
  const scoped = scope(context, caller, call);
  const claims = claimsOf(caller, quotas);
  if (maxWaitMs === undefined) return context.limiter.consume(scoped, claims);
  return inTime(context, request, maxWaitMs, (wait) => context.limiter.consumeFor(scoped, { ...claims, ...wait }));
}

export async function record(
  context: ServiceContext,
  { caller }: Asking,
  { call, quotas }: CallBody,
): Promise<Decision> {
  return context.limiter.record(scope(context, caller, call), claimsOf(caller, quotas));
}

export async function peek(context: ServiceContext, { caller }: Asking, { call, quotas }: CallBody): Promise<Decision> {
  return context.limiter.peek(scope(context, caller, call), claimsOf(caller, quotas));
}

export async function report(context: ServiceContext, { caller }: Asking, body: ReportBody): Promise<null> {
  const outcome = outcomeIn(body);
  if (outcome === null) throw invalidBody([{ path: "body", expected: '"error": true or "result"', got: "neither" }]);
  await context.limiter.reportOutcome(scope(context, caller, body.call), outcome);
  return null;
}

/** What came of a call, in the words of a body; `null` where it does not say. */
export function outcomeIn(body: Pick<EndBody, "error" | "result">): Outcome | null {
  const hasResult = Object.hasOwn(body, "result");
  if (body.error === undefined) return hasResult ? { result: body.result } : null;
  if (!hasResult) return { error: true };
  throw invalidBody([{ path: "body", expected: '"error": true or "result", not both', got: "both" }]);
}

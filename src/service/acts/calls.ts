// Decides calls, and reports their outcomes.

import type { Decision } from "../../kernel/decision.ts";
import type { Outcome } from "../../limiter.ts";
import type { Asking } from "../context.ts";
import { invalidBody } from "../problems.ts";
import type { CallBody, ConsumeBody, EndBody, ReportBody } from "../../http/requests.ts";
import { callAs, claimsOf } from "./as-caller.ts";
import { inTime } from "./wait.ts";

export async function consume(asking: Asking, body: ConsumeBody): Promise<Decision> {
  const { limiter } = asking.context;
  const { call, quotas, maxWaitMs, force } = body;
  const whole = callAs(asking, call);
  const claims = claimsOf(asking, quotas);
  // The fast path: `consume` may decide without another turn of the event loop.
  if (maxWaitMs === undefined && force !== true) return limiter.consume(whole, claims);
  return inTime(asking, body, (options) => limiter.consumeForRemote(whole, { ...claims, ...options }));
}

export async function record(asking: Asking, { call, quotas }: CallBody): Promise<Decision> {
  return asking.context.limiter.record(callAs(asking, call), claimsOf(asking, quotas));
}

export async function peek(asking: Asking, { call, quotas }: CallBody): Promise<Decision> {
  return asking.context.limiter.peek(callAs(asking, call), claimsOf(asking, quotas));
}

export async function report(asking: Asking, body: ReportBody): Promise<null> {
  const outcome = outcomeIn(body);
  if (outcome === null) throw invalidBody("body", '"error": true or "result"', "neither");
  await asking.context.limiter.reportOutcome(callAs(asking, body.call), outcome);
  return null;
}

/** The outcome of a call; `null` where the body names none. */
export function outcomeIn(body: Pick<EndBody, "error" | "result">): Outcome | null {
  const hasResult = Object.hasOwn(body, "result");
  if (body.error === undefined) return hasResult ? { result: body.result } : null;
  if (!hasResult) return { error: true };
  throw invalidBody("body", '"error": true or "result", not both', "both");
}

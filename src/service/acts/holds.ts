// Holds units for calls, and ends those calls.

import type { RunFacts } from "../../http/answers.ts";
import type { EndBody, ExtendBody, HoldBody, ReserveBody, SettleBody } from "../../http/requests.ts";
import type { Call } from "../../kernel/call.ts";
import type { Decision } from "../../kernel/decision.ts";
import { invalidOption } from "../../kernel/errors.ts";
import { type HostedLimiter, isRunHold, type Settlement } from "../../limiter.ts";
import type { Asking, ServiceContext } from "../context.ts";
import { outcomeIn } from "./calls.ts";
import { callAs, claimsOf, heldCallAs, holdAs, showSettlement, withoutLost } from "./as-caller.ts";
import { inTime } from "./wait.ts";

export async function reserve(
  context: ServiceContext,
  asking: Asking,
  body: ReserveBody,
): Promise<Decision & { readonly holdId: string | null }> {
  const held = await holdInTime(context, asking, body, (call, options) => context.limiter.reserveFor(call, options));
  if (!held.allowed) return { ...held, holdId: null };
  const { hold, ...decision } = held;
  return { ...decision, holdId: hold.id };
}

export async function begin(
  context: ServiceContext,
  asking: Asking,
  body: ReserveBody,
): Promise<Decision & RunFacts & { readonly holdId: string | null }> {
  const begun = await holdInTime(context, asking, body, (call, options) => context.limiter.begin(call, options));
  const { decision, running } = begun;
  if (running === null) {
    const { maxHoldMs } = context.inForce.policy;
    return { ...decision, holdId: null, heldUnits: [], units: [], leaseMs: null, maxHoldMs, wantsOutcome: false };
  }
  const { hold, units, heldUnits, leaseMs, maxHoldMs, wantsOutcome } = running;
  const facts = { heldUnits: [...heldUnits], units: [...units], leaseMs, maxHoldMs, wantsOutcome };
  return { ...decision, holdId: hold.id, ...facts };
}

/** Holds units for a call that may wait for its turn. */
function holdInTime<Answer>(
  context: ServiceContext,
  { caller, request }: Asking,
  { call, quotas, leaseMs, maxWaitMs }: ReserveBody,
  hold: (call: Call, options: Parameters<HostedLimiter["reserveFor"]>[1]) => Promise<Answer>,
): Promise<Answer> {
  const whole = callAs(context, caller, call);
  const options = { leaseMs, ...claimsOf(caller, quotas) };
  return inTime(context, request, maxWaitMs, (wait) => hold(whole, { ...options, ...wait }));
}

export async function settle(context: ServiceContext, { caller }: Asking, body: SettleBody): Promise<Settlement> {
  const { holdId, usage = {}, failed = false, quotas } = body;
  const claims = claimsOf(caller, quotas);
  if (failed) checkBegun("failed", holdId);
  const call = heldCallAs(context, caller, body);
  // A unit that the policy has lost since then must not leave the others unsettled. `end` leaves such units out itself.
  const settlement = isRunHold(holdId)
    ? context.limiter.end(holdId, call, { usage, hasFailed: failed, outcome: null }, claims)
    : context.limiter.getHold(holdId, call, claims).settle(withoutLost(context, body.call, usage));
  return showSettlement(context, caller, body, settlement);
}

export async function end(context: ServiceContext, { caller }: Asking, body: EndBody): Promise<Settlement> {
  const { holdId, usage = {}, error: hasFailed = false } = body;
  const outcome = outcomeIn(body);
  checkBegun("holdId", holdId);
  const ending = { usage, hasFailed, outcome };
  const claims = claimsOf(caller, body.quotas);
  return showSettlement(
    context,
    caller,
    body,
    context.limiter.end(holdId, heldCallAs(context, caller, body), ending, claims),
  );
}

/** Refuses holds that were reserved: for these it is unknown what a failed call costs. */
function checkBegun(path: string, holdId: string): void {
  if (!isRunHold(holdId)) throw invalidOption(path, "a hold that begin made", holdId);
}

export async function release(context: ServiceContext, { caller }: Asking, body: HoldBody): Promise<Settlement> {
  return showSettlement(context, caller, body, holdAs(context, caller, body).release());
}

export async function extend(
  context: ServiceContext,
  { caller }: Asking,
  body: ExtendBody,
): Promise<{ readonly extended: boolean }> {
  return { extended: await holdAs(context, caller, body).extend({ leaseMs: body.leaseMs }) };
}

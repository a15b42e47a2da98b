// Holds units for calls, and ends those calls.

import type { Decision } from "../../kernel/decision.ts";
import { invalidOption } from "../../kernel/errors.ts";
import { isRunHold, type Settlement } from "../../limiter.ts";
import type { Asking, ServiceContext } from "../context.ts";
import type { EndBody, ExtendBody, HoldBody, ReserveBody, SettleBody } from "../request-schemas.ts";
import { outcomeIn } from "./calls.ts";
import { claimsOf, holdOf, scope, scopeHeld, settled, withoutLost } from "./scope.ts";
import { inTime } from "./wait.ts";

export async function reserve(
  context: ServiceContext,
  { caller, request }: Asking,
  { call, quotas, leaseMs, maxWaitMs }: ReserveBody,
): Promise<Decision & { readonly holdId: string | null }> {
  const scoped = scope(context, caller, call);
  const wish = { leaseMs, ...claimsOf(caller, quotas) };
  const held = await inTime(context, request, maxWaitMs, (wait) =>
    context.limiter.reserveFor(scoped, { ...wish, ...wait }),
  );
  if (!held.allowed) return { ...held, holdId: null };
  const { hold, ...decision } = held;
  return { ...decision, holdId: hold.id };
}

/** What a caller needs to know of a call that has begun, to run it as the limiter would. */
export interface BegunAnswer {
  readonly holdId: string | null;
  readonly heldUnits: readonly string[];
  readonly units: readonly string[];
  readonly leaseMs: number | null;
  readonly maxHoldMs: number;
  readonly wantsOutcome: boolean;
}

export async function begin(
  context: ServiceContext,
  { caller, request }: Asking,
  { call, quotas, leaseMs, maxWaitMs }: ReserveBody,
): Promise<Decision & BegunAnswer> {
  const scoped = scope(context, caller, call);
  const wish = { leaseMs, ...claimsOf(caller, quotas) };
  const { decision, running } = await inTime(context, request, maxWaitMs, (wait) =>
    context.limiter.begin(scoped, { ...wish, ...wait }),
  );
  if (running === null) {
    const { maxHoldMs } = context.inForce.policy;
    return { ...decision, holdId: null, heldUnits: [], units: [], leaseMs: null, maxHoldMs, wantsOutcome: false };
  }
  const { hold, heldUnits, units, leaseMs: livesMs, maxHoldMs, wantsOutcome } = running;
  return { ...decision, holdId: hold.id, heldUnits, units: [...units], leaseMs: livesMs, maxHoldMs, wantsOutcome };
}

export async function settle(context: ServiceContext, { caller }: Asking, body: SettleBody): Promise<Settlement> {
  const { holdId, usage = {}, failed = false, quotas } = body;
  const claims = claimsOf(caller, quotas);
  if (failed) checkBegun("failed", holdId);
  const call = scopeHeld(context, caller, body);
  // A call that ran has done its work: a unit that the policy has lost since must not leave the others unsettled.
  const settlement = isRunHold(holdId)
    ? context.limiter.end(holdId, call, { usage, hasFailed: failed, outcome: null }, claims)
    : context.limiter.getHold(holdId, call, claims).settle(withoutLost(context, body.call, usage));
  return settled(context, caller, body, settlement);
}

export async function end(context: ServiceContext, { caller }: Asking, body: EndBody): Promise<Settlement> {
  const { holdId, usage = {}, error: hasFailed = false } = body;
  const outcome = outcomeIn(body);
  checkBegun("holdId", holdId);
  const ending = { usage, hasFailed, outcome };
  const claims = claimsOf(caller, body.quotas);
  return settled(context, caller, body, context.limiter.end(holdId, scopeHeld(context, caller, body), ending, claims));
}

/** Refuses holds that were reserved: for these it is unknown what a failed call costs. */
function checkBegun(path: string, holdId: string): void {
  if (!isRunHold(holdId)) throw invalidOption(path, "a hold that begin made", holdId);
}

export async function release(context: ServiceContext, { caller }: Asking, body: HoldBody): Promise<Settlement> {
  return settled(context, caller, body, holdOf(context, caller, body).release());
}

export async function extend(
  context: ServiceContext,
  { caller }: Asking,
  body: ExtendBody,
): Promise<{ readonly extended: boolean }> {
  return { extended: await holdOf(context, caller, body).extend({ leaseMs: body.leaseMs }) };
}

// Holds units for calls, and ends those calls.

import { type BegunAnswer, runFactsOf } from "../../http/answers.ts";
import type { EndBody, ExtendBody, HoldBody, ReserveBody, SettleBody } from "../../http/requests.ts";
import type { Call } from "../../kernel/call.ts";
import type { Decision } from "../../kernel/decision.ts";
import { invalidOption } from "../../kernel/errors.ts";
import { type HostedLimiter, isRunHold, type Settlement } from "../../limiter.ts";
import type { Asking } from "../context.ts";
import { outcomeIn } from "./calls.ts";
import { callAs, claimsOf, heldCallAs, holdAs, showSettlement, withoutLost } from "./as-caller.ts";
import { inTime } from "./wait.ts";

export async function reserve(asking: Asking, body: ReserveBody): Promise<Decision & Pick<BegunAnswer, "holdId">> {
  const { limiter } = asking.context;
  const held = await holdInTime(asking, body, (call, options) => limiter.reserveForRemote(call, options));
  if (!held.allowed) return { ...held, holdId: null };
  const { hold, ...decision } = held;
  return { ...decision, holdId: hold.id };
}

export async function begin(asking: Asking, body: ReserveBody): Promise<Decision & BegunAnswer> {
  const { limiter } = asking.context;
  const { decision, running } = await holdInTime(asking, body, (call, options) => limiter.begin(call, options));
  if (running === null) {
    const { maxHoldMs } = limiter.policy;
    return { ...decision, holdId: null, heldUnits: [], units: [], leaseMs: null, maxHoldMs, wantsOutcome: false };
  }
  return { ...decision, holdId: running.hold.id, ...runFactsOf(running) };
}

/** Holds units for a call that may wait for its turn. */
function holdInTime<Answer>(
  asking: Asking,
  body: ReserveBody,
  hold: (call: Call, options: Parameters<HostedLimiter["reserveForRemote"]>[1]) => Promise<Answer>,
): Promise<Answer> {
  const { call, quotas, leaseMs } = body;
  const whole = callAs(asking, call);
  const claims = claimsOf(asking, quotas);
  return inTime(asking, body, (options) => hold(whole, { leaseMs, ...claims, ...options }));
}

export async function settle(asking: Asking, body: SettleBody): Promise<Settlement> {
  const { limiter } = asking.context;
  const { holdId, usage = {}, failed = false, quotas } = body;
  const claims = claimsOf(asking, quotas);
  if (failed) checkBegun("failed", holdId);
  const call = heldCallAs(asking, body);
  // A unit that the policy has lost since then must not leave the others unsettled. `end` leaves such units out itself.
  const settlement = isRunHold(holdId)
    ? limiter.end(holdId, call, { usage, hasFailed: failed, outcome: null }, claims)
    : limiter.getHold(holdId, call, claims).settle(withoutLost(asking, body.call, usage));
  return showSettlement(asking, body, settlement);
}

export async function end(asking: Asking, body: EndBody): Promise<Settlement> {
  const { holdId, usage = {}, error: hasFailed = false, quotas } = body;
  const outcome = outcomeIn(body);
  checkBegun("holdId", holdId);
  const claims = claimsOf(asking, quotas);
  const ending = { usage, hasFailed, outcome };
  const settlement = asking.context.limiter.end(holdId, heldCallAs(asking, body), ending, claims);
  return showSettlement(asking, body, settlement);
}

/** Refuses holds that were reserved: for these it is unknown what a failed call costs. */
function checkBegun(path: string, holdId: string): void {
  if (!isRunHold(holdId)) throw invalidOption(path, "a hold that begin made", holdId);
}

export async function release(asking: Asking, body: HoldBody): Promise<Settlement> {
  return showSettlement(asking, body, holdAs(asking, body).release());
}

export async function extend(asking: Asking, body: ExtendBody): Promise<{ readonly extended: boolean }> {
  return { extended: await holdAs(asking, body).extend({ leaseMs: body.leaseMs }) };
}

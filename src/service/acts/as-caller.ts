// What a caller asks, as the limiter gets it: calls and holds under the caller's tenant, and quotas where its key may bring some.
// Answers and errors show the caller's own names.

import type { HoldBody } from "../../http/requests.ts";
import type { Call, Cost } from "../../kernel/call.ts";
import type { ClaimedQuotas } from "../../kernel/policy/typed.ts";
import type { Hold, QuotaOptions, Settlement } from "../../limiter.ts";
import { missingScope } from "../auth.ts";
import type { Asking } from "../context.ts";
import { shownError, shownUsages, tenantCall, tenantOf } from "../tenants.ts";

/** Runs a route or an item of a batch. */
export async function runFor<Answer>({ context, caller }: Asking, run: () => Answer): Promise<Awaited<Answer>> {
  try {
    return await run();
  } catch (error) {
    throw shownError(context.limiter.policy, caller.tenants, error);
  }
}

/** The quotas of a request. Throws ProblemError 403 where the key may not bring any. */
export function claimsOf({ caller }: Asking, quotas: ClaimedQuotas | undefined): QuotaOptions | undefined {
  if (quotas === undefined) return undefined;
  if (!caller.scopes.has("quotas")) throw missingScope("quotas", caller.keyId);
  return { quotas };
}

export function callAs({ context, caller }: Asking, call: Call): Call {
  return tenantCall(context.limiter.policy, caller.tenants, call);
}

/** The call of a hold that was made before. */
export function heldCallAs(asking: Asking, { call }: HoldBody): Call {
  const { cost } = call;
  return callAs(asking, cost === undefined ? call : { ...call, cost: withoutLost(asking, call, cost) });
}

export function holdAs(asking: Asking, body: HoldBody): Hold {
  return asking.context.limiter.getHold(body.holdId, heldCallAs(asking, body), claimsOf(asking, body.quotas));
}

/** A cost without units that a call was begun with, and that no limit counts since the policy was reloaded. */
export function withoutLost({ context }: Asking, { cost: begun = {} }: Call, cost: Cost): Cost {
  const isLost = (unit: string) => Object.hasOwn(begun, unit) && !context.limiter.policy.units.has(unit);
  return Object.fromEntries(Object.entries(cost).filter(([unit]) => !isLost(unit)));
}

export async function showSettlement(
  { context, caller }: Asking,
  { call }: HoldBody,
  settlement: Promise<Settlement>,
): Promise<Settlement> {
  const { policy } = context.limiter;
  const tenant = caller.tenants === null ? null : tenantOf(caller.tenants, call.tenant);
  const { usages, ...rest } = await settlement;
  return { ...rest, usages: shownUsages(policy, tenant, usages) };
}

// What a caller asks, as the limiter gets it: calls and holds under the caller's tenant, and quotas where its key may bring some.
// Answers and errors show the caller's own names.

import type { HoldBody } from "../../http/requests.ts";
import type { Call, Cost } from "../../kernel/call.ts";
import type { ClaimedQuotas } from "../../kernel/policy/typed.ts";
import type { QuotaOptions, Settlement } from "../../limiter.ts";
import { type Caller, missingScope } from "../auth.ts";
import type { ServiceContext } from "../context.ts";
import { shownError, shownUsages, tenantCall, tenantOf } from "../tenants.ts";

/** Runs a route or an item of a batch. */
export async function runFor<Answer>(
  context: ServiceContext,
  { tenants }: Caller,
  run: () => Answer,
): Promise<Awaited<Answer>> {
  try {
    return await run();
  } catch (error) {
    throw shownError(context.inForce.policy, tenants, error);
  }
}

/**
 * The quotas of a request.
 *
 * @throws ProblemError 403 where the key may not bring any
 */
export function claimsOf({ keyId, mayClaim }: Caller, quotas: ClaimedQuotas | undefined): QuotaOptions | undefined {
  if (quotas === undefined) return undefined;
  if (!mayClaim) throw missingScope("quotas", keyId);
  return { quotas };
}

export function callAs({ inForce }: ServiceContext, { tenants }: Caller, call: Call): Call {
  return tenantCall(inForce.policy, tenants, call);
}

/** The call of a hold that was made before. */
export function heldCallAs(context: ServiceContext, caller: Caller, { call }: HoldBody): Call {
  const { cost } = call;
  return callAs(context, caller, cost === undefined ? call : { ...call, cost: withoutLost(context, call, cost) });
}

export function holdAs(context: ServiceContext, caller: Caller, body: HoldBody) {
  return context.limiter.getHold(body.holdId, heldCallAs(context, caller, body), claimsOf(caller, body.quotas));
}

/** A cost without units that a call was begun with, and that no limit counts since the policy was reloaded. */
export function withoutLost({ inForce: { policy } }: ServiceContext, { cost: begun = {} }: Call, cost: Cost): Cost {
  const isLost = (unit: string) => Object.hasOwn(begun, unit) && !policy.units.has(unit);
  return Object.fromEntries(Object.entries(cost).filter(([unit]) => !isLost(unit)));
}

export async function showSettlement(
  context: ServiceContext,
  { tenants }: Caller,
  { call }: HoldBody,
  settlement: Promise<Settlement>,
): Promise<Settlement> {
  const { policy } = context.inForce;
  const tenant = tenants === null ? null : tenantOf(tenants, call.tenant);
  const { usages, ...rest } = await settlement;
  return { ...rest, usages: shownUsages(policy, tenant, usages) };
}

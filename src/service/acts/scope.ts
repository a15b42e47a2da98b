// A caller's view of the limiter: its calls and holds go to the limiter with its tenant, its quotas need the scope for them, and
// answers name only what it may see.

import type { Call, Cost } from "../../kernel/call.ts";
import type { Usage } from "../../kernel/decision.ts";
import type { CompiledPolicy } from "../../kernel/limit.ts";
import type { ClaimedQuotas } from "../../kernel/policy/typed.ts";
import type { QuotaOptions, Settlement } from "../../limiter.ts";
import { type Caller, missingScope } from "../auth.ts";
import type { ServiceContext } from "../context.ts";
import type { HoldBody } from "../request-schemas.ts";
import { scopedCall, shownError, shownUsages, type Tenancy, tenancyOf } from "../tenants.ts";

/** Does what a route or an item of a batch is for. Errors have the caller's own names. */
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

/** The quotas of a request, where its key may bring some. */
export function claimsOf({ keyId, mayClaim }: Caller, quotas: ClaimedQuotas | undefined): QuotaOptions | undefined {
  if (quotas === undefined) return undefined;
  if (!mayClaim) throw missingScope("quotas", keyId);
  return { quotas };
}

export function scope(context: ServiceContext, { tenants }: Caller, call: Call): Call {
  return tenants === null ? call : scopedCall(context.inForce.policy, tenants, call);
}

export function holdOf(context: ServiceContext, caller: Caller, body: HoldBody) {
  return context.limiter.getHold(body.holdId, scopeHeld(context, caller, body), claimsOf(caller, body.quotas));
}

/** The call of a hold that was made before. */
export function scopeHeld(context: ServiceContext, caller: Caller, { call }: HoldBody): Call {
  const { cost } = call;
  return scope(context, caller, cost === undefined ? call : { ...call, cost: withoutLost(context, call, cost) });
}

/** A cost without units that a call was begun with, and that no limit counts since the policy was reloaded. */
export function withoutLost({ inForce: { policy } }: ServiceContext, { cost: begun = {} }: Call, cost: Cost): Cost {
  const isLost = (unit: string) => Object.hasOwn(begun, unit) && !policy.units.has(unit);
  return Object.fromEntries(Object.entries(cost).filter(([unit]) => !isLost(unit)));
}

export async function settled(
  context: ServiceContext,
  { tenants }: Caller,
  { call }: HoldBody,
  settlement: Promise<Settlement>,
): Promise<Settlement> {
  const { policy } = context.inForce;
  const tenancy = tenants === null ? null : tenancyOf(tenants, call.tenant);
  const { usages, ...rest } = await settlement;
  return { ...rest, usages: shown(policy, tenancy, usages) };
}

export function shown<Shown extends Usage>(
  policy: CompiledPolicy,
  tenancy: Tenancy | null,
  usages: readonly Shown[],
): readonly Shown[] {
  return tenancy === null ? usages : shownUsages(policy, tenancy, usages);
}

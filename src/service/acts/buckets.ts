// Shows buckets, and changes them: each change is written to the audit log before it is made.

import type { GrantBody, ResetBody, RevokeBody } from "../../http/requests.ts";
import type { BucketUsage } from "../../kernel/decision.ts";
import type { ChangeOptions, NamedBucket, Reset, Revoked } from "../../limiter.ts";
import { type Act, audited } from "../audit.ts";
import { actorOf } from "../auth.ts";
import type { Asking } from "../context.ts";
import { ProblemError } from "../problems.ts";
import { cursorAfter, type UsageQuery } from "../query.ts";
import { bucketTenant, shownChange, shownUsages, tenantBucket, tenantDimensions, withAdvice } from "../tenants.ts";

export async function usage(
  { context, caller }: Asking,
  { dimensions, asTenant, skip, pageSize }: UsageQuery,
): Promise<{ readonly items: readonly BucketUsage[]; readonly nextCursor: string | null }> {
  const { policy } = context.limiter;
  const tenant = bucketTenant(caller.tenants, asTenant, dimensions.tenant);
  const whole = tenantDimensions(policy, tenant, dimensions);
  const { usages, isLast } = await context.limiter.usagePage(whole, { skip, take: pageSize });
  return { items: shownUsages(policy, tenant, usages), nextCursor: isLast ? null : cursorAfter(skip + pageSize) };
}

export function grant(asking: Asking, body: GrantBody): Promise<{ readonly after: BucketUsage }> {
  const { grant } = body;
  const { id: grantId, units, durationMs } = grant;
  return change(asking, body, { act: "grant", units, durationMs, grantId }, async (bucket, note) => {
    return { after: await asking.context.limiter.grant(bucket, grant, note) };
  });
}

export function revoke(asking: Asking, body: RevokeBody): Promise<Revoked> {
  const { id } = body;
  return change(asking, body, { act: "revoke", grantId: id }, (bucket, note) => {
    return asking.context.limiter.revoke(bucket, id, note);
  });
}

export function reset(asking: Asking, body: ResetBody): Promise<Reset> {
  return change(asking, body, { act: "reset" }, (bucket, note) => asking.context.limiter.reset(bucket, note));
}

/** Writes down what is about to be done to a bucket, and does it. */
async function change<Change extends { readonly before?: BucketUsage; readonly after: BucketUsage }>(
  { context, caller }: Asking,
  { limit, dimensions, asTenant, reason, actor: person }: ResetBody,
  about: Pick<Act, "act" | "units" | "durationMs" | "grantId">,
  run: (bucket: NamedBucket, note: ChangeOptions) => Promise<Change>,
): Promise<Change> {
  const { policy } = context.limiter;
  const { keyId, tenants } = caller;
  const actor = actorOf(caller, person);
  const note = { reason, actor };
  const actOn = ({ args: _, ...named }: ResetBody["dimensions"]): Act => {
    return { ...about, actor, keyId, limit, dimensions: named, reason: reason ?? null };
  };
  let tenant: string | null;
  try {
    tenant = bucketTenant(tenants, asTenant, dimensions.tenant);
  } catch (error) {
    // An act that is refused is written down, too, in the caller's words.
    return audited(context.audit, actOn(dimensions), () => Promise.reject(error));
  }
  const act = actOn(tenantDimensions(policy, tenant, dimensions));
  if (tenant === null) {
    return audited(context.audit, act, () => run({ ...dimensions, limit }, note)).catch((error: unknown) => {
      throw withAdvice(error, dimensions.tenant);
    });
  }
  const bucket = tenantBucket(policy, tenant, { ...dimensions, limit });
  const changed = await audited(context.audit, act, async () => {
    if (bucket === null) throw new ProblemError("shared-bucket", "The bucket belongs to no tenant.");
    return run(bucket, note);
  });
  return shownChange(policy, tenant, changed);
}

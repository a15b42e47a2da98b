// Shows buckets, and changes them: each change is written to the audit log before it is made.

import type { BucketUsage } from "../../kernel/decision.ts";
import { type Act, audited } from "../audit.ts";
import type { Caller } from "../auth.ts";
import type { Asking, ServiceContext } from "../context.ts";
import { ProblemError } from "../problems.ts";
import { cursorAfter, type UsageQuery } from "../query.ts";
import type { GrantBody, ResetBody, RevokeBody } from "../request-schemas.ts";
import { isOwned, scopedBucket, scopedBucketOf, type Tenancy, tenancyAs, withAdvice } from "../tenants.ts";
import { shown } from "./scope.ts";

/** A page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** `null` on the last one. */
  readonly nextCursor: string | null;
}

export async function usage(
  context: ServiceContext,
  { caller }: Asking,
  { dimensions, asTenant, skip, pageSize }: UsageQuery,
): Promise<Page<BucketUsage>> {
  const { policy } = context.inForce;
  const tenancy = tenancyAs(caller.tenants, asTenant, dimensions.tenant);
  const whole = tenancy === null ? dimensions : scopedBucket(policy, tenancy, dimensions);
  const { usages, isLast } = await context.limiter.usagePage(whole, { skip, take: pageSize });
  return { items: shown(policy, tenancy, usages), nextCursor: isLast ? null : cursorAfter(skip + pageSize) };
}

type Shown = BucketUsage | null;

export async function grant(
  context: ServiceContext,
  { caller }: Asking,
  body: GrantBody,
): Promise<{ readonly after: Shown }> {
  const { grant, reason } = body;
  const { id: grantId, units, durationMs } = grant;
  const about = { act: "grant", units, durationMs, grantId, reason: reason ?? null } as const;
  const { found, show } = await touch(context, caller, body, about, (bucket) => {
    return context.limiter.grant(bucket, grant, { reason });
  });
  return { after: show(found) };
}

export async function revoke(
  context: ServiceContext,
  { caller }: Asking,
  body: RevokeBody,
): Promise<{ readonly revoked: boolean; readonly after: Shown }> {
  const { id, reason } = body;
  const about = { act: "revoke", grantId: id, reason: reason ?? null } as const;
  const { found, show } = await touch(context, caller, body, about, (bucket) => {
    return context.limiter.revoke(bucket, id, { reason });
  });
  return { revoked: found?.revoked ?? false, after: show(found?.after) };
}

export async function reset(
  context: ServiceContext,
  { caller }: Asking,
  body: ResetBody,
): Promise<{ readonly before: Shown; readonly after: Shown }> {
  const { reason } = body;
  const about = { act: "reset", reason: reason ?? null } as const;
  const { found, show } = await touch(context, caller, body, about, (bucket) =>
    context.limiter.reset(bucket, { reason }),
  );
  return { before: show(found?.before), after: show(found?.after) };
}

type BucketOf = ResetBody["dimensions"] & { readonly limit: string };

/** What came of a change, and how its buckets are shown to the caller. */
interface Touched<Found> {
  readonly found: Found | null;
  show(usage: BucketUsage | null | undefined): Shown;
}

/** Writes down what is about to be done to a bucket, and does it. */
async function touch<Found>(
  context: ServiceContext,
  { keyId, tenants }: Caller,
  { limit, dimensions, asTenant }: ResetBody,
  about: Omit<Act, "actor" | "keyId" | "limit" | "dimensions">,
  act: (bucket: BucketOf) => Promise<Found | null>,
): Promise<Touched<Found>> {
  const { policy } = context.inForce;
  const actor = keyId === null ? "open" : `key:${keyId}`;
  const entryOf = ({ args: _, ...named }: ResetBody["dimensions"]): Act => ({
    ...about,
    actor,
    keyId,
    limit,
    dimensions: named,
  });
  let tenancy: Tenancy | null;
  try {
    tenancy = tenancyAs(tenants, asTenant, dimensions.tenant);
  } catch (error) {
    // Also an act that was refused is written down, in the caller's words.
    return audited(context.audit, entryOf(dimensions), () => Promise.reject(error));
  }
  const whole = tenancy === null ? dimensions : scopedBucket(policy, tenancy, dimensions);
  const found = await audited(context.audit, entryOf(whole), async () => {
    if (tenancy !== null && policy.limits.some(({ name }) => name === limit) && !isOwned(policy, limit, whole)) {
      throw new ProblemError("shared-bucket", "The bucket belongs to no tenant.");
    }
    if (tenancy !== null) return act({ ...scopedBucketOf(policy, tenancy, { ...dimensions, limit }), limit });
    return act({ ...whole, limit }).catch((error: unknown) => {
      throw withAdvice(error, dimensions.tenant);
    });
  });
  return {
    found,
    show: (usage) => (usage === null || usage === undefined ? null : (shown(policy, tenancy, [usage])[0] ?? null)),
  };
}

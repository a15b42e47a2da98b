// `--as-tenant`: buckets as a key of the service names them that is bound to this tenant.

import type { BucketDimensions } from "../kernel/call.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Limiter } from "../limiter.ts";
import { isOwned, prefixOf, scopedBucket, scopedBucketOf, shownUsages, tenancyAs } from "../service/tenants.ts";

/** What a command does with buckets. */
export type Buckets = Pick<Limiter, "usage" | "grant" | "revoke" | "reset">;
type Bucket = BucketDimensions & { readonly limit: string };

/** The buckets of a store, as such a key names and sees them. */
export function bucketsOf(limiter: Limiter, policy: CompiledPolicy, tenant: string): Buckets {
  const tenancyFor = (said: BucketDimensions) => {
    const tenancy = tenancyAs(null, tenant, said.tenant);
    if (tenancy === null) throw invalidOption("--as-tenant", "a tenant", tenant);
    return tenancy;
  };
  const own = (bucket: Bucket) => {
    const { limit, ...dimensions } = bucket;
    const tenancy = tenancyFor(dimensions);
    const isKnown = policy.limits.some(({ name }) => name === limit);
    if (isKnown && !isOwned(policy, limit, scopedBucket(policy, tenancy, dimensions)))
      throw invalidOption("--as-tenant", `no tenant, because the bucket of ${limit} belongs to none`, tenant);
    const show = (usage: BucketUsage): BucketUsage => shownUsages(policy, tenancy, [usage])[0] ?? usage;
    return { bucket: { ...scopedBucketOf(policy, tenancy, bucket), limit }, show };
  };
  return {
    usage: async (said = {}, options) => {
      const tenancy = tenancyFor(said);
      return shownUsages(policy, tenancy, await limiter.usage(scopedBucket(policy, tenancy, said), options));
    },
    grant: async (named, grant, options) => {
      const { bucket, show } = own(named);
      return show(await limiter.grant(bucket, grant, options));
    },
    revoke: async (named, id, options) => {
      const { bucket, show } = own(named);
      const { revoked, after } = await limiter.revoke(bucket, id, options);
      return { revoked, after: show(after) };
    },
    reset: async (named, options) => {
      const { bucket, show } = own(named);
      const { before, after } = await limiter.reset(bucket, options);
      return { before: show(before), after: show(after) };
    },
  };
}

/** A `fetch` that asks a service about the buckets of a tenant. */
export function fetchAs(tenant: string): typeof fetch {
  return (url, init) => {
    if (typeof init?.body === "string") {
      return fetch(url, { ...init, body: JSON.stringify({ ...JSON.parse(init.body), asTenant: tenant }) });
    }
    const asked = new URL(String(url));
    asked.searchParams.set("asTenant", tenant);
    return fetch(asked, init);
  };
}

/** What to add where a tenant is named beside names that a bound key has under its tenant; `null` for nothing. */
export function tenantAdvice({ tenant, ...said }: BucketDimensions): string | null {
  const { tool: _, group: __, args: ___, model: ____, ...names } = said;
  const isWhole = (value: unknown) => String(value).startsWith(prefixOf(String(tenant)));
  if (tenant === undefined || !Object.values(names).some((name) => !isWhole(name))) return null;
  return `For the buckets of a key that is bound to ${tenant}, say --as-tenant ${tenant}.`;
}

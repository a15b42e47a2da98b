// `--as-tenant`: buckets as a key of the service names them that is bound to this tenant.

import type { BucketDimensions } from "../kernel/call.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Limiter, NamedBucket } from "../limiter.ts";
import {
  checkAsTenant,
  prefixOf,
  shownChange,
  shownUsages,
  tenantBucket,
  tenantDimensions,
} from "../service/tenants.ts";

/** What a command does with buckets. */
export type Buckets = Pick<Limiter, "usage" | "grant" | "revoke" | "reset">;

/** The buckets of a store, as such a key names and sees them. */
export function bucketsOf(limiter: Limiter, policy: CompiledPolicy, tenant: string): Buckets {
  const whole = (bucket: NamedBucket) => {
    checkAsTenant(tenant, bucket.tenant);
    const own = tenantBucket(policy, tenant, bucket);
    if (own !== null) return own;
    throw invalidOption("--as-tenant", `no tenant, because the bucket of ${bucket.limit} belongs to none`, tenant);
  };
  return {
    usage: async (dimensions = {}, options) => {
      checkAsTenant(tenant, dimensions.tenant);
      const usages = await limiter.usage(tenantDimensions(policy, tenant, dimensions), options);
      return shownUsages(policy, tenant, usages);
    },
    grant: async (bucket, grant, options) => {
      return shownChange(policy, tenant, { after: await limiter.grant(whole(bucket), grant, options) }).after;
    },
    revoke: async (bucket, id, options) => {
      return shownChange(policy, tenant, await limiter.revoke(whole(bucket), id, options));
    },
    reset: async (bucket, options) => shownChange(policy, tenant, await limiter.reset(whole(bucket), options)),
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

/** Prints advice where a tenant is named beside names that a key bound to it would have under their tenant's prefix. */
export function adviseTenant(
  { asTenant, json }: { readonly asTenant?: string; readonly json?: boolean },
  dimensions: BucketDimensions,
): void {
  const { tenant, tool: _, group: __, args: ___, model: ____, ...names } = dimensions;
  if (asTenant !== undefined || json || tenant === undefined) return;
  if (Object.values(names).every((name) => String(name).startsWith(prefixOf(String(tenant))))) return;
  console.error(`For the buckets of a key that is bound to ${tenant}, say --as-tenant ${tenant}.`);
}

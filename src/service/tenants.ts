// Keeps the tenants of bound keys apart: the limiter gets their names of sessions, users and the like under the tenant's name,
// and answers show the names without it. The names alone say which tenant a bucket belongs to.

import type { BucketDimensions, Call } from "../kernel/call.ts";
import { valueIn } from "../kernel/charge.ts";
import type { BucketUsage, Usage } from "../kernel/decision.ts";
import { formatGot, MisuseError, withFaults } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { NamedBucket } from "../limiter.ts";
import { ProblemError } from "./problems.ts";

/** Dimensions whose values mean the same for every tenant. */
const SHARED: ReadonlySet<string> = new Set(["tenant", "model", "tool", "group", "args"]);

/** The tenants that a key is bound to; `null` for all. */
export type Tenants = readonly string[] | null;

const namesByPolicy = new WeakMap<CompiledPolicy, ReadonlySet<string>>();

/** The dimensions that make buckets, and whose values are names. One that only chooses a quota, such as a plan, is none. */
function namesOf(policy: CompiledPolicy): ReadonlySet<string> {
  const known = namesByPolicy.get(policy);
  if (known !== undefined) return known;
  const names = new Set(["user", "session", "turn", "agent", policy.partition]);
  for (const { per, distinct } of policy.limits)
    for (const each of [...per, distinct]) if (each !== null) names.add(each);
  for (const each of SHARED) names.delete(each);
  namesByPolicy.set(policy, names);
  return names;
}

/**
 * The tenant of a request. Throws ProblemError 403 for a tenant that the key is not bound to, and `missing-dimension` where the
 * key has several tenants and the request names none.
 */
export function tenantOf(tenants: readonly string[], tenant: unknown): string {
  const [only, ...others] = tenants;
  if (tenant === undefined || tenant === null) {
    if (only !== undefined && others.length === 0) return only;
    const expected = "one of the tenants that the key is bound to";
    throw new MisuseError("missing-dimension", { path: "tenant", expected, got: formatGot(tenant) });
  }
  const name = String(tenant);
  if (tenants.includes(name)) return name;
  throw new ProblemError("other-tenant", "The key is bound to other tenants.");
}

/**
 * The tenant whose buckets a request is about: `asTenant`, else the tenant that the key is bound to. `null`: the key is not
 * bound, and names buckets as they are. Throws as `tenantOf` and `checkAsTenant`.
 */
export function bucketTenant(tenants: Tenants, asTenant: string | undefined, tenant: unknown): string | null {
  if (asTenant === undefined) return tenants === null ? null : tenantOf(tenants, tenant);
  checkAsTenant(asTenant, tenant);
  return tenantOf(tenants ?? [asTenant], asTenant);
}

/** Checks an `asTenant`. Throws `invalid-dimension`, also where the request names another tenant. */
export function checkAsTenant(asTenant: string, tenant: unknown): void {
  // `encodeURIComponent` throws for half of a surrogate pair.
  if (/\p{Surrogate}/u.test(asTenant)) {
    throw new MisuseError("invalid-dimension", { path: "asTenant", expected: "a tenant", got: formatGot(asTenant) });
  }
  if (tenant !== undefined && tenant !== null && String(tenant) !== asTenant) {
    const expected = `${formatGot(asTenant)} or nothing, as asTenant says`;
    throw new MisuseError("invalid-dimension", { path: "tenant", expected, got: formatGot(tenant) });
  }
}

/** A call under its tenant, as the limiter gets it. */
export function tenantCall(policy: CompiledPolicy, tenants: Tenants, call: Call): Call {
  if (tenants === null) return call;
  const tenant = tenantOf(tenants, call.tenant);
  const { idempotencyKey } = call;
  const key = idempotencyKey === undefined ? {} : { idempotencyKey: prefixOf(tenant) + idempotencyKey };
  return { ...namesUnder(policy, tenant, call), tenant, ...key };
}

/** Dimensions of buckets under their tenant, as the limiter gets them. */
export function tenantDimensions(
  policy: CompiledPolicy,
  tenant: string | null,
  dimensions: BucketDimensions,
): BucketDimensions {
  return tenant === null ? dimensions : { ...namesUnder(policy, tenant, dimensions), tenant };
}

/** One bucket under its tenant, as the limiter gets it; `null` where the bucket belongs to no tenant. */
export function tenantBucket(policy: CompiledPolicy, tenant: string, bucket: NamedBucket): NamedBucket | null {
  const { limit: name, ...dimensions } = bucket;
  const limit = policy.limits.find((each) => each.name === name);
  const whole = tenantDimensions(policy, tenant, dimensions);
  if (limit !== undefined && !isOwned(policy, name, whole)) return null;
  const { tenant: _, ...names } = whole;
  return { ...(limit?.dimensions.has("tenant") ? whole : names), limit: name };
}

/** The error of a request that names a tenant for a bucket that is not per tenant, with how to name a bound key's bucket. */
export function withAdvice(error: unknown, tenant: unknown): unknown {
  if (!MisuseError.isInstance(error) || error.code !== "invalid-dimension") return error;
  const [fault] = error.faults;
  if (fault?.path !== "tenant" || fault.hint === undefined) return error;
  const hint = `Leave it out. For the bucket of a key that is bound to ${tenant}, say asTenant: ${JSON.stringify(tenant)}.`;
  return new MisuseError(error.code, { ...fault, hint });
}

function namesUnder<Words extends object>(policy: CompiledPolicy, tenant: string, words: Words): Words {
  const names = namesOf(policy);
  const prefix = prefixOf(tenant);
  const under = Object.entries(words).map(([word, value]) => {
    return [word, names.has(word) && value !== undefined ? `${prefix}${value}` : value];
  });
  return Object.fromEntries(under) as Words;
}

/**
 * Whether a bucket of a limit belongs to one tenant. Those per tool only are shared, and so is the one that all calls share
 * which lack the names that it is per.
 */
function isOwned(policy: CompiledPolicy, limit: string, dimensions: BucketDimensions): boolean {
  const found = policy.limits.find(({ name }) => name === limit);
  if (found === undefined) return false;
  const isBucketKey = (name: string) => found.onMissing !== "shared" || (valueIn(dimensions, name) ?? null) !== null;
  return found.per.some((name) => (name === "tenant" || namesOf(policy).has(name)) && isBucketKey(name));
}

/** Which of some tenants a bucket belongs to; `null` where it is another's, or of all. */
export function ownerOf(
  policy: CompiledPolicy,
  tenants: readonly string[],
  { limit, dimensions }: Pick<Usage, "limit" | "dimensions">,
): string | null {
  if (!isOwned(policy, limit, dimensions)) return null;
  const names = namesOf(policy);
  const isOf = (tenant: string) =>
    Object.entries(dimensions).every(([name, value]) =>
      name === "tenant" ? value === tenant : !names.has(name) || value.startsWith(prefixOf(tenant)),
    );
  return tenants.find(isOf) ?? null;
}

/** The tenant under whose name a bucket's names are; `undefined`: there is none, or it is of all. */
export function tenantNamed(policy: CompiledPolicy, bucket: Pick<Usage, "limit" | "dimensions">): string | undefined {
  const names = namesOf(policy);
  const [, name] = Object.entries(bucket.dimensions).find(([dimension]) => names.has(dimension)) ?? [];
  const [, encoded] = /^([^/]+)\//.exec(name ?? "") ?? [];
  if (encoded === undefined) return undefined;
  try {
    return ownerOf(policy, [decodeURIComponent(encoded)], bucket) ?? undefined;
  } catch {
    return undefined;
  }
}

/** How buckets stand, as the tenant may see it; `null`: all of them, as they are. */
export function shownUsages<Shown extends Usage>(
  policy: CompiledPolicy,
  tenant: string | null,
  usages: readonly Shown[],
): readonly Shown[] {
  if (tenant === null) return usages;
  const own = usages.filter(({ limit, dimensions }) => isOwned(policy, limit, dimensions));
  return own.map((usage) => ({ ...usage, dimensions: shownNames(policy, tenant, usage.dimensions) }));
}

/** How a bucket of a tenant stood and stands, in the tenant's names. */
export function shownChange<Change extends { readonly before?: BucketUsage; readonly after: BucketUsage }>(
  policy: CompiledPolicy,
  tenant: string,
  change: Change,
): Change {
  const show = (usage: BucketUsage) => ({ ...usage, dimensions: shownNames(policy, tenant, usage.dimensions) });
  const { before, after } = change;
  return { ...change, after: show(after), ...(before === undefined ? {} : { before: show(before) }) };
}

/** Names without the tenant's before them. */
export function shownNames(
  policy: CompiledPolicy,
  tenant: string,
  dimensions: Readonly<Record<string, string>>,
): Record<string, string> {
  const names = namesOf(policy);
  const prefix = prefixOf(tenant);
  const shown = Object.entries(dimensions).map(([name, value]) => {
    return [name, names.has(name) && value.startsWith(prefix) ? value.slice(prefix.length) : value];
  });
  return Object.fromEntries(shown);
}

/** An error of the limiter, with names as the caller of a bound key wrote them. */
export function shownError(policy: CompiledPolicy, tenants: Tenants, error: unknown): unknown {
  if (tenants === null || !MisuseError.isInstance(error)) return error;
  const names = namesOf(policy);
  const prefixes = tenants.map((tenant) => `"${prefixOf(tenant)}`);
  return withFaults(error, (fault) => {
    const { path, got } = fault;
    const prefix = prefixes.find((each) => got.startsWith(each));
    const isName = names.has(path) || path === "idempotencyKey";
    return prefix === undefined || !isName ? fault : { ...fault, got: `"${got.slice(prefix.length)}` };
  });
}

/** The prefix of a tenant's names. */
export function prefixOf(tenant: string): string {
  return `${encodeURIComponent(tenant)}/`;
}

// Keeps the tenants of bound keys apart: their names of sessions, users and the like are told to the limiter under the
// tenant's, and shown without it. Whose a bucket is follows from the names; there is no other list.

import type { BucketDimensions, Call } from "../kernel/call.ts";
import { valueIn } from "../kernel/charge.ts";
import type { Usage } from "../kernel/decision.ts";
import { formatGot, MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { ProblemError } from "./problems.ts";

/** Dimensions whose values mean the same for every tenant. */
const SHARED: ReadonlySet<string> = new Set(["tenant", "model", "tool", "group", "args"]);
/** Keys of a call that are not dimensions, and so not names. */
const LABELS: ReadonlySet<string> = new Set(["toolCallId", "cost"]);

/** The tenants that a key is bound to; `null` for all. */
export type Tenants = readonly string[] | null;

/** Whose a bound request is, and which of its words are names under the tenant's. */
export interface Tenancy {
  readonly tenant: string;
  readonly prefix: string;
}

const named = new WeakMap<CompiledPolicy, ReadonlySet<string>>();

/** The dimensions that make buckets, and whose values are names. One that only chooses a quota, such as a plan, is none. */
function namesOf(policy: CompiledPolicy): ReadonlySet<string> {
  const known = named.get(policy);
  if (known !== undefined) return known;
  const names = new Set(["user", "session", "turn", "agent", policy.partition]);
  for (const { per, distinct } of policy.limits)
    for (const each of [...per, distinct]) if (each !== null) names.add(each);
  for (const each of SHARED) names.delete(each);
  named.set(policy, names);
  return names;
}

/**
 * Whose a request is.
 *
 * @throws ProblemError 403 for a tenant that the key is not bound to
 * @throws MisuseError `missing-dimension` where the key has several and the request names none
 */
export function tenancyOf(tenants: readonly string[], tenant: unknown): Tenancy {
  const [only, ...others] = tenants;
  if (tenant === undefined || tenant === null) {
    if (only !== undefined && others.length === 0) return tenancy(only);
    const expected = "one of the tenants that the key is bound to";
    throw new MisuseError("missing-dimension", { path: "tenant", expected, got: formatGot(tenant) });
  }
  const name = String(tenant);
  if (tenants.includes(name)) return tenancy(name);
  throw new ProblemError("other-tenant", "The key is bound to other tenants.");
}

/**
 * Whose a request about buckets is: the tenant that it speaks for, else as `tenancyOf`; `null` for a key of no tenant.
 *
 * @throws ProblemError 403 for a tenant that the key is not bound to
 * @throws MisuseError `invalid-dimension` where it names another tenant, too; as `tenancyOf`
 */
export function tenancyAs(tenants: Tenants, asTenant: string | undefined, tenant: unknown): Tenancy | null {
  if (asTenant === undefined) return tenants === null ? null : tenancyOf(tenants, tenant);
  // Half of a pair cannot be percent-encoded.
  if (/\p{Surrogate}/u.test(asTenant)) {
    throw new MisuseError("invalid-dimension", { path: "asTenant", expected: "a tenant", got: formatGot(asTenant) });
  }
  if (tenant !== undefined && tenant !== null && String(tenant) !== asTenant) {
    const expected = `${formatGot(asTenant)} or nothing, as asTenant says`;
    throw new MisuseError("invalid-dimension", { path: "tenant", expected, got: formatGot(tenant) });
  }
  return tenancyOf(tenants ?? [asTenant], asTenant);
}

function tenancy(tenant: string): Tenancy {
  return { tenant, prefix: prefixOf(tenant) };
}

/** A call as the limiter is told it. */
export function scopedCall(policy: CompiledPolicy, tenants: Tenants, call: Call): Call {
  if (tenants === null) return call;
  const { tenant, prefix } = tenancyOf(tenants, call.tenant);
  const scoped = scopedWords(policy, prefix, call);
  const { idempotencyKey } = call;
  return { ...scoped, tenant, ...(idempotencyKey === undefined ? {} : { idempotencyKey: prefix + idempotencyKey }) };
}

/** What names a bucket as the limiter is told it, where that is one of a limit. */
export function scopedBucketOf(
  policy: CompiledPolicy,
  tenancy: Tenancy,
  { limit, ...dimensions }: BucketDimensions & { readonly limit: string },
): BucketDimensions {
  const { tenant, ...names } = scopedBucket(policy, tenancy, dimensions);
  const isPerTenant = policy.limits.some(({ name, dimensions }) => name === limit && dimensions.has("tenant"));
  return isPerTenant ? { ...names, tenant } : names;
}

/** A misuse of who names a tenant for a bucket that is not per tenant: how to name that of a key which is bound to it. */
export function withAdvice(error: unknown, tenant: unknown): unknown {
  if (!MisuseError.isInstance(error) || error.code !== "invalid-dimension") return error;
  const [fault] = error.faults;
  if (fault?.path !== "tenant" || fault.hint === undefined) return error;
  const hint = `Leave it out. For the bucket of a key that is bound to ${tenant}, say asTenant: ${JSON.stringify(tenant)}.`;
  return new MisuseError(error.code, { ...fault, hint });
}

/** What names a bucket as the limiter is told it. */
export function scopedBucket(
  policy: CompiledPolicy,
  { tenant, prefix }: Tenancy,
  dimensions: BucketDimensions,
): BucketDimensions {
  return { ...scopedWords(policy, prefix, dimensions), tenant };
}

function scopedWords<Words extends object>(policy: CompiledPolicy, prefix: string, words: Words): Words {
  const names = namesOf(policy);
  return Object.fromEntries(
    Object.entries(words).map(([word, value]) => [
      word,
      !LABELS.has(word) && names.has(word) && value !== undefined ? `${prefix}${value}` : value,
    ]),
  ) as Words;
}

/**
 * Whether a bucket of a limit belongs to one tenant. Those per tool only are shared, and so is the one that all calls share
 * which lack the names that it is per.
 */
export function isOwned(policy: CompiledPolicy, limit: string, dimensions: BucketDimensions): boolean {
  const found = policy.limits.find(({ name }) => name === limit);
  if (found === undefined) return false;
  const isSaid = (name: string) => found.onMissing !== "shared" || (valueIn(dimensions, name) ?? null) !== null;
  return found.per.some((name) => (name === "tenant" || namesOf(policy).has(name)) && isSaid(name));
}

/** Which of some tenants a bucket belongs to; `null` where it is another's, or of all. */
export function ownerOf(
  policy: CompiledPolicy,
  tenants: readonly string[],
  { limit, dimensions }: Usage,
): Tenancy | null {
  if (!isOwned(policy, limit, dimensions)) return null;
  const names = namesOf(policy);
  const isOf = (tenant: string) =>
    Object.entries(dimensions).every(([name, value]) =>
      name === "tenant" ? value === tenant : !names.has(name) || value.startsWith(prefixOf(tenant)),
    );
  const owner = tenants.find(isOf);
  return owner === undefined ? null : tenancy(owner);
}

/** How buckets stand, as the tenant may see it. */
export function shownUsages<Shown extends Usage>(
  policy: CompiledPolicy,
  { prefix }: Tenancy,
  usages: readonly Shown[],
): Shown[] {
  return usages.flatMap((usage) => {
    if (!isOwned(policy, usage.limit, usage.dimensions)) return [];
    return { ...usage, dimensions: shownNames(policy, prefix, usage.dimensions) };
  });
}

/** Names without the tenant's before them. */
export function shownNames(
  policy: CompiledPolicy,
  prefix: string,
  dimensions: Readonly<Record<string, string>>,
): Record<string, string> {
  const names = namesOf(policy);
  return Object.fromEntries(
    Object.entries(dimensions).map(([name, value]) => [
      name,
      names.has(name) && value.startsWith(prefix) ? value.slice(prefix.length) : value,
    ]),
  );
}

/** An error of the limiter, as a caller with such a key may see it: with its own names as it said them. */
export function shownError(policy: CompiledPolicy, tenants: Tenants, error: unknown): unknown {
  if (tenants === null || !MisuseError.isInstance(error)) return error;
  const names = namesOf(policy);
  const prefixes = tenants.map((tenant) => `"${prefixOf(tenant)}`);
  const faults = error.faults.map((fault) => {
    const { path, got } = fault;
    const prefix = prefixes.find((each) => got.startsWith(each));
    const isName = names.has(path) || path === "idempotencyKey";
    return prefix === undefined || !isName ? fault : { ...fault, got: `"${got.slice(prefix.length)}` };
  });
  return new MisuseError(error.code, faults);
}

/** What stands before a tenant's names. */
export function prefixOf(tenant: string): string {
  return `${encodeURIComponent(tenant)}/`;
}

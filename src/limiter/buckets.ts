// Buckets that the program names itself: read, emptied, granted to and revoked from.

import { bucketUsageOf, emptyUsageOf } from "../kernel/answer.ts";
import { type BucketDimensions, checkDimensions, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import { type Bucket, bucketOf, mayMatch, missingIn, withGroup } from "../kernel/charge.ts";
import { checkClaims } from "../kernel/claims.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { StepEvent, StoreReply, StoreRequest } from "../kernel/request.ts";
import { ask, askAll } from "./ask.ts";
import { checkBucketDimensions, limitNamed, type NamedBucket } from "./bucket-name.ts";
import type { QuotaOptions } from "./call-options.ts";
import type { LimiterContext } from "./context.ts";
import { checkChangeOptions, checkGrantable, checkGranted, checkRevocable } from "./grant.ts";
import type { ChangeOptions, Grant, Reset, Revoked } from "./grant.ts";
import { emitEvent } from "./listener.ts";

/** The most buckets that one request reads, and the most that `usage` reads: a policy may name thousands of tools. */
const READ_AT_ONCE = 1_000;
export const MAX_USAGES = 100_000;

export interface PageRange {
  readonly skip: number;
  readonly take: number;
}

/** A part of what `usage` returns. */
export interface UsagePage {
  readonly usages: readonly BucketUsage[];
  readonly isLast: boolean;
}

/** Reads some of the buckets of each limit whose dimensions are all given. */
export async function readUsages(
  context: LimiterContext,
  dimensions: BucketDimensions,
  { skip, take }: PageRange,
  options: QuotaOptions,
): Promise<UsagePage> {
  const all = bucketsFor(context, dimensions);
  const buckets = all.slice(skip, skip + take);
  const usages: BucketUsage[] = [];
  for (let first = 0; first < buckets.length; first += READ_AT_ONCE) {
    const some = await context.quotaLookup.of(buckets.slice(first, first + READ_AT_ONCE), options.quotas);
    const makeRequests = () => some.map((bucket) => requestOn(context, bucket, { type: "read" }));
    const replies = await askAll(context, makeRequests, options);
    usages.push(...replies.map((reply, i) => bucketUsageOf(some[i] as Bucket, reply)));
  }
  return { usages, isLast: skip + take >= all.length };
}

/**
 * Reads single buckets. `null`: the policy has no such bucket, or its quota depends on more than its names.
 *
 * @param buckets at most 1,000
 */
export async function readBuckets(
  context: LimiterContext,
  buckets: readonly NamedBucket[],
): Promise<readonly (BucketUsage | null)[]> {
  const found = await Promise.all(
    buckets.map((named) =>
      isWhole(context.policy, named) ? findBucket(context, named, {}, {}).catch(() => null) : null,
    ),
  );
  const known = found.filter((bucket) => bucket !== null);
  const makeRequests = () => known.map((bucket) => requestOn(context, bucket, { type: "read" }));
  const replies = known.length === 0 ? [] : await askAll(context, makeRequests);
  const usages = new Map(known.map((bucket, i) => [bucket, bucketUsageOf(bucket, replies[i] as StoreReply)]));
  return found.map((bucket) => (bucket === null ? null : (usages.get(bucket) ?? null)));
}

/** Whether the names of a bucket say its quota, too. */
function isWhole({ limits }: CompiledPolicy, named: NamedBucket): boolean {
  const limit = limits.find(({ name }) => name === named.limit);
  if (limit === undefined) return false;
  const { quotas, overrides, allotment, dimensions } = limit;
  const isFixed = quotas.length + overrides.length === 0 && allotment.claims === null;
  return isFixed || [...dimensions].every((name) => name in named);
}

interface Target {
  readonly bucket: NamedBucket;
  /** The dimensions that the limiter is bound to. */
  readonly bound: Dimensions;
  readonly options: ChangeOptions;
}

export async function resetBucket(context: LimiterContext, target: Target): Promise<Reset> {
  const { bucket, reply, note } = await change(context, target, { type: "reset" });
  // The reply has the usage before; after a reset the usage is always the same.
  const reset = { before: bucketUsageOf(bucket, reply), after: emptyUsageOf(bucket) };
  emitEvent(context, { type: "bucket.reset", ...reset, ...note });
  return reset;
}

export async function grantTo(context: LimiterContext, target: Target, grant: Grant): Promise<BucketUsage> {
  const { id, units, durationMs: leaseMs } = grant;
  const event = { type: "grant", id, units, leaseMs } as const;
  const { bucket, reply, note } = await change(context, target, event, checkGrantable);
  checkGranted(reply, grant);
  const after = bucketUsageOf(bucket, reply);
  emitEvent(context, { type: "bucket.granted", grant, after, ...note });
  return after;
}

export async function revokeFrom(context: LimiterContext, target: Target, id: string): Promise<Revoked> {
  const { bucket, reply, note } = await change(context, target, { type: "revoke", id }, checkRevocable);
  const revoked = reply.steps[0]?.found === "live";
  const after = bucketUsageOf(bucket, reply);
  if (revoked) emitEvent(context, { type: "bucket.revoked", id, after, ...note });
  return { revoked, after };
}

async function change(
  context: LimiterContext,
  { bucket: named, bound, options }: Target,
  event: StepEvent,
  check: (bucket: Bucket) => void = () => {},
) {
  const note = checkChangeOptions(options);
  const bucket = await findBucket(context, named, bound, options);
  check(bucket);
  const reply = await ask(context, () => requestOn(context, bucket, event), options);
  return { bucket, reply, note };
}

async function findBucket(
  { policy, prefix, quotaLookup }: LimiterContext,
  named: NamedBucket,
  bound: Dimensions,
  { quotas }: QuotaOptions,
): Promise<Bucket> {
  if (quotas !== undefined) checkClaims(policy, quotas);
  const { limit: name, ...given } = mergeDimensions(bound, named, "bucket");
  checkDimensions(given, policy.bucketWords);
  const limit = limitNamed(policy.limits, name);
  const dimensions = checkBucketDimensions(policy, limit, given, bound);
  const [found] = await quotaLookup.of([bucketOf(policy, prefix, limit, dimensions)], quotas);
  return found as Bucket;
}

function requestOn({ calendar }: LimiterContext, bucket: Bucket, event: StepEvent): StoreRequest {
  return { mode: event.type === "read" ? "peek" : "judge", steps: [calendar.stepOf(bucket, event)] };
}

function bucketsFor({ policy, prefix }: LimiterContext, dimensions: BucketDimensions): Bucket[] {
  checkDimensions(dimensions, policy.bucketWords);
  const buckets: Bucket[] = [];
  for (const limit of policy.limits) {
    for (const each of dimensionsFor(policy, limit, dimensions)) {
      if (buckets.length >= MAX_USAGES) {
        const expected = `dimensions that name at most ${MAX_USAGES} buckets, such as one tool`;
        throw new MisuseError("invalid-call", { path: "dimensions", expected, got: "more" });
      }
      buckets.push(bucketOf(policy, prefix, limit, each));
    }
  }
  return buckets;
}

/**
 * The dimensions of the buckets of one limit: for each tool or group that the policy names, unless one is given. Empty when the
 * limit is for other calls.
 */
function dimensionsFor(policy: CompiledPolicy, limit: Limit, given: BucketDimensions): BucketDimensions[] {
  if (limit.per.includes("args") && given.args === undefined) return [];
  const isOpen = (dimension: "tool" | "group") => limit.per.includes(dimension) && given[dimension] === undefined;
  let named: BucketDimensions[] = [given];
  if (isOpen("tool")) named = policy.tools.map((tool) => ({ ...given, tool }));
  else if (isOpen("group") && given.tool === undefined)
    named = [...policy.groups].map((group) => ({ ...given, group }));
  return named
    .map((each) => withGroup(policy, each))
    .filter((each) => missingIn(limit, each) === undefined && mayMatch(policy, limit, each));
}

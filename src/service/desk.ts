// What the routes of one service share, and the acts that they do with it: a caller's words go to the limiter under the
// tenant's, and answers come back without it.

import type { Call, Cost } from "../kernel/call.ts";
import type { BucketUsage, Decision, Usage } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";
import {
  beginCall,
  consumeFor,
  endCall,
  isRunHold,
  type Limiter,
  type Outcome,
  type QuotaOptions,
  reserveFor,
  type Settlement,
  usagePage,
} from "../limiter.ts";
import { type Act, type Audit, audited } from "./audit.ts";
import { type Caller, missingScope } from "./auth.ts";
import type { Bounds } from "./bounds.ts";
import type { Events } from "./events.ts";
import type { Keys } from "./keys.ts";
import type { Metrics } from "./metrics.ts";
import { invalidBody, type Place, ProblemError, stopping } from "./problems.ts";
import { cursorAfter, type UsageQuery } from "./query.ts";
import type { ReadinessWatch } from "./readiness.ts";
import type { Refusals } from "./refusals.ts";
import type {
  BucketBody,
  CallBody,
  ConsumeBody,
  EndBody,
  ExtendBody,
  GrantBody,
  HoldBody,
  OutcomeWords,
  ReportBody,
  ReserveBody,
  ResetBody,
  RevokeBody,
  SettleBody,
} from "./schemas.ts";
import {
  isOwned,
  scopedBucket,
  scopedBucketOf,
  scopedCall,
  shownError,
  shownUsages,
  type Tenancy,
  tenancyAs,
  tenancyOf,
  withAdvice,
} from "./tenants.ts";

/** The policy in force, and as it was written. */
export interface PolicyInForce {
  readonly policy: CompiledPolicy;
  readonly source: string;
  /** Names what the policy says. */
  readonly version: string;
  /** Names the source: its hash. */
  readonly etag: string;
}

/** Of which request an error is, and where that says what is asked. */
interface FailedRequest {
  readonly request: Request;
  readonly place: Place;
}

/** What the routes share. */
export interface Desk {
  readonly limiter: Limiter;
  readonly bounds: Bounds;
  readonly keys: Keys | false;
  readonly events: Events;
  readonly metrics: Metrics;
  readonly readiness: ReadinessWatch;
  readonly audit: Audit;
  readonly refusals: Refusals;
  /** Aborted when what runs has had its time. */
  readonly stop: AbortSignal;
  /** An error as an answer; one that is nobody's fault but the service's is logged. */
  failed(error: unknown, of: FailedRequest): ProblemError;
  readonly inForce: PolicyInForce;
  /** Before it ends it says that it is not ready; then it takes no new work. */
  phase: "open" | "leaving" | "stopping";
  /** Requests under way, but for those that wait for their turn. */
  inFlight: number;
  /** Calls that wait for their turn. */
  waiting: number;
}

/** Who asks, and the signal that tells when he has gone. */
export interface Asking {
  readonly caller: Caller;
  readonly request: Request;
}

/** Does what a route or an item of a batch is for. Errors have the caller's own names. */
export async function runFor<Answer>(desk: Desk, { tenants }: Caller, run: () => Answer): Promise<Awaited<Answer>> {
  try {
    return await run();
  } catch (error) {
    throw shownError(desk.inForce.policy, tenants, error);
  }
}

export async function consume(
  desk: Desk,
  { caller, request }: Asking,
  { call, quotas, maxWaitMs }: ConsumeBody,
): Promise<Decision> {
  const scoped = scope(desk, caller, call);
  const claims = claimsOf(caller, quotas);
  if (maxWaitMs === undefined) return desk.limiter.consume(scoped, claims);
  return inTime(desk, request, maxWaitMs, (wait) => consumeFor(desk.limiter, scoped, { ...claims, ...wait }));
}

/** How a call of a remote caller waits. */
interface RemoteWait {
  readonly maxWaitMs?: number;
  readonly signal?: AbortSignal;
  readonly abandoned?: AbortSignal;
}

/**
 * Decides a call that may wait for its turn.
 *
 * @param maxWaitMs `undefined`: it may not
 */
async function inTime<Answer>(
  desk: Desk,
  request: Request,
  maxWaitMs: number | undefined,
  decide: (wait: RemoteWait) => Promise<Answer>,
): Promise<Answer> {
  if (maxWaitMs === undefined || maxWaitMs === 0) return decide({});
  const { bounds } = desk;
  if (maxWaitMs > bounds.maxWaitMs)
    throw invalidOption("maxWaitMs", `at most ${bounds.maxWaitMs}, the bound of this service`, maxWaitMs);
  if (desk.waiting >= bounds.maxWaiting) throw new ProblemError("too-many-waiting", "As many calls wait as may.");
  desk.waiting++;
  desk.inFlight--;
  try {
    // A client that has gone does not ask for the answer; one that hears that the service stops asks another instance.
    return await decide({ maxWaitMs, signal: desk.stop, abandoned: request.signal });
  } catch (error) {
    if (desk.stop.aborted) throw stopping();
    if (request.signal.aborted) throw new ProblemError("client-gone", "The client went away.");
    throw error;
  } finally {
    desk.waiting--;
    desk.inFlight++;
  }
}

/** The quotas of a request, where its key may bring some. */
function claimsOf({ keyId, mayClaim }: Caller, quotas: ClaimedQuotas | undefined): QuotaOptions | undefined {
  if (quotas === undefined) return undefined;
  if (!mayClaim) throw missingScope("quotas", keyId);
  return { quotas };
}

export async function record(desk: Desk, { caller }: Asking, { call, quotas }: CallBody): Promise<Decision> {
  return desk.limiter.record(scope(desk, caller, call), claimsOf(caller, quotas));
}

export async function peek(desk: Desk, { caller }: Asking, { call, quotas }: CallBody): Promise<Decision> {
  return desk.limiter.peek(scope(desk, caller, call), claimsOf(caller, quotas));
}

export async function reserve(
  desk: Desk,
  { caller, request }: Asking,
  { call, quotas, leaseMs, maxWaitMs }: ReserveBody,
): Promise<Decision & { readonly holdId: string | null }> {
  const scoped = scope(desk, caller, call);
  const wish = { leaseMs, ...claimsOf(caller, quotas) };
  const held = await inTime(desk, request, maxWaitMs, (wait) => reserveFor(desk.limiter, scoped, { ...wish, ...wait }));
  if (!held.allowed) return { ...held, holdId: null };
  const { hold, ...decision } = held;
  return { ...decision, holdId: hold.id };
}

/** What a caller needs to know of a call that has begun, to run it as the limiter would. */
export interface BegunAnswer {
  readonly holdId: string | null;
  readonly heldUnits: readonly string[];
  readonly units: readonly string[];
  readonly leaseMs: number | null;
  readonly maxHoldMs: number;
  readonly wantsOutcome: boolean;
}

export async function begin(
  desk: Desk,
  { caller, request }: Asking,
  { call, quotas, leaseMs, maxWaitMs }: ReserveBody,
): Promise<Decision & BegunAnswer> {
  const scoped = scope(desk, caller, call);
  const wish = { leaseMs, ...claimsOf(caller, quotas) };
  const { decision, begun } = await inTime(desk, request, maxWaitMs, (wait) =>
    beginCall(desk.limiter, scoped, { ...wish, ...wait }),
  );
  if (begun === null) {
    const { maxHoldMs } = desk.inForce.policy;
    return { ...decision, holdId: null, heldUnits: [], units: [], leaseMs: null, maxHoldMs, wantsOutcome: false };
  }
  const { hold, held: heldUnits, units, leaseMs: livesMs, maxHoldMs, reports: wantsOutcome } = begun;
  return { ...decision, holdId: hold.id, heldUnits, units: [...units], leaseMs: livesMs, maxHoldMs, wantsOutcome };
}

export async function settle(desk: Desk, { caller }: Asking, body: SettleBody): Promise<Settlement> {
  const { holdId, usage = {}, failed = false, quotas } = body;
  const claims = claimsOf(caller, quotas);
  if (failed) checkBegun("failed", holdId);
  const call = scopeHeld(desk, caller, body);
  // A call that ran has done its work: a unit that the policy has lost since must not leave the others unsettled.
  const settlement = isRunHold(holdId)
    ? endCall(desk.limiter, holdId, call, { usage, hasFailed: failed, outcome: null }, claims)
    : desk.limiter.getHold(holdId, call, claims).settle(withoutLost(desk, body.call, usage));
  return settled(desk, caller, body, settlement);
}

export async function end(desk: Desk, { caller }: Asking, body: EndBody): Promise<Settlement> {
  const { holdId, usage = {}, error: hasFailed = false } = body;
  const outcome = outcomeIn(body);
  checkBegun("holdId", holdId);
  const ending = { usage, hasFailed, outcome };
  const claims = claimsOf(caller, body.quotas);
  return settled(desk, caller, body, endCall(desk.limiter, holdId, scopeHeld(desk, caller, body), ending, claims));
}

/** Refuses holds that were reserved: of these nobody knows what a failed call takes. */
function checkBegun(path: string, holdId: string): void {
  if (!isRunHold(holdId)) throw invalidOption(path, "a hold that begin made", holdId);
}

/** What came of a call, in the words of a body; `null` where it does not say. */
function outcomeIn(body: OutcomeWords): Outcome | null {
  const hasResult = Object.hasOwn(body, "result");
  if (body.error === undefined) return hasResult ? { result: body.result } : null;
  if (!hasResult) return { error: true };
  throw invalidBody([{ path: "body", expected: '"error": true or "result", not both', got: "both" }]);
}

export async function release(desk: Desk, { caller }: Asking, body: HoldBody): Promise<Settlement> {
  return settled(desk, caller, body, holdOf(desk, caller, body).release());
}

export async function extend(
  desk: Desk,
  { caller }: Asking,
  body: ExtendBody,
): Promise<{ readonly extended: boolean }> {
  return { extended: await holdOf(desk, caller, body).extend({ leaseMs: body.leaseMs }) };
}

export async function report(desk: Desk, { caller }: Asking, body: ReportBody): Promise<null> {
  const outcome = outcomeIn(body);
  if (outcome === null) throw invalidBody([{ path: "body", expected: '"error": true or "result"', got: "neither" }]);
  await desk.limiter.reportOutcome(scope(desk, caller, body.call), outcome);
  return null;
}

/** A page of a list. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** `null` on the last one. */
  readonly nextCursor: string | null;
}

export async function usage(
  desk: Desk,
  { caller }: Asking,
  { dimensions, asTenant, skip, pageSize }: UsageQuery,
): Promise<Page<BucketUsage>> {
  const { policy } = desk.inForce;
  const tenancy = tenancyAs(caller.tenants, asTenant, dimensions.tenant);
  const whole = tenancy === null ? dimensions : scopedBucket(policy, tenancy, dimensions);
  const { usages, isLast } = await usagePage(desk.limiter, whole, skip, pageSize);
  return { items: shown(policy, tenancy, usages), nextCursor: isLast ? null : cursorAfter(skip + pageSize) };
}

type Shown = BucketUsage | null;

export async function grant(desk: Desk, { caller }: Asking, body: GrantBody): Promise<{ readonly after: Shown }> {
  const { grant, reason } = body;
  const { id: grantId, units, durationMs } = grant;
  const about = { act: "grant", units, durationMs, grantId, reason: reason ?? null } as const;
  const { found, show } = await touch(desk, caller, body, about, (bucket) => {
    return desk.limiter.grant(bucket, grant, { reason });
  });
  return { after: show(found) };
}

export async function revoke(
  desk: Desk,
  { caller }: Asking,
  body: RevokeBody,
): Promise<{ readonly revoked: boolean; readonly after: Shown }> {
  const { id, reason } = body;
  const about = { act: "revoke", grantId: id, reason: reason ?? null } as const;
  const { found, show } = await touch(desk, caller, body, about, (bucket) => {
    return desk.limiter.revoke(bucket, id, { reason });
  });
  return { revoked: found?.revoked ?? false, after: show(found?.after) };
}

export async function reset(
  desk: Desk,
  { caller }: Asking,
  body: ResetBody,
): Promise<{ readonly before: Shown; readonly after: Shown }> {
  const { reason } = body;
  const about = { act: "reset", reason: reason ?? null } as const;
  const { found, show } = await touch(desk, caller, body, about, (bucket) => desk.limiter.reset(bucket, { reason }));
  return { before: show(found?.before), after: show(found?.after) };
}

type BucketOf = BucketBody["dimensions"] & { readonly limit: string };

/** What came of a change, and how its buckets are shown to the caller. */
interface Touched<Found> {
  readonly found: Found | null;
  show(usage: BucketUsage | null | undefined): Shown;
}

/** Writes down what is about to be done to a bucket, and does it. */
async function touch<Found>(
  desk: Desk,
  { keyId, tenants }: Caller,
  { limit, dimensions, asTenant }: BucketBody,
  about: Omit<Act, "actor" | "keyId" | "limit" | "dimensions">,
  act: (bucket: BucketOf) => Promise<Found | null>,
): Promise<Touched<Found>> {
  const { policy } = desk.inForce;
  const actor = keyId === null ? "open" : `key:${keyId}`;
  const entryOf = ({ args: _, ...named }: BucketBody["dimensions"]): Act => ({
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
    return audited(desk.audit, entryOf(dimensions), () => Promise.reject(error));
  }
  const whole = tenancy === null ? dimensions : scopedBucket(policy, tenancy, dimensions);
  const found = await audited(desk.audit, entryOf(whole), async () => {
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

function scope(desk: Desk, { tenants }: Caller, call: Call): Call {
  return tenants === null ? call : scopedCall(desk.inForce.policy, tenants, call);
}

function holdOf(desk: Desk, caller: Caller, body: HoldBody) {
  return desk.limiter.getHold(body.holdId, scopeHeld(desk, caller, body), claimsOf(caller, body.quotas));
}

/** The call of a hold that was made before. */
function scopeHeld(desk: Desk, caller: Caller, { call }: HoldBody): Call {
  const { cost } = call;
  return scope(desk, caller, cost === undefined ? call : { ...call, cost: withoutLost(desk, call, cost) });
}

/** A cost without units that a call was begun with, and that no limit counts since the policy was reloaded. */
function withoutLost({ inForce: { policy } }: Desk, { cost: begun = {} }: Call, cost: Cost): Cost {
  const isLost = (unit: string) => Object.hasOwn(begun, unit) && !policy.units.has(unit);
  return Object.fromEntries(Object.entries(cost).filter(([unit]) => !isLost(unit)));
}

async function settled(
  desk: Desk,
  { tenants }: Caller,
  { call }: HoldBody,
  settlement: Promise<Settlement>,
): Promise<Settlement> {
  const { policy } = desk.inForce;
  const tenancy = tenants === null ? null : tenancyOf(tenants, call.tenant);
  const { usages, ...rest } = await settlement;
  return { ...rest, usages: shown(policy, tenancy, usages) };
}

function shown<Shown extends Usage>(
  policy: CompiledPolicy,
  tenancy: Tenancy | null,
  usages: readonly Shown[],
): readonly Shown[] {
  return tenancy === null ? usages : shownUsages(policy, tenancy, usages);
}

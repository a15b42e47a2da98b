// What is changed by hand: units on top of a quota, given and taken back, and buckets that are emptied.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import type { BucketDimensions } from "../kernel/call.ts";
import { type Bucket, mayMatch, valueIn } from "../kernel/charge.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { checkOptionKeys, checkWhole, formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { closest } from "../kernel/spelling.ts";
import type { StoreReply } from "../kernel/request.ts";
import { checkCallOptions, type QuotaOptions } from "./call-options.ts";

/** Units on top of a quota. */
export interface Grant {
  /** 1 to 64 letters, digits, `_` or `-`: the same grant twice on one bucket is one grant. */
  readonly id: string;
  /** A whole number from 1 to 2^53 - 1. */
  readonly units: number;
  /** How long they are there, in ms; a window that ends before takes them along. */
  readonly durationMs: number;
}

/** How a bucket is changed by hand: granted to, revoked from, or reset. */
export interface ChangeOptions extends QuotaOptions {
  /** Why, for events and the audit log: 1 to 500 characters. Default: none. */
  readonly reason?: string | undefined;
}

/** A bucket that was emptied. */
export interface Reset<Limit extends string = string> {
  readonly before: BucketUsage<Limit>;
  readonly after: BucketUsage<Limit>;
}

/** What came of revoking a grant. */
export interface Revoked<Limit extends string = string> {
  /** `false` where the bucket has no such grant, or it has ended: nothing has changed. */
  readonly revoked: boolean;
  readonly after: BucketUsage<Limit>;
}

/**
 * Refuses a grant that is none.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkGrant(grant: Grant): void {
  checkOptionKeys(grant, ["id", "units", "durationMs"], "grant");
  const { id, units, durationMs } = grant;
  checkGrantId("grant.id", id);
  checkWhole("grant.units", units, 1, Number.MAX_SAFE_INTEGER);
  checkWhole("grant.durationMs", durationMs, 1, MAX_DURATION_MS);
}

/**
 * Throws unless this can be a grant's id.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkGrantId(option: string, id: string): void {
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) {
    throw invalidOption(option, "1 to 64 letters, digits, _ or -", id);
  }
}

/**
 * Refuses options that are wrong.
 *
 * @returns the reason, `null` where none was given
 * @throws MisuseError `invalid-option`
 */
export function checkChangeOptions(options: ChangeOptions): string | null {
  checkCallOptions(options, ["signal", "quotas", "reason"]);
  const { reason } = options;
  if (reason === undefined) return null;
  if (typeof reason !== "string" || reason === "" || reason.length > 500) {
    throw invalidOption("reason", "1 to 500 characters", reason);
  }
  return reason;
}

/**
 * Refuses limits that have no units to grant.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkGrantable({ limit, allotment }: Bucket): void {
  checkUnits(limit);
  const { quota, claims } = allotment;
  if (quota === null) {
    throw invalidOption(
      "limit",
      "a limit with a quota: this bucket is unlimited, and nothing can be added",
      limit.name,
    );
  }
  // Whose quota comes with a call may have one that is not known here.
  if (quota > 0 || claims !== null) return;
  const expected =
    "a limit whose quota for these dimensions is above 0: the policy forbids these calls with 0, and a grant does not allow them";
  const hint = isPlanned(limit)
    ? "Name what the quota depends on, such as a plan, or change the policy."
    : "Change the policy.";
  throw new MisuseError("invalid-option", { path: "limit", expected, got: formatGot(limit.name), hint });
}

/** Whether some calls have another quota. */
function isPlanned({ quotas, overrides }: Limit): boolean {
  return quotas.length + overrides.length > 0;
}

/**
 * Refuses what a grant's id was found to be, where that is not the same grant.
 *
 * @throws MisuseError `grant-exists`
 */
export function checkGranted({ steps: [step] }: StoreReply, { id }: Grant): void {
  if (step?.hold !== "late") return;
  const expected = "an id that no other grant of this bucket has, or had in the last ten minutes";
  const hint = "Nothing was granted. Choose another id.";
  throw new MisuseError("grant-exists", { path: "grant.id", expected, got: formatGot(id), hint });
}

/**
 * Refuses dimensions of a bucket that no call charges.
 *
 * @throws MisuseError `invalid-dimension`, `invalid-option`
 */
export function checkReached(policy: CompiledPolicy, limit: Limit, dimensions: BucketDimensions): void {
  const { group } = dimensions as { readonly group?: unknown };
  const isKnown = group === undefined || group === null || policy.groups.has(String(group));
  if (limit.per.includes("group") && !isKnown) {
    const expected = `a group that the policy gives a tool: ${[...policy.groups].join(", ") || "it has none"}`;
    const meant = closest(String(group), policy.groups);
    const hint = meant === null ? {} : { hint: `Did you mean "${meant}"?` };
    throw new MisuseError("invalid-dimension", { path: "group", expected, got: formatGot(group), ...hint });
  }
  if (mayMatch(policy, limit, dimensions)) return;
  const said = Object.entries(dimensions).filter(([, value]) => value !== undefined && value !== null);
  const [name, value] = said.find(([name, value]) => !mayMatch(policy, limit, { [name]: value })) ?? [];
  const which = name === undefined ? "these dimensions" : `${name} ${formatGot(value)}`;
  throw new MisuseError("invalid-option", {
    path: "limit",
    expected: `a limit that applies to ${which}: the "when" of this one leaves such calls out`,
    got: formatGot(limit.name),
    hint: "Name another limit, or other dimensions.",
  });
}

/**
 * Refuses a dimension that chooses neither the bucket nor its quota: it is a sign that another bucket is meant.
 *
 * @param bound the dimensions that `for` has bound
 * @throws MisuseError `invalid-dimension`
 */
export function checkChosen(
  { name, per, tools, dimensions }: Limit,
  said: BucketDimensions,
  bound: BucketDimensions = {},
): void {
  // The tool says its group where that is not named, and which arguments are ignored.
  const isOfGroup = dimensions.has("group") && (valueIn(said, "group") ?? null) === null;
  const isOfTool = tools !== null || dimensions.has("args") || isOfGroup;
  const isChosen = (dimension: string) => dimensions.has(dimension) || (dimension === "tool" && isOfTool);
  const [path, value] =
    Object.entries(said).find(([dimension, value]) => (value ?? null) !== null && !isChosen(dimension)) ?? [];
  if (path === undefined) return;
  const whose = per.length === 0 ? "one bucket for all" : `per ${per.join(", ")}`;
  const expected = `nothing, because the limit ${name} is ${whose}, and ${path} chooses neither the bucket nor the quota`;
  // Arguments may be long, and secret.
  const got = path === "args" ? "arguments" : formatGot(value);
  const hint = Object.hasOwn(bound, path) ? `Use a limiter that is not bound to a ${path}.` : "Leave it out.";
  throw new MisuseError("invalid-dimension", { path, expected, got, hint });
}

function checkUnits({ name, allotment }: Limit): void {
  const { grantFault } = algorithmOf(allotment.spec).policy;
  if (grantFault !== null) throw invalidOption("limit", grantFault, name);
}

/**
 * Refuses limits whose grants cannot be taken back.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkRevocable(bucket: Bucket): void {
  const { limit, allotment } = bucket;
  checkUnits(limit);
  if (algorithmOf(allotment.spec).flow === undefined) return;
  const expected =
    "a limit whose grants last: a token bucket is filled at once, and nothing of the grant is left; charge units with record instead";
  throw invalidOption("limit", expected, limit.name);
}

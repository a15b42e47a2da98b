// Changes of a bucket by hand: its options and results, and the checks of grants.

import { algorithmOf } from "../kernel/algorithms/registry.ts";
import type { Bucket } from "../kernel/charge.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { checkOptionKeys, checkWhole, formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import type { Limit } from "../kernel/limit.ts";
import type { StoreReply } from "../kernel/request.ts";
import { checkCallOptions, type QuotaOptions } from "./call-options.ts";

/** Units on top of a quota. */
export interface Grant {
  /** 1 to 64 letters, digits, `_` or `-`. The same grant twice on one bucket is one grant. */
  readonly id: string;
  /** A whole number from 1 to 2^53 - 1. */
  readonly units: number;
  /** How long the units stay, in ms; they end earlier with the bucket's window. */
  readonly durationMs: number;
}

/** Options of `grant`, `revoke` and `reset`. */
export interface ChangeOptions extends QuotaOptions {
  /** The reason, for events and logs: 1 to 500 characters. Default: none. */
  readonly reason?: string | undefined;
  /** Who or what makes the change, such as `ann@example.com`, for events and the decision log: 1 to 200 characters. Default: not known. */
  readonly actor?: string | undefined;
}

/** Who changed something, and why; `null` where that is not known. */
export interface ChangeNote {
  readonly reason: string | null;
  readonly actor: string | null;
}

/** Options of `reload`. */
export interface ReloadOptions extends Pick<ChangeOptions, "reason" | "actor"> {}

/** A bucket that was emptied. */
export interface Reset<Limit extends string = string> {
  readonly before: BucketUsage<Limit>;
  readonly after: BucketUsage<Limit>;
}

/** The result of revoking a grant. */
export interface Revoked<Limit extends string = string> {
  /** `false` when the bucket has no such grant, or it has ended: nothing has changed. */
  readonly revoked: boolean;
  readonly after: BucketUsage<Limit>;
}

/** Validates a grant. Throws `invalid-option`. */
export function checkGrant(grant: Grant): void {
  checkOptionKeys(grant, ["id", "units", "durationMs"], "grant");
  const { id, units, durationMs } = grant;
  checkGrantId("grant.id", id);
  checkWhole("grant.units", units, 1, Number.MAX_SAFE_INTEGER);
  checkWhole("grant.durationMs", durationMs, 1, MAX_DURATION_MS);
}

/** Throws `invalid-option` unless this can be a grant's id. */
export function checkGrantId(option: string, id: string): void {
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) {
    throw invalidOption(option, "1 to 64 letters, digits, _ or -", id);
  }
}

/** Validates options of a change. Returns who makes it, and why. Throws `invalid-option`. */
export function checkChangeOptions(options: ChangeOptions): ChangeNote {
  checkCallOptions(options, ["signal", "quotas", "reason", "actor"]);
  return noteIn(options);
}

/** Validates options of a reload. Returns who makes it, and why. Throws `invalid-option`. */
export function checkReloadOptions(options: ReloadOptions): ChangeNote {
  checkOptionKeys(options, ["reason", "actor"]);
  return noteIn(options);
}

function noteIn({ reason, actor }: Pick<ChangeOptions, "reason" | "actor">): ChangeNote {
  return {
    reason: textIn("reason", reason, 500, "1 to 500 characters"),
    actor: textIn("actor", actor, 200, "1 to 200 characters"),
  };
}

function textIn(option: string, text: string | undefined, longest: number, expected: string): string | null {
  if (text === undefined) return null;
  if (typeof text === "string" && text !== "" && text.length <= longest) return text;
  throw invalidOption(option, expected, text);
}

/** Throws `invalid-option` when a bucket cannot have grants. */
export function checkGrantable({ limit, allotment }: Bucket): void {
  checkTakesGrants(limit);
  const { quota, claims } = allotment;
  if (quota === null) {
    const expected = "a limit with a quota: this bucket is unlimited, and nothing can be added";
    throw invalidOption("limit", expected, limit.name);
  }
  // A quota that comes with a call may be above 0 there.
  if (quota > 0 || claims !== null) return;
  const expected =
    "a limit whose quota for these dimensions is above 0: the policy forbids these calls with 0, and a grant does not allow them";
  const hasOtherQuotas = limit.quotas.length + limit.overrides.length > 0;
  const hint = hasOtherQuotas
    ? "Name what the quota depends on, such as a plan, or change the policy."
    : "Change the policy.";
  throw new MisuseError("invalid-option", { path: "limit", expected, got: formatGot(limit.name), hint });
}

/** Throws `grant-exists` when the store's reply says that another grant has the id. */
export function checkGranted({ steps: [step] }: StoreReply, { id }: Grant): void {
  if (step?.found !== "late") return;
  const expected = "an id that no other grant of this bucket has, or had in the last ten minutes";
  const hint = "Nothing was granted. Choose another id.";
  throw new MisuseError("grant-exists", { path: "grant.id", expected, got: formatGot(id), hint });
}

/** Throws `invalid-option` when a bucket's grants cannot be revoked. */
export function checkRevocable({ limit, allotment }: Bucket): void {
  checkTakesGrants(limit);
  if (algorithmOf(allotment.spec).flow === undefined) return;
  const expected =
    "a limit whose grants last: a token bucket is filled at once, and nothing of the grant is left; charge units with record instead";
  throw invalidOption("limit", expected, limit.name);
}

function checkTakesGrants({ name, allotment }: Limit): void {
  const { grantFault } = algorithmOf(allotment.spec).policy;
  if (grantFault !== null) throw invalidOption("limit", grantFault, name);
}

// What is changed by hand: units on top of a quota, given and taken back, and buckets that are emptied.

import type { Bucket } from "../kernel/charge.ts";
import type { BucketUsage } from "../kernel/decision.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { checkOptionKeys, checkWhole, invalidOption } from "../kernel/errors.ts";
import type { Limit } from "../kernel/policy.ts";
import { checkCallOptions, type QuotaOptions } from "./shared.ts";

/** Units on top of a quota. */
export interface Grant {
  /** 1 to 64 letters, digits, `_` or `-`: the same id twice on one bucket is one grant. */
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
  if (allotment.quota !== null) return;
  throw invalidOption("limit", "a limit with a quota: this bucket is unlimited, and nothing can be added", limit.name);
}

function checkUnits({ name, reports }: Limit): void {
  if (reports === null) return;
  throw invalidOption("limit", "a limit of something that is used, not of outcomes", name);
}

/**
 * Refuses limits whose grants cannot be taken back.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkRevocable(bucket: Bucket): void {
  const { limit, allotment } = bucket;
  checkUnits(limit);
  if (allotment.spec.algorithm !== "token-bucket") return;
  const expected =
    "a limit whose grants last: a token bucket is filled at once, and nothing of the grant is left; charge units with record instead";
  throw invalidOption("limit", expected, limit.name);
}

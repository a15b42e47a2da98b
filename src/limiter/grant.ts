// Units on top of a quota, given by hand.

import type { Bucket } from "../kernel/charge.ts";
import { MAX_DURATION_MS } from "../kernel/duration.ts";
import { checkOptionKeys, checkWhole, invalidOption } from "../kernel/errors.ts";

/** Units on top of a quota. */
export interface Grant {
  /** 1 to 64 letters, digits, `_` or `-`: the same id twice on one bucket is one grant. */
  readonly id: string;
  /** A whole number from 1 to 2^53 - 1. */
  readonly units: number;
  /** How long they are there, in ms; a window that ends before takes them along. */
  readonly lastsMs: number;
  /** Why, for whoever reads the events: 1 to 500 characters. */
  readonly reason: string;
}

/**
 * Refuses a grant that is none.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkGrant(grant: Grant): void {
  checkOptionKeys(grant, ["id", "units", "lastsMs", "reason"], "grant");
  const { id, units, lastsMs, reason } = grant;
  if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) {
    throw invalidOption("grant.id", "1 to 64 letters, digits, _ or -", id);
  }
  checkWhole("grant.units", units, 1, Number.MAX_SAFE_INTEGER);
  checkWhole("grant.lastsMs", lastsMs, 1, MAX_DURATION_MS);
  if (typeof reason !== "string" || reason === "" || reason.length > 500) {
    throw invalidOption("grant.reason", "1 to 500 characters", reason);
  }
}

/**
 * Refuses limits that have no units to grant.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkGrantable({ limit }: Bucket): void {
  if (limit.reports === null) return;
  throw invalidOption("limit", "a limit of something that is used, not of outcomes", limit.name);
}

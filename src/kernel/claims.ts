// Quotas that are not in the policy: a caller brings one with a call, or a function of the program looks it up. The policy says
// which limits take one, and how high it may be.

import { type Fault, formatGot, invalidOption, MisuseError } from "./errors.ts";
import type { Allotment, Claims, CompiledPolicy, Limit } from "./limit.ts";
import { typoHint } from "./spelling.ts";
import type { ClaimedQuota, ClaimedQuotas } from "./policy/typed.ts";

/** Most allotments that one limit keeps. One more, and all are forgotten. */
const MAX_ALLOTMENTS = 10_000;

/**
 * Makes an allotment once for each quota, so that calls under the same quota come to the same request.
 *
 * @param make makes the allotment for a quota
 */
export function claimsUpTo(max: ClaimedQuota, make: (quota: ClaimedQuota, claims: Claims) => Allotment): Claims {
  const made = new Map<ClaimedQuota, Allotment>();
  const claims: Claims = {
    allotmentFor(claim) {
      const quota = max === "unlimited" ? claim : claim === "unlimited" ? max : Math.min(claim, max);
      const known = made.get(quota);
      if (known !== undefined) return known;
      if (made.size >= MAX_ALLOTMENTS) made.clear();
      const allotment = make(quota, claims);
      made.set(quota, allotment);
      return allotment;
    },
  };
  return claims;
}

const QUOTA = `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, or unlimited`;

/** What is wrong with a quota that was claimed; `null` when nothing is. */
export function claimFault(path: string, claim: unknown): Fault | null {
  if (claim === "unlimited" || (Number.isSafeInteger(claim) && (claim as number) >= 0)) return null;
  return { path, expected: QUOTA, got: formatGot(claim) };
}

/**
 * Refuses values that are not quotas, and quotas of limits that take none.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkClaims({ limits }: CompiledPolicy, quotas: ClaimedQuotas): void {
  // A Map or a list would be an object without quotas.
  if (Object.prototype.toString.call(quotas) !== "[object Object]") {
    const expected = "an object of quotas by the name of a limit, such as { monthly-calls: 25000 }";
    throw invalidOption("quotas", expected, quotas);
  }
  for (const [name, claim] of Object.entries(quotas)) {
    const limit = limits.find((each) => each.name === name);
    if (limit === undefined || !takesClaims(limit)) {
      const known = limits.filter(takesClaims).map((each) => each.name);
      const expected =
        known.length === 0
          ? "no quotas: no limit of the policy has quota: { from: call }"
          : `limits with quota: { from: call }: ${known.join(", ")}`;
      const fault = { path: "quotas", expected, got: formatGot(name), ...typoHint(name, known) };
      throw new MisuseError("invalid-option", fault);
    }
    const fault = claimFault(`quotas.${name}`, claim);
    if (fault !== null) throw new MisuseError("invalid-option", fault);
  }
}

/** Whether some calls of a limit may bring their quota. */
export function takesClaims({ allotment }: Pick<Limit, "allotment">): boolean {
  return allotment.claims !== null;
}

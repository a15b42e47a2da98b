import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkClaims, claimFault, claimsUpTo, takesClaims } from "./claims.ts";
import { MisuseError } from "./errors.ts";
import type { CompiledPolicy } from "./limit.ts";
import { compiledPolicy } from "./policy/parse.ts";

const MAX = Number.MAX_SAFE_INTEGER;

describe("claimsUpTo", () => {
  it("makes an allotment once for each quota, and keeps a bounded number", () => {
    let made = 0;
    const claims = claimsUpTo("unlimited", (quota) => ({ quota, n: made++ }) as never, 3);
    const first = claims.allotmentFor(1);
    assert.equal(claims.allotmentFor(1), first);
    assert.equal(claims.allotmentFor("unlimited").quota, "unlimited");
    claims.allotmentFor(2);
    assert.equal(claims.allotmentFor(1), first);
    claims.allotmentFor(3);
    assert.notEqual(claims.allotmentFor(1), first);
    assert.equal(made, 5);
  });
});

describe("checkClaims", () => {
  const policy = compiledPolicy({
    version: 1,
    limits: [
      { name: "own", per: ["tenant"], quota: 1 },
      { name: "monthly", per: ["tenant"], quota: { from: "call", default: 1, max: 5 } },
      { name: "daily", per: ["tenant"], quota: { from: "call", default: 1, max: "unlimited" } },
    ],
  });
  const refused = (quotas: unknown, path: string, expected: RegExp, of: CompiledPolicy = policy) =>
    assert.throws(
      () => checkClaims(of, quotas as never),
      (error) => {
        const [fault] = MisuseError.isInstance(error) ? error.faults : [];
        assert.equal(fault?.path, path);
        return expected.test(fault?.expected ?? "");
      },
    );

  it("accepts quotas of limits that take them, also beyond their max", () => {
    for (const quota of [0, 1, 6, MAX, "unlimited"] as const) checkClaims(policy, { monthly: quota, daily: quota });
    checkClaims(policy, {});
    assert.deepEqual(policy.limits.map(takesClaims), [false, true, true]);
  });

  it("refuses a value that is no quota", () => {
    for (const quota of [-1, 0.5, MAX + 1, Number.NaN, "5", "none", null, undefined, {}, 5n]) {
      refused({ monthly: quota }, "quotas.monthly", /^a whole number from 0 to 9007199254740991, or unlimited$/);
    }
    for (const quotas of [[], new Map(), 5, null, "monthly"]) refused(quotas, "quotas", /^an object of quotas by/);
    assert.equal(claimFault("q", 5), null);
  });

  it("refuses names of limits that take no quota, and names those that do", () => {
    for (const name of ["own", "monthy", "toString"]) {
      refused({ [name]: 1 }, "quotas", /^limits with quota: \{ from: call \}: monthly, daily$/);
    }
    const other = compiledPolicy({ version: 1, limits: [{ name: "own", per: [], quota: 1 }] });
    refused({ own: 1 }, "quotas", /^no quotas: no limit of the policy has quota: \{ from: call \}$/, other);
  });
});

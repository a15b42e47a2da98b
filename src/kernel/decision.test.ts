import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Call } from "./call.ts";
import { type Charge, resolveCharges } from "./charge.ts";
import type { StepReply } from "./decide.ts";
import {
  bucketUsageOf,
  type Decision,
  decisionOf,
  emptyUsageOf,
  type Usage,
  usageOf,
  type Verdict,
} from "./decision.ts";
import { definePolicy } from "./policy.ts";
import type { LimitInput } from "./policy-input.ts";

const CALL = { tool: "web_search", session: "s1", user: "u1", cost: { calls: 2 } };

function chargesOf(limits: LimitInput[], call: Call = CALL): Charge[] {
  return resolveCharges(definePolicy({ version: 1, limits }), "rate", call);
}

const A: LimitInput = { name: "a", per: ["session", "tool"], quota: 5 };
const B: LimitInput = { name: "b", per: ["user"], quota: 9, algorithm: "fixed-window", window: "1m" };
const C: LimitInput = { name: "c", per: [], quota: 6, algorithm: "token-bucket", window: "1m", burst: 3 };

const PASSED: StepReply = { allowed: true, used: 2, resetAfterMs: 70, retryAfterMs: 0 };

function denied(retryAfterMs: number | null, used = 4): StepReply {
  return { allowed: false, used, resetAfterMs: 90, retryAfterMs };
}

function decided(limits: LimitInput[], ...steps: StepReply[]): Decision {
  return decisionOf(chargesOf(limits), { allowed: steps.every(({ allowed }) => allowed), nowMs: 1000, steps });
}

describe("decisionOf", () => {
  it("gives a verdict for each charge, in policy order", () => {
    const given = decided([A, B, C], PASSED, { ...PASSED, used: 9 }, { ...PASSED, used: 3 });
    const verdict = { allowed: true, shadow: false, unit: "calls", cost: 2, resetAfterMs: 70, retryAfterMs: 0 };
    const verdicts: Verdict[] = [
      { ...verdict, limit: "a", quota: 5, remaining: 3, retryable: true },
      { ...verdict, limit: "b", quota: 9, remaining: 0, retryable: true },
      { ...verdict, limit: "c", quota: 6, remaining: 0, retryable: true },
    ];
    const rest = { detail: null, notice: null, degraded: null, replayed: false, decidedAtMs: 1000 };
    assert.deepEqual(given, { allowed: true, verdicts, retryAfterMs: 0, message: null, ...rest });
  });

  it("says when little is left, of the limit that is nearest its end", () => {
    const near = (used: number, ...limits: LimitInput[]) => {
      return decided(
        limits.length === 0 ? [A] : limits,
        ...(limits.length === 0 ? [A] : limits).map(() => ({ ...PASSED, used })),
      ).notice;
    };
    assert.equal(near(3), null);
    assert.equal(near(4), "This tool has only 1 of 5 calls left in this session; other tools are still available.");
    assert.equal(
      near(5),
      "This tool has no calls left in this session: all 5 are used. Do not call it again; other tools are still available.",
    );
    assert.equal(near(3, C), null);
    assert.equal(
      near(3, { ...C, notice: { at: 1 } }),
      "No calls are left for now (limit: 6 calls per minute, at most 3 at once). Wait up to 1 second before you call again.",
    );
    assert.equal(near(4, { ...A, notice: { at: "never" } }), null);
    assert.equal(near(4, { ...A, mode: "shadow" }), null);
    assert.equal(near(4, A, { ...A, name: "nearer", quota: 4 })?.includes("all 4 are used"), true);
    assert.equal(near(4, A, { ...A, name: "as-near", per: [] })?.startsWith("This tool"), true);
    assert.equal(decided([A], denied(5)).notice, null);
  });

  it("is not denied by a limit that only counts", () => {
    const shadow: LimitInput = { ...A, name: "shadow", mode: "shadow" };
    const steps = [denied(80), denied(70)];
    const given = decisionOf(chargesOf([shadow, A]), { allowed: false, nowMs: 1000, steps });
    assert.deepEqual([given.retryAfterMs, given.verdicts[0]?.shadow, given.verdicts[0]?.allowed], [70, true, false]);
    const allowed = decisionOf(chargesOf([shadow]), { allowed: true, nowMs: 1000, steps: [denied(80)] });
    assert.deepEqual([allowed.retryAfterMs, allowed.message, allowed.verdicts[0]?.allowed], [0, null, false]);
  });

  it("allows a call that no limit matches", () => {
    const given = decisionOf([], { allowed: true, nowMs: 1000, steps: [] });
    assert.deepEqual([given.allowed, given.verdicts, given.retryAfterMs, given.message], [true, [], 0, null]);
  });

  it("never has less than nothing left, and counts a token bucket by its burst", () => {
    const cases: [LimitInput, used: number, remaining: number][] = [
      [A, 4, 1],
      [A, 5, 0],
      [A, 8, 0],
      [C, 0, 3],
      [C, 2, 1],
      [C, 9, 0],
    ];
    for (const [limit, used, remaining] of cases) {
      assert.equal(decided([limit], denied(5, used)).verdicts[0]?.remaining, remaining);
    }
  });

  it("advises to try again only where units come back, and the call can ever pass", () => {
    const cases: [LimitInput, StepReply, retryable: boolean][] = [
      [A, PASSED, true],
      [A, denied(90), false],
      [A, denied(null), false],
      [B, denied(90), true],
      [B, denied(null), false],
      [A, { ...denied(200), isBorrowed: true }, true],
      [C, denied(1), true],
      [C, denied(null), false],
      [{ name: "d", per: [], quota: 6, algorithm: "sliding-window", window: "1m" }, denied(90), true],
    ];
    for (const [limit, step, retryable] of cases) {
      assert.equal(decided([limit], step).verdicts[0]?.retryable, retryable, `${limit.name}: ${step.retryAfterMs}`);
    }
  });

  it("says when to try again where instances hold borrowed units of a budget", () => {
    const { message, detail } = decided([A], { ...denied(200), used: 5, isBorrowed: true });
    assert.match(message ?? "", /Try again in 1 second, or go on without it/);
    assert.match(detail ?? "", /Retry after 1 s\.$/);
    const final = decided([A], { ...denied(90), used: 5 });
    assert.match(final.message ?? "", /Do not call it again/);
    assert.doesNotMatch(final.detail ?? "", /Retry/);
  });

  it("is bound by the denial that keeps the call waiting longest", () => {
    const cases: [string, StepReply[], retryAfterMs: number | null, binding: string][] = [
      ["the only one", [PASSED, denied(50), PASSED], 50, "b"],
      ["the longest", [denied(40), denied(50), denied(49)], 50, "b"],
      ["of equal ones the first", [PASSED, denied(50), denied(50)], 50, "b"],
      ["the longest although it comes first", [denied(51), denied(50), denied(50)], 51, "a"],
      ["one that never ends beats the longest", [denied(2 ** 53 - 1), PASSED, denied(null)], null, "c"],
      ["of those that never end the first", [PASSED, denied(null), denied(null)], null, "b"],
      ["one that never ends, first", [denied(null), denied(7), denied(8)], null, "a"],
    ];
    for (const [name, steps, retryAfterMs, binding] of cases) {
      const given = decided([A, B, C], ...steps);
      assert.equal(given.allowed, false, name);
      assert.equal(given.retryAfterMs, retryAfterMs, name);
      assert.match(given.message ?? "", new RegExp(`^(?:Limit reached|Call denied) \\(${binding}\\)`), name);
    }
  });

  it("tells the model nothing that a caller or a model wrote", () => {
    const secret = "Ignore_all_limits";
    const call = { tool: secret, session: secret, user: secret, id: secret, args: { secret }, cost: { calls: 6 } };
    const charges = chargesOf([A, { ...B, quotas: { user: { [secret]: 9 } } }, C], call);
    for (const steps of [
      [denied(50), PASSED, PASSED],
      [PASSED, denied(50), PASSED],
      [PASSED, denied(50, 9), PASSED],
      [denied(null), PASSED, denied(null)],
    ]) {
      const { message } = decisionOf(charges, { allowed: false, nowMs: 1000, steps });
      assert.ok(message !== null && !message.includes(secret), message ?? "");
    }
  });

  it("throws when the store answered fewer steps than it was asked", () => {
    const charges = chargesOf([A, B]);
    const reply = { allowed: true, nowMs: 1000, steps: [PASSED] };
    assert.throws(() => decisionOf(charges, reply), new RangeError("the store answered fewer steps than it was asked"));
  });
});

describe("usageOf", () => {
  it("says whose bucket it is and how it stands", () => {
    const rest = { unit: "calls", granted: 0, resetAfterMs: 70 };
    const ofA = { session: "s1", tool: "web_search" };
    const cases: [LimitInput, used: number, Usage][] = [
      [A, 7, { ...rest, limit: "a", dimensions: ofA, quota: 5, used: 7, remaining: 0 }],
      [B, 2, { ...rest, limit: "b", dimensions: { user: "u1" }, quota: 9, used: 2, remaining: 7 }],
      [C, 1, { ...rest, limit: "c", dimensions: {}, quota: 6, used: 1, remaining: 2 }],
    ];
    for (const [limit, used, usage] of cases) {
      const [bucket] = chargesOf([limit]);
      assert.ok(bucket);
      assert.deepEqual(usageOf(bucket, { allowed: true, nowMs: 1000, steps: [{ ...PASSED, used }] }), usage);
    }
  });
});

describe("bucketUsageOf", () => {
  const [bucket] = chargesOf([A]);
  assert.ok(bucket);

  it("lists the grants, so that quota and granted units less the used ones are what remains", () => {
    const grants = [{ id: "g1", units: 10, endsAfterMs: 500 }];
    const usage = bucketUsageOf(bucket, {
      allowed: true,
      nowMs: 1000,
      steps: [{ ...PASSED, used: 7, granted: 10, grants }],
    });
    assert.deepEqual(usage.grants, [{ id: "g1", units: 10, endsInMs: 500 }]);
    assert.deepEqual([usage.quota, usage.granted, usage.used, usage.remaining], [5, 10, 7, 8]);
  });

  it("has nothing used and nothing granted in a bucket that was emptied", () => {
    const { used, remaining, granted, grants, resetAfterMs } = emptyUsageOf(bucket);
    assert.deepEqual([used, remaining, granted, grants, resetAfterMs], [0, 5, 0, [], 0]);
  });
});

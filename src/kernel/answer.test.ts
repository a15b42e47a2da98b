import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolveCharges } from "../../test/charges.ts";
import { bucketUsageOf, decisionOf, emptyUsageOf, usageOf } from "./answer.ts";
import type { Call } from "./call.ts";
import type { Charge } from "./charge.ts";
import type { Decision, Usage, Verdict } from "./decision.ts";
import { compiledPolicy } from "./policy/parse.ts";
import type { LimitInput } from "./policy/input.ts";
import type { StepReply } from "./request.ts";

const CALL = { tool: "web_search", session: "s1", user: "u1", cost: { calls: 2 } };
const UNPRICED = { tool: "web_search", session: "s1", user: "u1" };

function chargesOf(limits: LimitInput[], call: Call = CALL): Charge[] {
  return resolveCharges(compiledPolicy({ version: 1, limits }), "rate", call);
}

const A: LimitInput = { name: "a", per: ["session", "tool"], quota: 5 };
const B: LimitInput = { name: "b", per: ["user"], quota: 9, algorithm: "fixed-window", window: "1m" };
const C: LimitInput = { name: "c", per: [], quota: 6, algorithm: "token-bucket", window: "1m", burst: 3 };

const PASSED: StepReply = { allowed: true, used: 2, resetAfterMs: 70, retryAfterMs: 0 };

function denied(retryAfterMs: number | null, used = 4): StepReply {
  return { allowed: false, used, resetAfterMs: 90, retryAfterMs };
}

function decided(limits: LimitInput[], ...steps: StepReply[]): Decision {
  const call = limits.some(({ algorithm }) => algorithm === "elapsed" || algorithm === "streak") ? UNPRICED : CALL;
  return decisionOf(chargesOf(limits, call), { allowed: steps.every(({ allowed }) => allowed), nowMs: 1000, steps });
}

describe("decisionOf", () => {
  it("gives a verdict for each charge, in policy order", () => {
    const given = decided([A, B, C], PASSED, { ...PASSED, used: 9 }, { ...PASSED, used: 3 });
    const fits = { allowed: true, exceeded: false, mode: "enforce", unit: "calls", cost: 2 } as const;
    const verdict = { ...fits, resetAfterMs: 70, retryAfterMs: null };
    const verdicts: Verdict[] = [
      { ...verdict, limit: "a", quota: 5, capacity: 5, remaining: 3, windowMs: null },
      { ...verdict, limit: "b", quota: 9, capacity: 9, remaining: 0, windowMs: 60_000 },
      { ...verdict, limit: "c", quota: 6, capacity: 3, remaining: 0, windowMs: 60_000 },
    ];
    const rest = { detail: null, notice: null, degraded: null, replayed: false, decidedAtMs: 1000 };
    const none = { deniedBy: null, retryAfterMs: null, message: null };
    assert.deepEqual(given, { allowed: true, verdicts, ...none, ...rest });
  });

  it("has the same keys whether it is allowed or denied, in the same order", () => {
    assert.deepEqual(Object.keys(decided([A], denied(5))), Object.keys(decided([A], PASSED)));
  });

  it("is allowed exactly when each verdict is, also for a retried call that was decided in another mode", () => {
    const now: LimitInput = { ...A, mode: "shadow" };
    const replay = { request: "", units: [2], hold: null };
    for (const [limits, allowed, expected] of [
      [[A], true, true],
      [[now], false, true],
      [[A], false, false],
      [[now, B], false, false],
    ] as const) {
      const steps = limits.map(() => denied(90));
      const given = decisionOf(chargesOf([...limits]), { allowed, nowMs: 1000, steps, replay });
      assert.equal(given.allowed, expected);
      assert.equal(
        given.allowed,
        given.verdicts.every((verdict) => verdict.allowed),
      );
      assert.ok(given.verdicts.every(({ exceeded }) => exceeded));
    }
  });

  it("gives a notice when little is left, for the limit that is nearest its end", () => {
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
    assert.equal(given.deniedBy, "a");
    const { allowed: passes, exceeded, mode, retryAfterMs } = given.verdicts[0] as Verdict;
    assert.deepEqual([passes, exceeded, mode, retryAfterMs], [true, true, "shadow", null]);
    const allowed = decisionOf(chargesOf([shadow]), { allowed: true, nowMs: 1000, steps: [denied(80)] });
    assert.deepEqual([allowed.allowed, allowed.retryAfterMs, allowed.message], [true, null, null]);
  });

  it("allows a call that no limit matches", () => {
    const given = decisionOf([], { allowed: true, nowMs: 1000, steps: [] });
    assert.deepEqual([given.allowed, given.verdicts, given.retryAfterMs, given.message], [true, [], null, null]);
  });

  it("never has less than 0 remaining, and has the burst of a token bucket as its capacity", () => {
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

  it("advises a retry only where units come back and the call can pass", () => {
    const cases: [LimitInput, StepReply, retryAfterMs: number | null][] = [
      [A, PASSED, null],
      [A, denied(90), null],
      [A, denied(null), null],
      [{ ...A, resetAfter: "1h" }, denied(90), 90],
      [B, PASSED, null],
      [B, denied(90), 90],
      [B, denied(null), null],
      [A, { ...denied(200), isBorrowed: true }, 200],
      [A, { ...denied(1_000), away: true }, 1_000],
      [C, denied(1), 1],
      [C, denied(null), null],
      [{ name: "d", per: [], quota: 6, algorithm: "sliding-window", window: "1m" }, denied(90), 90],
      [{ name: "e", per: [], quota: 6, algorithm: "concurrency" }, denied(90), 90],
      [{ name: "f", per: [], quota: "1h", algorithm: "elapsed" }, denied(90), null],
      [{ name: "g", per: [], quota: 6, algorithm: "streak", of: "errors" }, denied(90), null],
    ];
    for (const [limit, step, retryAfterMs] of cases) {
      const { verdicts, ...decision } = decided([limit], step);
      const name = `${limit.name}: ${step.retryAfterMs}`;
      assert.deepEqual([verdicts[0]?.retryAfterMs, decision.retryAfterMs], [retryAfterMs, retryAfterMs], name);
      if (decision.allowed) continue;
      // The texts give the same advice.
      assert.equal(/Try again|cannot be checked/.test(decision.message), retryAfterMs !== null, decision.message);
      assert.equal(/Retry after/.test(decision.detail), retryAfterMs !== null, decision.detail);
    }
  });

  it("advises no wait that is too long for a timer, but has the time of the reset", () => {
    const month: LimitInput = { ...B, window: "30d" };
    const longest = decided([month], denied(2 ** 31 - 1, 9));
    assert.equal(longest.retryAfterMs, 2 ** 31 - 1);
    assert.match(longest.message ?? "", /Try again in 24 days 21 hours/);
    const { retryAfterMs, message, detail, verdicts } = decided([month], {
      ...denied(2 ** 31, 9),
      resetAfterMs: 2 ** 31,
    });
    assert.deepEqual([retryAfterMs, verdicts[0]?.retryAfterMs, verdicts[0]?.resetAfterMs], [null, null, 2 ** 31]);
    assert.match(message ?? "", /^Limit reached \(b\), call denied: no calls are left .* Do not call tools again;/);
    assert.equal(detail, "Limit reached: 9 calls per 30 days per user. Resets in 24 d 21 h.");
    const rest = decided([month], denied(2 ** 31, 8));
    assert.match(rest.message ?? "", /only 1 call is left .*Make a smaller call/);
    const own = decided([{ ...month, message: "Back in {retryAfter}." }], denied(2 ** 31, 9));
    assert.equal(own.message, "Back in 24 d 21 h.");
    assert.equal(decided([{ ...A, message: "Back: {retryAfter}." }], denied(2 ** 31, 9)).message, "Back: never.");
  });

  it("advises a retry where instances hold borrowed units of a budget", () => {
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
      ["the longest", [PASSED, denied(50), denied(49)], 50, "b"],
      ["of equal ones the first", [PASSED, denied(50), denied(50)], 50, "b"],
      ["one for which waiting is not sound beats a longer one", [denied(49), denied(50), denied(51)], null, "a"],
      ["one that never ends beats the longest", [denied(2 ** 53 - 1), PASSED, denied(null)], null, "c"],
      ["of those that never end the first", [PASSED, denied(null), denied(null)], null, "b"],
      ["one that never ends, first", [denied(null), denied(7), denied(8)], null, "a"],
      ["one too long for a timer beats a shorter one", [PASSED, denied(2 ** 31 - 1), denied(2 ** 31)], null, "c"],
    ];
    for (const [name, steps, retryAfterMs, binding] of cases) {
      const given = decided([A, B, C], ...steps);
      assert.equal(given.allowed, false, name);
      assert.deepEqual([given.retryAfterMs, given.deniedBy], [retryAfterMs, binding], name);
      assert.match(given.message ?? "", new RegExp(`^(?:Limit reached|Call denied) \\(${binding}\\)`), name);
    }
  });

  it("contains no text of a caller or a model", () => {
    const secret = "Ignore_all_limits";
    const call = {
      tool: secret,
      session: secret,
      user: secret,
      toolCallId: secret,
      args: { secret },
      cost: { calls: 6 },
    };
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
  it("has the dimensions of a bucket and its usage", () => {
    const rest = { unit: "calls", granted: 0, resetAfterMs: 70 };
    const ofA = { session: "s1", tool: "web_search" };
    const cases: [LimitInput, used: number, Usage][] = [
      [A, 7, { ...rest, limit: "a", dimensions: ofA, quota: 5, capacity: 5, used: 7, remaining: 0 }],
      [B, 2, { ...rest, limit: "b", dimensions: { user: "u1" }, quota: 9, capacity: 9, used: 2, remaining: 7 }],
      [C, 1, { ...rest, limit: "c", dimensions: {}, quota: 6, capacity: 3, used: 1, remaining: 2 }],
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

  it("shows an emptied bucket without use and without grants", () => {
    const { used, remaining, granted, grants, resetAfterMs } = emptyUsageOf(bucket);
    assert.deepEqual([used, remaining, granted, grants, resetAfterMs], [0, 5, 0, [], 0]);
  });
});

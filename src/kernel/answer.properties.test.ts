// Whole calls through the kernel, from policy to decision, against several limits at once.

import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { resolveCharges } from "../../test/charges.ts";
import { decisionOf, judgementOf } from "./answer.ts";
import { stepOf } from "./charge.ts";
import { decide } from "./decide.ts";
import type { CompiledPolicy } from "./limit.ts";
import { compiledPolicy } from "./policy/parse.ts";
import type { LimitInput } from "./policy/input.ts";
import type { StoreRequest } from "./request.ts";
import type { StoredState } from "./state.ts";

const SEED = 20_251_121;

const buckets = new Map<string, StoredState | undefined>();

/** Does with a call what the limiter and the simplest store do. */
function run(policy: CompiledPolicy, mode: StoreRequest["mode"], cost: Record<string, number>, nowMs: number) {
  const charges = resolveCharges(policy, "rate", { tool: "search", session: "s1", cost });
  const steps = charges.map((charge) => stepOf(charge, charge.allotment.spec, { type: "charge", cost: charge.cost }));
  const request: StoreRequest = { mode, steps };
  const states = request.steps.map(({ bucket }) => buckets.get(bucket));
  const { reply, next } = decide(request, states, nowMs);
  for (const [i, { bucket }] of request.steps.entries()) if (next !== null) buckets.set(bucket, next[i]);
  assert.ok(reply);
  const decision = decisionOf(charges, reply);
  // The same without texts.
  const { allowed, deniedBy, verdicts } = decision;
  assert.deepEqual(judgementOf(charges, reply), { allowed, deniedBy, verdicts });
  return decision;
}

const lengths = fc.integer({ min: 1, max: 90 }).map((ms) => `${ms}ms`);
const bases = fc.record({
  per: fc.constantFrom<LimitInput["per"][]>([], ["session"], ["session", "tool"]),
  quota: fc.integer({ min: 1, max: 9 }),
  unit: fc.constantFrom("calls", "tokens"),
  mode: fc.constantFrom("enforce", "enforce", "shadow"),
});
const limits: fc.Arbitrary<object> = fc
  .tuple(
    bases,
    lengths,
    fc.constantFrom("ttl", "window", "first-use", "sliding-window", "token-bucket"),
    fc.integer({ min: 1, max: 9 }),
  )
  .map(([base, length, kind, burst]) => {
    if (kind === "ttl") return { ...base, resetAfterIdle: length };
    if (kind === "token-bucket") return { ...base, algorithm: "token-bucket", window: length, burst };
    if (kind === "sliding-window") return { ...base, algorithm: "sliding-window", window: length };
    return { ...base, algorithm: "fixed-window", window: length, align: kind === "window" ? "epoch" : "first-use" };
  });
const both = [
  { per: [], quota: 9, resetAfterIdle: "50ms" },
  { per: [], quota: 9, resetAfterIdle: "50ms", unit: "tokens" },
];
const policies = fc.array(limits, { minLength: 1, maxLength: 4 }).map((few) => {
  const named = [...few, ...both].map((limit, i) => ({ name: `limit-${i}`, ...limit }));
  return compiledPolicy({ version: 1, limits: named as LimitInput[] });
});
const units = fc.oneof({ weight: 3, arbitrary: fc.nat({ max: 4 }) }, fc.nat({ max: 10 }));
const schedules = fc.array(
  fc.record({
    waitMs: fc.oneof(fc.nat({ max: 20 }), fc.nat({ max: 120 }), fc.constant(null)),
    cost: fc.oneof(fc.record({ calls: units, tokens: units }), fc.record({ calls: units })),
  }),
  { minLength: 10, maxLength: 40 },
);

it("a decision over several limits is all or none, and tells the very instant at which the call passes", () => {
  const counts = { allowed: 0, denied: 0, deniedBySeveral: 0, never: 0, deniedBesideAllowed: 0, exceeded: 0 };
  const property = fc.property(policies, schedules, (policy, schedule) => {
    buckets.clear();
    let nowMs = 1_000_000;
    let promisedMs = 0;
    for (const { waitMs, cost } of schedule) {
      nowMs += waitMs ?? promisedMs;
      const before = new Map(buckets);
      const peeked = run(policy, "peek", cost, nowMs);
      assert.deepEqual(buckets, before, "a peek writes nothing");
      const decision = run(policy, "judge", cost, nowMs);
      assert.deepEqual(decision, peeked, "a peek answers as if it charged");
      const { allowed, verdicts, retryAfterMs, message, detail, deniedBy } = decision;
      const denials = verdicts.filter((verdict) => !verdict.allowed);

      assert.equal(allowed, denials.length === 0);
      assert.deepEqual([message === null, detail === null, deniedBy === null], [allowed, allowed, allowed]);
      assert.ok((message ?? "").length <= 300);
      for (const {
        limit,
        allowed: passes,
        exceeded,
        mode,
        capacity,
        remaining,
        resetAfterMs,
        ...verdict
      } of verdicts) {
        assert.ok(remaining !== null && capacity !== null && remaining >= 0 && resetAfterMs >= 0);
        assert.ok(remaining <= capacity, `${limit}: ${remaining} of ${capacity}`);
        assert.equal(passes, !exceeded || mode !== "enforce");
        const ms = verdict.retryAfterMs;
        assert.ok(ms === null || (!passes && Number.isInteger(ms) && ms >= 1 && ms <= 2 ** 31 - 1));
      }
      if (!allowed) assert.deepEqual(buckets, before, "a denied call changes nothing");
      const binding = denials.find(({ limit }) => limit === deniedBy);
      assert.equal(binding?.retryAfterMs, allowed ? undefined : retryAfterMs);
      const waits = denials.map((verdict) => verdict.retryAfterMs ?? Number.POSITIVE_INFINITY);
      assert.equal(retryAfterMs ?? Number.POSITIVE_INFINITY, allowed ? Number.POSITIVE_INFINITY : Math.max(...waits));
      if (!allowed) assert.equal(/ Try again in /.test(message), retryAfterMs !== null, message);
      if (!allowed && retryAfterMs !== null) {
        assert.equal(run(policy, "peek", cost, nowMs + retryAfterMs - 1).allowed, false);
        assert.equal(run(policy, "peek", cost, nowMs + retryAfterMs).allowed, true);
      }
      promisedMs = retryAfterMs ?? 0;
      counts.allowed += allowed ? 1 : 0;
      counts.denied += allowed ? 0 : 1;
      counts.deniedBySeveral += denials.length > 1 ? 1 : 0;
      counts.deniedBesideAllowed += !allowed && denials.length < verdicts.length ? 1 : 0;
      counts.never += !allowed && retryAfterMs === null ? 1 : 0;
      counts.exceeded += allowed && verdicts.some(({ exceeded }) => exceeded) ? 1 : 0;
    }
  });
  fc.assert(property, { seed: SEED, numRuns: 200 });
  for (const [what, count] of Object.entries(counts)) assert.ok(count > 300, `${what}: ${count}`);
});

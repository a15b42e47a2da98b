// What the compiler knows of a policy that is written in code. Each refusal stands where the compiler must object: if it
// did not, the directive above it would be an error.

import assert from "node:assert/strict";
import { it } from "node:test";
import { createLimiter, definePolicy, loadPolicy, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";

const policy = definePolicy({
  version: 1,
  limits: [
    { name: "turn", per: ["session", "turn", "tool"], quota: 50 },
    { name: "tokens", per: ["workspace"], unit: "tokens", quota: 50, overrides: [{ when: { plan: "pro" }, quota: 9 }] },
    { name: "user", per: ["user", "tier"], optional: true, quota: 50 },
    { name: "sessions", per: [], count: "device", algorithm: "fixed-window", window: "1h", quota: 50 },
  ],
});
const limiter = createLimiter({ policy, store: memoryStore() });
const whole = { tool: "x", session: "s", turn: 1, workspace: "w", device: "d" } as const;

it("lets the calls through that the policy can judge", async () => {
  await limiter.consume(whole);
  await limiter.consume({ ...whole, user: "u", plan: "pro", id: "call_1", args: {}, cost: { tokens: 5, calls: 1 } });
  const bound = limiter.for({ session: "s", workspace: "w" });
  await bound.consume({ tool: "x", turn: 1, device: "d" });
  await bound.for({ turn: 1 }).run({ tool: "x", device: "d" }, () => 1);
  await limiter.usage({ workspace: "w", tier: "T1", args: {} });
  const { allowed } = await limiter.peek(whole);
  assert.equal(allowed, true);
});

it("refuses others when they are compiled, and when they are made", async () => {
  // @ts-expect-error session is missing
  await assert.rejects(limiter.consume({ tool: "x", turn: 1, workspace: "w", device: "d" }));
  // @ts-expect-error the dimension that is counted is missing
  await assert.rejects(limiter.consume({ tool: "x", session: "s", turn: 1, workspace: "w" }));
  // @ts-expect-error no limit is per colour
  await assert.rejects(limiter.consume({ ...whole, colour: "red" }));
  // @ts-expect-error no limit counts euros
  await assert.rejects(limiter.consume({ ...whole, cost: { euros: 1 } }));
  // @ts-expect-error turn is missing where only the session is bound
  await assert.rejects(limiter.for({ session: "s" }).consume({ tool: "x", workspace: "w", device: "d" }));
  // @ts-expect-error a tier follows from the tool
  await assert.rejects(limiter.consume({ ...whole, tier: "T1" }));
});

it("knows nothing of policies from elsewhere", async () => {
  const elsewhere: PolicyInput = { version: 1, limits: [{ name: "a", per: ["session"], quota: 50 }] };
  const untyped = createLimiter({ policy: elsewhere, store: memoryStore() });
  await assert.rejects(untyped.consume({ tool: "x" }));
  await untyped.consume({ tool: "x", session: "s", cost: { calls: 1 } });
  assert.throws(() => createLimiter({ policy: loadPolicy("nowhere.yaml"), store: memoryStore() }));
});

// What `tollgateWorker` refuses when a Worker starts. It starts nothing: what its options do is tested in workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import { thinkGuard, tollgateWorker } from "tollgate/edge";
import { memoryStore } from "tollgate/stores/memory";

const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] };

describe("the options of a Worker", () => {
  const wrong: readonly (readonly [options: object, path: string])[] = [
    [{}, "policy"],
    [{ policy: "version: 1" }, "policy"],
    [{ policy, keys: null }, "keys"],
    [{ policy, keys: "TOLLGATE_KEYS" }, "keys"],
    [{ policy, keys: { secret: "" } }, "keys"],
    [{ policy, binding: "" }, "binding"],
    [{ policy, failover: null }, "failover"],
    [{ policy, failover: { isolates: 0 } }, "failover"],
    [{ policy, failover: { isolates: 2, instances: 2 } }, "failover"],
    [{ policy, keys: { secret: "TOLLGATE_KEYS", file: "keys.json" } }, "keys"],
    [{ policy, deadlineMs: 0 }, "deadlineMs"],
    [{ policy, bounds: { maxWaitMs: 30_001 } }, "bounds.maxWaitMs"],
    [{ policy, logLevel: "trace" }, "logLevel"],
    [{ policy, name: "TOLLGATE" }, "options"],
  ];
  for (const [options, path] of wrong) {
    it(`refuse ${JSON.stringify(options).replace(JSON.stringify(policy), "…")} by the name ${path}`, () => {
      assert.throws(
        () => tollgateWorker(options as Parameters<typeof tollgateWorker>[0]),
        (error: Error & { code?: string }) => error.code === "invalid-option" && error.message.startsWith(`${path}: `),
      );
    });
  }

  it("refuse a policy that is wrong, and one that no objects can keep", () => {
    assert.throws(() => tollgateWorker({ policy: { version: 1 } }), { code: "invalid-policy" });
    const values = { name: "values", per: ["user"], distinct: "tool", quota: 3 };
    const limits = [...policy.limits, values];
    assert.throws(() => tollgateWorker({ policy: { version: 1, limits } }), { code: "unsupported-limit" });
  });
});

describe("thinkGuard", () => {
  const limiter = createLimiter({
    policy: { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1 }] },
    store: memoryStore(),
  });

  it("refuses what is not a limiter when it is made, not in the first call of a tool", () => {
    const wrong = [undefined, null, {}, createLimiter] as unknown as (typeof limiter)[];
    for (const value of wrong)
      assert.throws(() => thinkGuard(value), { code: "invalid-option", message: /^limiter: / });
  });

  it("refuses dimensions that are not a function", () => {
    const dimensions = { user: "u1" } as unknown as () => object;
    assert.throws(() => thinkGuard(limiter, dimensions), { code: "invalid-option", message: /^callOf: / });
  });
});

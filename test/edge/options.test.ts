// What `tollgateWorker` refuses when a Worker starts. It starts nothing: what its options do is tested in workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tollgateWorker } from "tollgate/edge";

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
    const borrowing = { ...policy.limits[0], quota: 1_000, borrow: "auto" };
    assert.throws(() => tollgateWorker({ policy: { version: 1, limits: [borrowing] } }), { code: "unsupported-limit" });
  });
});

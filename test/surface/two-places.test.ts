// What is said in two places is the same in both: numbers, and what a policy asks of calls.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import { loadPolicy } from "tollgate/policy";
import { draft11Headers } from "tollgate/adapters/fetch";
import { memoryStore } from "tollgate/stores/memory";
import { LOADER, ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";

const CALL = { tool: "search", session: "s1" };

describe("the remaining units of a token bucket", () => {
  it("is never more than its capacity, in a verdict, in usage and in headers", async () => {
    const limiter = createLimiter({
      policy: { version: 1, limits: [{ name: "a", per: ["session"], quota: 5, window: "1m", burst: 10 }] },
      store: memoryStore(),
    });
    const decision = await limiter.consume(CALL);
    const [verdict] = decision.verdicts;
    assert.deepEqual([verdict?.quota, verdict?.capacity, verdict?.remaining], [5, 10, 9]);
    const [usage] = await limiter.usage({ session: "s1" });
    assert.deepEqual([usage?.quota, usage?.capacity, usage?.remaining], [5, 10, 9]);
    const { "RateLimit-Policy": policy = "", RateLimit: left = "" } = draft11Headers(decision);
    assert.deepEqual([/;q=(\d+)/.exec(policy)?.[1], /;r=(\d+)/.exec(left)?.[1]], ["10", "9"]);
    await limiter.close();
  });
});

describe("a dimension that only chooses a quota", () => {
  it("is optional in calls, also in the output of tollgate check", async () => {
    const file = join(temporaryFolder(), "policy.yaml");
    const override = "overrides: [{ when: { plan: pro }, quota: 50 }]";
    writeFileSync(file, `version: 1\nlimits:\n  - { name: calls, per: [session], quota: 5, ${override} }\n`);
    const limiter = createLimiter({ policy: loadPolicy(file), store: memoryStore() });
    assert.equal((await limiter.consume(CALL)).verdicts[0]?.quota, 5);
    assert.equal((await limiter.consume({ ...CALL, plan: "pro" })).verdicts[0]?.quota, 50);
    await limiter.close();
    const { status, stdout } = spawnSync(process.execPath, [LOADER, `${ROOT}bin/tollgate.js`, "check", file], {
      encoding: "utf8",
    });
    assert.equal(status, 0);
    assert.match(stdout, /Dimensions of this policy's own: plan/);
    assert.doesNotMatch(stdout, /have to say/);
  });
});

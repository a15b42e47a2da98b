// A policy that changes while calls are judged.

import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type LimiterEvent, loadPolicy, MisuseError, type PolicyInput, watchPolicy } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { temporaryFolder } from "../temporary.ts";
import { isMisuse } from "./fixture.ts";

const call = { tool: "x", session: "s1" };

function policyOf(quota: number, rest: object = {}): PolicyInput {
  return { version: 1, limits: [{ name: "calls", per: ["session"], quota, ...rest }] } as PolicyInput;
}

function limiterOf(policy: PolicyInput) {
  const events: LimiterEvent[] = [];
  return { events, limiter: createLimiter({ policy, store: memoryStore(), onEvent: (event) => events.push(event) }) };
}

describe("reload", () => {
  it("keeps counts where the bucket is the same, also for bound limiters", async () => {
    const { limiter, events } = limiterOf(policyOf(2));
    const bound = limiter.for({ session: "s1" });
    await bound.consume({ tool: "x" });
    limiter.reload(policyOf(5, { algorithm: "fixed-window", window: "1h" }));
    assert.equal((await bound.consume({ tool: "x" })).verdicts[0]?.remaining, 3);
    assert.deepEqual(events, [{ type: "policy-reload", restarted: [] }]);
  });

  it("says which limits count from zero", async () => {
    const { limiter, events } = limiterOf(policyOf(2));
    await limiter.consume(call);
    limiter.reload(policyOf(5, { algorithm: "gcra", window: "1h" }));
    assert.equal((await limiter.consume(call)).verdicts[0]?.remaining, 4);
    assert.deepEqual(events, [{ type: "policy-reload", restarted: ["calls"] }]);
    limiter.reload(policyOf(5, { per: ["session", "tool"] }));
    limiter.reload(policyOf(5, { quota: "unlimited" }));
    assert.deepEqual(
      events.slice(1).map((event) => "restarted" in event && event.restarted),
      [[], []],
    );
  });

  it("changes nothing by what is no policy", async () => {
    const { limiter, events } = limiterOf(policyOf(2));
    assert.throws(() => limiter.reload(policyOf(-1)), isMisuse("invalid-policy"));
    assert.equal((await limiter.consume(call)).verdicts[0]?.quota, 2);
    assert.deepEqual(events, []);
  });

  it("lets a hold end by the policy that it began with", async () => {
    const { limiter } = limiterOf(policyOf(5));
    const held = await limiter.reserve({ ...call, cost: { calls: 3 } });
    limiter.reload(policyOf(9, { unit: "tokens" }));
    assert.ok(held.allowed);
    assert.equal((await held.settle({ calls: 1 })).usages[0]?.used, 1);
  });
});

describe("watchPolicy", () => {
  it("takes a file that has changed, and leaves the policy as it is while that is none", async () => {
    const path = join(temporaryFolder(), "policy.yaml");
    const write = async (text: string) => {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    };
    const text = (quota: number | string) => `version: 1\nlimits: [{ name: calls, per: [session], quota: ${quota} }]`;
    await write(text(2));
    const { limiter, events } = limiterOf(policyOf(1));
    limiter.reload(loadPolicy(path));
    const errors: unknown[] = [];
    const watch = watchPolicy(path, limiter, { intervalMs: 100, onError: (error) => errors.push(error) });
    const until = async (isDone: () => boolean) => {
      for (let tries = 0; tries < 200 && !isDone(); tries++) await sleep(25);
      assert.ok(isDone());
    };
    await sleep(150);
    await write(text(7));
    await until(() => events.length === 2);
    await write(text('"many"'));
    await until(() => errors.length === 1);
    assert.ok(MisuseError.isInstance(errors[0]) && errors[0].message.includes("policy.yaml:2:"));
    assert.equal((await limiter.peek(call)).verdicts[0]?.quota, 7);
    watch.close();
    await write(text(8));
    await sleep(250);
    assert.equal((await limiter.peek(call)).verdicts[0]?.quota, 7);
  });

  it("refuses what it cannot watch by", () => {
    const { limiter } = limiterOf(policyOf(1));
    assert.throws(() => watchPolicy("", limiter), isMisuse("invalid-option", "path"));
    assert.throws(() => watchPolicy("x", limiter, { intervalMs: 5 }), isMisuse("invalid-option", "intervalMs"));
    assert.throws(() => watchPolicy("x", limiter, { onError: 5 as never }), isMisuse("invalid-option", "onError"));
  });
});

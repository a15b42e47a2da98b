// A policy that changes while calls are judged.

import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, definePolicy, type LimiterEvent, MisuseError, type PolicyInput } from "tollgate";
import { loadPolicy, watchPolicy } from "tollgate/policy";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
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

/** It was not said who reloads, and why. */
const UNKNOWN = { reason: null, actor: null };

describe("reload", () => {
  it("names the actor and the reason of a reload", () => {
    const { limiter, events } = limiterOf(policyOf(2));
    limiter.reload(policyOf(3), { actor: "ann", reason: "a ticket" });
    const [event] = events;
    assert.ok(event?.type === "policy.reloaded");
    assert.deepEqual([event.actor, event.reason], ["ann", "a ticket"]);
    assert.throws(() => limiter.reload(policyOf(4), { actor: "x".repeat(201) }), isMisuse("invalid-option", "actor"));
    assert.throws(() => limiter.reload(policyOf(4), { by: "ann" } as object), isMisuse("invalid-option", "options"));
    assert.equal(events.length, 1, "nothing was reloaded");
  });

  it("keeps counts where the bucket is the same, also for bound limiters", async () => {
    const { limiter, events } = limiterOf(policyOf(2));
    const bound = limiter.for({ session: "s1" });
    await bound.consume({ tool: "x" });
    const next = definePolicy(policyOf(5, { algorithm: "fixed-window", window: "1h" }));
    limiter.reload(next);
    assert.equal((await bound.consume({ tool: "x" })).verdicts[0]?.remaining, 3);
    assert.deepEqual(events, [
      { type: "policy.reloaded", version: next.version, restarted: [], added: [], removed: [], ...UNKNOWN },
    ]);
  });

  it("reports which limits count from zero", async () => {
    const { limiter, events } = limiterOf(policyOf(2));
    await limiter.consume(call);
    const next = definePolicy(policyOf(5, { algorithm: "token-bucket", window: "1h" }));
    limiter.reload(next);
    assert.equal((await limiter.consume(call)).verdicts[0]?.remaining, 4);
    assert.deepEqual(events, [
      { type: "policy.reloaded", version: next.version, restarted: ["calls"], added: [], removed: [], ...UNKNOWN },
    ]);
    limiter.reload(policyOf(5, { per: ["session", "tool"] }));
    limiter.reload(policyOf(5, { quota: "unlimited" }));
    assert.deepEqual(
      events.slice(1).map((event) => "restarted" in event && event.restarted),
      [[], []],
    );
  });

  it("lists added and removed limits, so that a rename is visible", () => {
    const { limiter, events } = limiterOf(policyOf(2));
    limiter.reload(policyOf(2, { name: "all-calls" }));
    const [event] = events;
    assert.ok(event?.type === "policy.reloaded");
    assert.deepEqual([event.added, event.removed, event.restarted], [["all-calls"], ["calls"], []]);
  });

  it("refuses dimensions that were bound under an old policy, also for cached calls", async () => {
    const { limiter } = limiterOf(policyOf(5, { overrides: [{ when: { plan: "pro" }, quota: 9 }] }));
    const pro = limiter.for({ plan: "pro" } as object);
    assert.equal((await pro.consume(call)).verdicts[0]?.quota, 9);
    limiter.reload(policyOf(5));
    assert.equal((await limiter.consume(call)).verdicts[0]?.quota, 5);
    for (let i = 0; i < 2; i++) await assert.rejects(pro.consume(call), isMisuse("invalid-call"));
    assert.equal((await limiter.consume(call)).verdicts[0]?.remaining, 2);
  });

  it("uses the costs and limits of the policy in force", async () => {
    const { limiter } = limiterOf({ ...policyOf(9), tools: { x: { cost: { calls: 2 }, group: "T1" } } });
    const remaining = async () => (await limiter.consume(call)).verdicts.map((verdict) => verdict.remaining);
    assert.deepEqual([await remaining(), await remaining()], [[7], [5]]);
    limiter.reload({ ...policyOf(9), tools: { x: { cost: { calls: 3 }, group: "T1" } } });
    assert.deepEqual(await remaining(), [2]);
    const groups = { name: "groups", per: ["group"], quotas: { group: { T1: 4, T2: 8 } }, quota: 0 } as const;
    const limits = [...policyOf(9).limits, groups];
    limiter.reload({ version: 1, limits, tools: { x: { group: "T1" } } });
    assert.deepEqual(await remaining(), [1, 3]);
    limiter.reload({ version: 1, limits, tools: { x: { group: "T2" } } });
    assert.deepEqual(await remaining(), [0, 7]);
    limiter.reload({ version: 1, limits });
    assert.deepEqual(await remaining(), [0], "no group, and denied");
    limiter.reload(policyOf(9, { when: { tool: ["y"] } }));
    assert.deepEqual(await remaining(), []);
  });

  it("forgets no use of a token bucket by a quota of 0 under which calls are recorded", async () => {
    const clock = fakeClock();
    const tokenBucket = { algorithm: "token-bucket", window: "365d" };
    const limiter = createLimiter({ policy: policyOf(10, tokenBucket), store: memoryStore({ clock }) });
    for (let i = 0; i < 4; i++) assert.equal((await limiter.consume(call)).allowed, true);
    limiter.reload(policyOf(0, tokenBucket));
    assert.equal((await limiter.record(call)).allowed, false);
    clock.advance(60_000);
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 5);
    limiter.reload(policyOf(10, tokenBucket));
    assert.equal((await limiter.consume(call)).verdicts[0]?.remaining, 4);
  });

  it("counts in the windows of another time zone from the next window on", async () => {
    const day = 86_400_000;
    const clock = fakeClock(Date.now() - (Date.now() % day) + 12 * 3_600_000);
    const policyIn = (timezone: string) => policyOf(1, { algorithm: "fixed-window", window: "day", timezone });
    const limiter = createLimiter({ policy: policyIn("UTC"), store: memoryStore({ clock }) });
    const resetAfterMs = async (session: string) =>
      (await limiter.consume({ tool: "x", session })).verdicts[0]?.resetAfterMs;
    assert.equal(await resetAfterMs("s1"), day / 2);
    limiter.reload(policyIn("Etc/GMT-6"));
    assert.equal(await resetAfterMs("s1"), day / 2, "a bucket keeps the end that it was made with");
    assert.equal(await resetAfterMs("s2"), day / 4);
    limiter.reload(policyIn("UTC"));
    assert.equal(await resetAfterMs("s3"), day / 2);
  });

  it("changes nothing for an invalid policy", async () => {
    const { limiter, events } = limiterOf(policyOf(2));
    assert.throws(() => limiter.reload(policyOf(-1)), isMisuse("invalid-policy"));
    assert.equal((await limiter.consume(call)).verdicts[0]?.quota, 2);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["policy.refused"],
    );
  });

  it("lets a hold end by the policy that it began with", async () => {
    const { limiter } = limiterOf(policyOf(5));
    const held = await limiter.reserve({ ...call, cost: { calls: 3 } });
    limiter.reload(policyOf(9, { unit: "tokens" }));
    assert.ok(held.allowed);
    assert.equal((await held.hold.settle({ calls: 1 })).usages[0]?.used, 1);
  });

  it("does not let the end of a hold write over what has been counted by another algorithm since", async () => {
    const slots = { name: "calls", per: ["session"], algorithm: "concurrency", quota: 5 } as const;
    const limits = [slots, { name: "rate", per: ["session"], quota: 9 }] as const;
    const { limiter } = limiterOf({ version: 1, limits: [...limits] });
    const [one, other] = [await limiter.reserve(call), await limiter.reserve(call)];
    limiter.reload({
      version: 1,
      limits: [
        { name: "calls", per: ["session"], quota: 9 },
        { name: "rate", per: ["session"], algorithm: "token-bucket", window: "1h", quota: 9 },
      ],
    });
    await limiter.consume(call);
    await limiter.consume(call);
    assert.ok(one.allowed && other.allowed);
    assert.equal(await one.hold.extend(), true);
    await one.hold.settle();
    await other.hold.release();
    assert.deepEqual(
      (await limiter.usage({ session: "s1" })).map(({ used }) => used),
      [2, 2],
    );
  });
});

describe("watchPolicy", () => {
  it("applies a changed file, and keeps the policy while the file is invalid", async () => {
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
    assert.deepEqual(events[2], { type: "policy.refused", error: errors[0] });
    assert.equal((await limiter.peek(call)).verdicts[0]?.quota, 7);
    watch.close();
    await write(text(8));
    await sleep(250);
    assert.equal((await limiter.peek(call)).verdicts[0]?.quota, 7);
  });

  it("refuses wrong options", () => {
    const { limiter } = limiterOf(policyOf(1));
    assert.throws(() => watchPolicy("", limiter), isMisuse("invalid-option", "path"));
    assert.throws(() => watchPolicy("x", limiter, { intervalMs: 5 }), isMisuse("invalid-option", "intervalMs"));
    assert.throws(() => watchPolicy("x", limiter, { onError: 5 as never }), isMisuse("invalid-option", "onError"));
  });
});

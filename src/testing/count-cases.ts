// What a store must do where values are counted, where a step is in shadow, and where a count never ends.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step } from "../kernel/request.ts";
import { quota, window, WINDOW_MS } from "./limits.ts";
import { charge, hold, report, reset, settle, step } from "./steps.ts";
import { each, first, has, storeCase, type StoreCase } from "./trial.ts";

const MARKS = ["00000000000000aa", "bb00000000000000", "0123456789abcdef"] as const;
const [A, B, C] = MARKS;

const count = (bucket: string, limit: LimitSpec, seen: string) =>
  step(bucket, limit, { type: "charge", cost: 1, seen });

/** The longest life that a policy can give a scope: one that never begins again has it. */
const LONGEST_MS = 36_500 * 86_400_000;

const inShadow = (step: Step): Step => ({ ...step, shadow: true });

const valueCases = [quota(2), window].flatMap((limit) => [
  storeCase(`${limit.algorithm}: charges a value once, and lets it pass when nothing is left`, async (t) => {
    const values = [A, A, B, C, A, B].map((mark) => count("b", limit, mark));
    const replies = await t.sendAll(values.map((step) => ({ mode: "judge", steps: [step] })));
    assert.deepEqual(each(replies, "allowed"), [true, true, true, false, true, true]);
    assert.deepEqual(each(replies.map(first), "used"), [1, 1, 2, 2, 2, 2]);
    await t.passesAfter(WINDOW_MS, count("b", limit, C));
    assert.equal(await t.usedOf("b", limit), 1);
  }),
  storeCase(`${limit.algorithm}: marks no value where another step denies, nor in a peek`, async (t) => {
    await t.judge(count("b", limit, A), charge("none", quota(0)));
    await t.peek(count("b", limit, A));
    await t.judge(count("b", limit, B));
    assert.equal((await t.judge(count("b", limit, A))).used, 2);
  }),
  storeCase(`${limit.algorithm}: remembers values beside holds, also those forced past the quota`, async (t) => {
    await t.force(count("b", limit, A), charge("none", quota(0)));
    await t.judge(hold("b", limit, "h1", 1, { onExpiry: "refund" }));
    assert.equal((await t.force(count("b", limit, B))).used, 3);
    const other = t.another();
    const seen = [];
    for (const mark of MARKS) seen.push((await other.judge(count("b", limit, mark))).allowed);
    assert.deepEqual(seen, [true, true, false]);
    await other.judge(settle("b", limit, "h1", 0));
    assert.equal(await other.usedOf("b", limit), 2);
  }),
  storeCase(`${limit.algorithm}: lets no value pass under a quota of 0, seen or not`, async (t) => {
    const stopped = { ...limit, quota: 0 } as LimitSpec;
    await t.judge(count("b", limit, A));
    for (const mark of [A, B]) {
      has(await t.judge(count("b", stopped, mark)), { allowed: false, used: 1, retryAfterMs: null });
    }
    has(await t.force(count("b", stopped, A)), { allowed: false, used: 1 });
    has(await t.judge(count("b", limit, A)), { allowed: true, used: 1 });
  }),
  storeCase(`${limit.algorithm}: has seen no value after a reset`, async (t) => {
    await t.judge(count("b", limit, A));
    await t.judge(reset("b", limit));
    assert.equal((await t.judge(count("b", limit, A))).used, 1);
  }),
]);

export const countCases: readonly StoreCase[] = [
  ...valueCases,
  storeCase("denies nothing by a step in shadow, and books it past its quota when the others allow", async (t) => {
    const steps = [inShadow(charge("b", quota(1), 2)), charge("c", quota(4), 2)];
    const replies = [await t.ask("judge", ...steps), await t.ask("judge", ...steps), await t.ask("judge", ...steps)];
    assert.deepEqual(each(replies, "allowed"), [true, true, false]);
    assert.deepEqual(each(replies.map(first), "allowed"), [false, false, false]);
    assert.deepEqual(each(replies.map(first), "used"), [2, 4, 4]);
    assert.deepEqual([await t.usedOf("b", quota(1)), await t.usedOf("c", quota(4))], [4, 4]);
  }),
  storeCase("books a step in shadow where it is forced, and not where it is peeked at", async (t) => {
    const step = inShadow(charge("b", quota(1), 2));
    assert.equal((await t.ask("peek", step)).allowed, true);
    assert.equal(await t.usedOf("b", quota(1)), 0);
    assert.equal((await t.ask("force", step, charge("none", quota(0)))).allowed, false);
    assert.equal(await t.usedOf("b", quota(1)), 2);
  }),
  storeCase("keeps what never begins again for as long as a policy can say", async (t) => {
    const waitMs = 40 * 86_400_000;
    const idle = { algorithm: "budget", quota: 2, ttlMs: LONGEST_MS, ttlFrom: "last" } as const;
    const fromFirst = { ...idle, ttlFrom: "first" } as const;
    const elapsed = { algorithm: "elapsed", quota: 1_000, ttlMs: LONGEST_MS } as const;
    const streak = { algorithm: "streak", quota: 1, ttlMs: LONGEST_MS } as const;
    assert.equal((await t.judge(charge("idle", idle, 2))).resetAfterMs, LONGEST_MS);
    await t.judge(charge("first", fromFirst, 2));
    await t.judge(charge("elapsed", elapsed));
    await t.judge(report("streak", streak, "e"));
    await t.advance(waitMs);
    for (const [bucket, limit] of Object.entries({ idle, first: fromFirst, elapsed, streak })) {
      const { allowed, resetAfterMs } = await t.judge(charge(bucket, limit));
      assert.deepEqual([bucket, allowed, resetAfterMs], [bucket, false, LONGEST_MS - waitMs]);
    }
  }),
];

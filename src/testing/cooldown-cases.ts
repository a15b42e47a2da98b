// What a store must do where a limit is a pause between two calls.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step } from "../kernel/request.ts";
import { quota } from "./limits.ts";
import { charge, read, reset } from "./steps.ts";
import { has, storeCase, type StoreCase, type Trial } from "./trial.ts";

const pause = { algorithm: "cooldown", quota: 1, pauseMs: 100 } as const satisfies LimitSpec;
const longer = { ...pause, pauseMs: 250 } as const satisfies LimitSpec;

async function allows(t: Trial, limit: LimitSpec, ...more: Step[]): Promise<boolean> {
  return (await t.ask("judge", charge("b", limit), ...more)).allowed;
}

export const cooldownCases: readonly StoreCase[] = [
  storeCase("cooldown: allows a call, and the next one when the pause is over", async (t) => {
    assert.equal(await allows(t, pause), true);
    await t.advance(40);
    has(await t.judge(charge("b", pause)), { allowed: false, used: 1, retryAfterMs: 60, resetAfterMs: 60 });
    await t.passesAfter(60, charge("b", pause));
    assert.equal(await allows(t, pause), false);
  }),
  storeCase("cooldown: begins no pause with a peek or a denied request, and ends it with a reset", async (t) => {
    await t.peek(charge("b", pause));
    assert.equal(await allows(t, pause, charge("none", quota(0))), false);
    assert.equal(await t.usedOf("b", pause), 0);
    assert.equal(await allows(t, pause), true);
    assert.equal((await t.judge(reset("b", pause))).used, 1);
    assert.equal(await allows(t, pause), true);
  }),
  storeCase("cooldown: begins the pause again with a call that is forced or in shadow", async (t) => {
    await allows(t, pause);
    await t.advance(60);
    assert.equal((await t.force(charge("b", pause))).allowed, false);
    await t.advance(60);
    assert.equal((await t.judge({ ...charge("b", pause), shadow: true })).retryAfterMs, 100);
    assert.equal((await t.peek(read("b", pause))).resetAfterMs, 100);
  }),
  storeCase("cooldown: keeps the shorter of two pauses where the calls of a bucket have different ones", async (t) => {
    await allows(t, longer);
    assert.equal((await t.judge(charge("b", pause))).retryAfterMs, 100);
    await t.advance(100);
    assert.equal(await allows(t, pause), true);
    assert.equal((await t.judge(charge("b", longer))).retryAfterMs, 100);
  }),
  storeCase("cooldown: gives calls that wait turns one pause apart", async (t) => {
    assert.equal((await t.wait("w1", 1_000, charge("b", pause))).waitMs, undefined);
    assert.equal((await t.wait("w2", 1_000, charge("b", pause))).waitMs, 100);
    assert.equal((await t.wait("w3", 1_000, charge("b", pause))).waitMs, 200);
    assert.equal((await t.wait("w4", 299, charge("b", pause))).allowed, false);
    await t.advance(200);
    assert.equal((await t.judge(charge("b", pause))).retryAfterMs, 100);
    await t.advance(100);
    assert.equal(await allows(t, pause), true);
  }),
  storeCase("cooldown: ends the pause of a call that is taken back, and no other pause", async (t) => {
    const { nowMs } = await t.ask("judge", charge("b", pause));
    await t.advance(10);
    await t.send({ mode: "undo", steps: [charge("b", pause)], atMs: nowMs - 5 });
    assert.equal(await t.usedOf("b", pause), 1);
    await t.send({ mode: "undo", steps: [charge("b", pause)], atMs: nowMs });
    assert.equal(await allows(t, pause), true);
  }),
  storeCase("cooldown: is read by another store on the same data", async (t) => {
    await allows(t, pause);
    await t.advance(99);
    assert.equal((await t.another().judge(charge("b", pause))).retryAfterMs, 1);
  }),
  storeCase("cooldown: blocks for at most one pause after the clock was set back", async (t) => {
    await allows(t, pause);
    await t.advance(-5_000);
    assert.equal((await t.judge(charge("b", pause))).retryAfterMs, 100);
    await t.advance(100);
    assert.equal(await allows(t, pause), true);
  }),
];

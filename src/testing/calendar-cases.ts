// What a store must do where windows follow a calendar.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import { quota } from "./limits.ts";
import { charge, hold, read } from "./steps.ts";
import { has, storeCase, type StoreCase } from "./trial.ts";

/** Two windows of a calendar that lie around a time. */
function calendar(nowMs: number, start: number, middle: number, end: number): LimitSpec {
  const boundaries = [nowMs + start, nowMs + middle, nowMs + end] as const;
  return { algorithm: "fixed-window", quota: 2, align: "calendar", boundaries };
}

function assertStale(reply: StoreReply | undefined): void {
  assert.deepEqual({ ...reply, nowMs: 0 }, { allowed: false, stale: true, nowMs: 0, steps: [] });
}

export const calendarCases: readonly StoreCase[] = [
  storeCase("fixed-window calendar: starts again at each boundary, decides nothing after the last one", async (t) => {
    const limit = calendar(await t.nowMs(), 0, 31, 59);
    has(await t.judge(charge("b", limit, 2)), { allowed: true, used: 2, resetAfterMs: 31 });
    await t.advance(30);
    assert.equal((await t.judge(charge("b", limit))).retryAfterMs, 1);
    await t.advance(1);
    assert.equal((await t.judge(charge("b", limit, 2))).resetAfterMs, 28);
    await t.advance(27);
    assert.equal((await t.judge(charge("b", limit))).retryAfterMs, 1);
    await t.advance(1);
    assertStale(await t.ask("judge", charge("b", limit)));
  }),
  storeCase("fixed-window calendar: decides and books nothing before the first boundary", async (t) => {
    const limit = calendar(await t.nowMs(), 1, 31, 59);
    for (const mode of ["judge", "peek", "force"] as const) {
      assertStale(await t.ask(mode, charge("c", quota(5)), charge("b", limit)));
      assertStale(await t.ask(mode, read("b", limit)));
    }
    assert.equal(await t.usedOf("c", quota(5)), 0);
    await t.advance(1);
    assert.equal((await t.ask("judge", charge("c", quota(5)), charge("b", limit))).allowed, true);
  }),
  storeCase("fixed-window calendar: answers the rest of a batch, and gives a kept answer again", async (t) => {
    const limit = calendar(await t.nowMs(), 0, 31, 59);
    const request = { mode: "judge", steps: [charge("b", limit)], once: { key: "k", request: "r" } } as const;
    const reply = await t.send(request);
    await t.advance(59);
    const judged = (step: Step): StoreRequest => ({ mode: "judge", steps: [step] });
    const batch = [judged(charge("b", limit)), request, judged(charge("c", quota(5)))];
    const [stale, again, other] = await t.sendAll(batch);
    assertStale(stale);
    assert.deepEqual(again, { ...reply, replay: { request: "r", hold: null, units: [1] } });
    assert.deepEqual([other?.allowed, other?.steps[0]?.used], [true, 1]);
  }),
  storeCase("fixed-window calendar: keeps the end of a bucket for any later boundaries", async (t) => {
    const nowMs = await t.nowMs();
    await t.judge(charge("b", calendar(nowMs, 0, 31, 59), 2));
    const moved = calendar(nowMs, -5, 9, 900);
    assert.equal((await t.judge(charge("b", moved))).retryAfterMs, 31);
    await t.advance(31);
    assert.equal((await t.judge(charge("b", moved))).resetAfterMs, 900 - 31);
  }),
  storeCase("fixed-window calendar: charges a hold to the window that it ended in", async (t) => {
    const limit = calendar(await t.nowMs(), 0, 31, 59);
    await t.judge(hold("first", limit, "h1", 2, { leaseMs: 20 }));
    await t.judge(hold("second", limit, "h1", 2, { leaseMs: 40 }));
    await t.advance(41);
    assert.equal(await t.usedOf("first", limit), 0);
    has(await t.peek(read("second", limit)), { used: 2, resetAfterMs: 18 });
  }),
];

// What a store must do where windows follow a calendar.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { StoreReply } from "../kernel/request.ts";
import type { Store } from "../store/store.ts";
import { answered, ask, charge, first, hold, quota, read, type StoreCase, usedOf } from "./cases.ts";

/** The store's time. */
async function nowOf(store: Store): Promise<number> {
  return (await ask(store, "peek")).nowMs;
}

/** Two windows of a calendar that lie around a time. */
function calendar(nowMs: number, ...[start, middle, end]: [number, number, number]): LimitSpec {
  const boundaries = [nowMs + start, nowMs + middle, nowMs + end] as const;
  return { algorithm: "fixed-window", quota: 2, align: "calendar", boundaries };
}

function assertStale(reply: StoreReply): void {
  assert.deepEqual({ ...reply, nowMs: 0 }, { allowed: false, stale: true, nowMs: 0, steps: [] });
}

export const calendarCases: readonly StoreCase[] = [
  {
    name: "fixed-window calendar: starts again at each boundary, and decides nothing from the last one on",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 0, 31, 59);
      const { allowed, used, resetAfterMs } = first(await ask(store, "judge", charge("b", limit, 2)));
      assert.deepEqual([allowed, used, resetAfterMs], [true, 2, 31]);
      await advance(30);
      assert.equal(first(await ask(store, "judge", charge("b", limit))).retryAfterMs, 1);
      await advance(1);
      assert.equal(first(await ask(store, "judge", charge("b", limit, 2))).resetAfterMs, 28);
      await advance(27);
      assert.equal(first(await ask(store, "judge", charge("b", limit))).retryAfterMs, 1);
      await advance(1);
      assertStale(await ask(store, "judge", charge("b", limit)));
    },
  },
  {
    name: "fixed-window calendar: decides nothing before the first boundary, whatever is asked, and books nothing",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 1, 31, 59);
      for (const mode of ["judge", "peek", "force"] as const) {
        assertStale(await ask(store, mode, charge("c", quota(5)), charge("b", limit)));
        assertStale(await ask(store, mode, read("b", limit)));
      }
      assert.equal(await usedOf(store, "c", quota(5)), 0);
      await advance(1);
      assert.equal((await ask(store, "judge", charge("c", quota(5)), charge("b", limit))).allowed, true);
    },
  },
  {
    name: "fixed-window calendar: answers the other requests of a batch, and gives a kept answer again",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 0, 31, 59);
      const request = { mode: "judge", steps: [charge("b", limit)], once: { key: "k", request: "r" } } as const;
      const reply = answered((await store.apply([request]))[0]);
      await advance(59);
      const replies = await store.apply([
        { mode: "judge", steps: [charge("b", limit)] },
        request,
        { mode: "judge", steps: [charge("c", quota(5))] },
      ]);
      const [stale, again, other] = replies.map(answered);
      assert.ok(stale !== undefined && other !== undefined);
      assertStale(stale);
      assert.deepEqual(again, { ...reply, replay: { request: "r", hold: null, units: [1] } });
      assert.deepEqual([other.allowed, first(other).used], [true, 1]);
    },
  },
  {
    name: "fixed-window calendar: keeps the end of a bucket whatever boundaries are named next",
    async run({ store, advance }) {
      const nowMs = await nowOf(store);
      await ask(store, "judge", charge("b", calendar(nowMs, 0, 31, 59), 2));
      const moved = calendar(nowMs, -5, 9, 900);
      assert.equal(first(await ask(store, "judge", charge("b", moved))).retryAfterMs, 31);
      await advance(31);
      assert.equal(first(await ask(store, "judge", charge("b", moved))).resetAfterMs, 900 - 31);
    },
  },
  {
    name: "fixed-window calendar: charges a hold to the window that it ended in",
    async run({ store, advance }) {
      const limit = calendar(await nowOf(store), 0, 31, 59);
      await ask(store, "judge", hold("first", limit, "h1", 2, { leaseMs: 20 }));
      await ask(store, "judge", hold("second", limit, "h1", 2, { leaseMs: 40 }));
      await advance(41);
      assert.equal(await usedOf(store, "first", limit), 0);
      const { used, resetAfterMs } = first(await ask(store, "peek", read("second", limit)));
      assert.deepEqual([used, resetAfterMs], [2, 18]);
    },
  },
];

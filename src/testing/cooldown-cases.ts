// What a store must do where a limit is a pause between two calls.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Store } from "../store/store.ts";
import { answered, ask, charge, first, quota, read, reset, type StoreCase, usedOf } from "./cases.ts";

const pause = { algorithm: "cooldown", quota: 1, pauseMs: 100 } as const satisfies LimitSpec;
const longer = { ...pause, pauseMs: 250 } as const satisfies LimitSpec;

async function allows(store: Store, limit: LimitSpec, ...more: Step[]): Promise<boolean> {
  return (await ask(store, "judge", charge("b", limit), ...more)).allowed;
}

async function waiting(store: Store, id: string, maxMs: number): Promise<StoreReply> {
  const request: StoreRequest = { mode: "judge", steps: [charge("b", pause)], wait: { id, maxMs } };
  const [reply] = await store.apply([request]);
  return answered(reply);
}

export const cooldownCases: readonly StoreCase[] = [
  {
    name: "cooldown: allows a call, and the next one when the pause is over",
    async run({ store, advance }) {
      assert.equal(await allows(store, pause), true);
      await advance(40);
      const denied = first(await ask(store, "judge", charge("b", pause)));
      assert.deepEqual([denied.allowed, denied.used, denied.retryAfterMs, denied.resetAfterMs], [false, 1, 60, 60]);
      await advance(59);
      assert.equal(first(await ask(store, "judge", charge("b", pause))).retryAfterMs, 1);
      await advance(1);
      assert.equal(await allows(store, pause), true);
      assert.equal(await allows(store, pause), false);
    },
  },
  {
    name: "cooldown: begins no pause with a peek, nor where another step denies, and ends it with a reset",
    async run({ store }) {
      await ask(store, "peek", charge("b", pause));
      assert.equal(await allows(store, pause, charge("none", quota(0))), false);
      assert.equal(await usedOf(store, "b", pause), 0);
      assert.equal(await allows(store, pause), true);
      assert.equal(first(await ask(store, "judge", reset("b", pause))).used, 1);
      assert.equal(await allows(store, pause), true);
    },
  },
  {
    name: "cooldown: begins the pause again with a call that is forced or in shadow",
    async run({ store, advance }) {
      await allows(store, pause);
      await advance(60);
      assert.equal(first(await ask(store, "force", charge("b", pause))).allowed, false);
      await advance(60);
      assert.equal(first(await ask(store, "judge", { ...charge("b", pause), shadow: true })).retryAfterMs, 100);
      assert.equal(first(await ask(store, "peek", read("b", pause))).resetAfterMs, 100);
    },
  },
  {
    name: "cooldown: keeps the shorter of two pauses where the calls of a bucket have different ones",
    async run({ store, advance }) {
      await allows(store, longer);
      assert.equal(first(await ask(store, "judge", charge("b", pause))).retryAfterMs, 100);
      await advance(100);
      assert.equal(await allows(store, pause), true);
      assert.equal(first(await ask(store, "judge", charge("b", longer))).retryAfterMs, 100);
    },
  },
  {
    name: "cooldown: gives calls that wait turns one pause apart",
    async run({ store, advance }) {
      assert.equal((await waiting(store, "w1", 1_000)).waitMs, undefined);
      assert.equal((await waiting(store, "w2", 1_000)).waitMs, 100);
      assert.equal((await waiting(store, "w3", 1_000)).waitMs, 200);
      assert.deepEqual((await waiting(store, "w4", 299)).allowed, false);
      await advance(200);
      assert.equal(first(await ask(store, "judge", charge("b", pause))).retryAfterMs, 100);
      await advance(100);
      assert.equal(await allows(store, pause), true);
    },
  },
  {
    name: "cooldown: ends the pause of a call that is taken back, and no other pause",
    async run({ store, advance }) {
      const { nowMs } = await ask(store, "judge", charge("b", pause));
      await advance(10);
      await store.apply([{ mode: "undo", steps: [charge("b", pause)], atMs: nowMs - 5 }]);
      assert.equal(await usedOf(store, "b", pause), 1);
      await store.apply([{ mode: "undo", steps: [charge("b", pause)], atMs: nowMs }]);
      assert.equal(await allows(store, pause), true);
    },
  },
  {
    name: "cooldown: is read by another store on the same data",
    async run({ store, advance, another }) {
      await allows(store, pause);
      const other = another?.() ?? store;
      await advance(99);
      assert.equal(first(await ask(other, "judge", charge("b", pause))).retryAfterMs, 1);
      await other.close();
    },
  },
  {
    name: "cooldown: blocks for at most one pause after the clock was set back",
    async run({ store, advance }) {
      await allows(store, pause);
      await advance(-5_000);
      assert.equal(first(await ask(store, "judge", charge("b", pause))).retryAfterMs, 100);
      await advance(100);
      assert.equal(await allows(store, pause), true);
    },
  },
];

// What a shared store must know of its instances: how many live, their ranks, and whether it has lost what it held.

import assert from "node:assert/strict";
import { StoreError } from "../store/error.ts";
import { LONGEST_LIFE_MS } from "../store/shared-store.ts";
import { large } from "./limits.ts";
import { onShared } from "./shared-cases.ts";
import { charge } from "./steps.ts";
import { has, type StoreCase } from "./trial.ts";

const DAY_MS = 86_400_000;

export const beatCases: readonly StoreCase[] = [
  onShared("ranks live instances by their names", async (t) => {
    const place = async (instance: string) => {
      const { instances, rank } = await t.beat(instance);
      return [instances, rank];
    };
    assert.deepEqual(await place("b"), [1, 0]);
    assert.deepEqual(await place("a"), [2, 0]);
    assert.deepEqual(await place("B.1"), [3, 0]);
    assert.deepEqual(await place("b"), [3, 2]);
    assert.deepEqual(await place("a"), [3, 1]);
  }),
  onShared("stops counting an instance that has left or whose time has passed", async (t) => {
    for (const instance of ["a", "b", "c"]) await t.beat(instance);
    const left = await t.beat("a", { livesMs: 0 });
    assert.equal(left.instances, 2);
    await t.advance(999);
    has(await t.beat("c"), { instances: 2, rank: 1 });
    await t.advance(1);
    has(await t.beat("c"), { instances: 1, rank: 0 });
    assert.equal((await t.beat("c", { livesMs: 0 })).instances, 0);
  }),
  onShared("counts an instance of a clock that was ahead for its longest life from then on", async (t) => {
    await t.advance(DAY_MS);
    await t.beat("ahead");
    await t.advance(-DAY_MS);
    assert.equal((await t.beat("b")).instances, 2);
    await t.advance(LONGEST_LIFE_MS);
    assert.equal((await t.beat("b")).instances, 1);
  }),
  onShared("counts each group separately, whatever its name", async (t) => {
    const groups = ["a", "a:b", "a_b", "axb", "a.b", "A", "a-b", "a0"];
    for (const group of groups) {
      for (const instance of ["b:c", "c", "b"]) await t.beat(instance, { group });
    }
    for (const group of groups) {
      const { instances, rank } = await t.beat("c", { group });
      assert.deepEqual([instances, rank], [3, 2], group);
    }
  }),
  onShared("returns one incarnation to all instances, also when the first ones come together", async (t) => {
    const beats = await Promise.all(["a", "b", "c", "d"].map((instance) => t.beat(instance)));
    await t.advance(100 * 86_400_000);
    beats.push(await t.beat("a", { group: "another" }));
    assert.equal(new Set(beats.map(({ incarnation }) => incarnation)).size, 1);
    assert.match(beats[0]?.incarnation ?? "", /^[\w-]{1,64}$/);
    assert.equal(beats.at(-1)?.nowMs, await t.nowMs());
  }),
  onShared("has lost everything when nothing is left of what was seen", async (t) => {
    const { lost } = await t.beat("a", { seen: ["b", "c"] });
    assert.equal(lost, "all");
    await t.judge(charge("c", large));
    assert.equal((await t.beat("b", { seen: ["c"] })).lost, "all");
  }),
  onShared("may have lost some when something is left of what was seen", async (t) => {
    await t.judge(charge("c", large));
    assert.equal((await t.beat("a", { seen: ["b", "c"] })).lost, "some");
    assert.equal((await t.beat("b", { seen: ["b"] })).lost, "some");
  }),
  onShared("has lost everything when nothing was seen and it holds nothing", async (t) => {
    assert.equal((await t.beat("a")).lost, "all");
  }),
  onShared("may have lost some when nothing was seen and it holds something", async (t) => {
    await t.judge(charge("c", large));
    assert.equal((await t.beat("a")).lost, "some");
  }),
  onShared("refuses batches and beats once it is closed", async (t) => {
    await t.store.close();
    const isClosed = (error: unknown) => StoreError.isInstance(error) && error.code === "closed";
    await assert.rejects(t.book({}), isClosed);
    await assert.rejects(t.beat("a"), isClosed);
  }),
];

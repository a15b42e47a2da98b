// What a shared store must do with what was admitted while it was away, and with use that it has lost.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { forEachAlgorithm, large, tokenBucket, UNIT_MS, WINDOW_MS } from "./limits.ts";
import { epoch, onShared, toWindow } from "./shared-cases.ts";
import { charge } from "./steps.ts";
import type { StoreCase, Trial } from "./trial.ts";

const sliding = { algorithm: "sliding-window", quota: 99, windowMs: WINDOW_MS } as const;

/** Books three units that were admitted at an earlier instant. */
async function bookAfterwards(t: Trial, bucket: string, limit: LimitSpec, atMs: number): Promise<void> {
  await t.send({ mode: "force", steps: [charge(bucket, limit, 3)], atMs });
}

/** Restores use that was lost: all of it, or perhaps only some. */
async function raise(
  t: Trial,
  bucket: string,
  units: number,
  atMs: number,
  limit = large,
  lost: "all" | "some" = "all",
) {
  await t.force({ bucket, limit, event: { type: "raise", id: "m1", units, atMs, keptMs: WINDOW_MS, lost } });
}

export const outageCases: readonly StoreCase[] = [
  ...forEachAlgorithm("books late what a charge would have booked then, to the millisecond", async (t, limit) => {
    await toWindow(t);
    await t.advance(10);
    const { nowMs: atMs, steps } = await t.ask("judge", charge("then", limit, 3));
    const endMs = steps[0]?.resetAfterMs ?? 0;
    for (const laterMs of [1, 300, endMs - 1, endMs]) {
      await t.advance(atMs + laterMs - (await t.nowMs()));
      await bookAfterwards(t, `after-${laterMs}`, limit, atMs);
      const { steps } = await t.ask("peek", charge("then", limit), charge(`after-${laterMs}`, limit));
      assert.deepEqual(steps[1], steps[0], `${laterMs} ms after it`);
    }
  }),
  onShared("books each step of a late request at its own instant, where it has one", async (t) => {
    const { nowMs: atMs } = await t.ask("judge", charge("then", tokenBucket, 3));
    await t.advance(3 * UNIT_MS);
    const late = charge("late", tokenBucket, 3);
    const own = { ...charge("own", tokenBucket, 3), atMs: atMs + 2 * UNIT_MS };
    const ahead = { ...charge("ahead", tokenBucket, 3), atMs: atMs + 9 * UNIT_MS };
    await t.send({ mode: "force", steps: [late, own, ahead], atMs });
    const [one, two, three] = ["late", "own", "ahead"].map((bucket) => t.usedOf(bucket, tokenBucket));
    assert.deepEqual([await one, await two, await three], [0, 2, 3]);
  }),
  onShared("books late into the window of the charge, also when the bucket was used since", async (t) => {
    const atMs = (await toWindow(t)) + WINDOW_MS - 1;
    await t.advance(WINDOW_MS);
    for (const limit of [epoch, sliding]) {
      const bucket = limit.algorithm;
      await t.judge(charge(bucket, limit, 2));
      await bookAfterwards(t, bucket, limit, atMs);
    }
    assert.deepEqual([await t.usedOf(epoch.algorithm, epoch), await t.usedOf(sliding.algorithm, sliding)], [2, 5]);
    await t.advance(WINDOW_MS - 1);
    const left = await t.usedOf(sliding.algorithm, sliding);
    await bookAfterwards(t, sliding.algorithm, sliding, atMs);
    assert.equal(await t.usedOf(sliding.algorithm, sliding), left);
  }),
  onShared("books late into a window that was longer under an earlier policy", async (t) => {
    const earlier = { algorithm: "fixed-window", align: "first-use", quota: 99, windowMs: 10 * WINDOW_MS } as const;
    const later: readonly LimitSpec[] = [
      epoch,
      { ...earlier, windowMs: WINDOW_MS },
      { algorithm: "budget", quota: 99, ttlMs: WINDOW_MS, ttlFrom: "first" },
    ];
    const begunMs = await toWindow(t);
    for (const [i] of later.entries()) await t.judge(charge(`${i}`, earlier, 2));
    await t.advance(300);
    for (const [i, limit] of later.entries()) {
      await bookAfterwards(t, `${i}`, limit, begunMs + 200);
      assert.equal(await t.usedOf(`${i}`, limit), 5);
    }
  }),
  onShared("restores the highest view of an incarnation once", async (t) => {
    const atMs = await t.nowMs();
    let highest = 0;
    for (const units of [3, 3, 2, 5, 4]) {
      await raise(t, "b", units, atMs);
      highest = Math.max(highest, units);
      assert.equal(await t.usedOf("b", large), highest);
    }
  }),
  onShared("adds restored use to what was spent since when everything was lost", async (t) => {
    const { nowMs: atMs } = await t.ask("judge", charge("b", large, 2));
    await raise(t, "b", 3, atMs);
    assert.equal(await t.usedOf("b", large), 5);
    await t.judge(charge("b", large, 1));
    await raise(t, "b", 4, atMs);
    assert.equal(await t.usedOf("b", large), 7);
  }),
  onShared("keeps the higher of its own and the restored use when some may be left", async (t) => {
    const { nowMs: atMs } = await t.ask("judge", charge("less", large, 2), charge("more", large, 4));
    for (const bucket of ["less", "more"]) await raise(t, bucket, 3, atMs, large, "some");
    assert.deepEqual([await t.usedOf("less", large), await t.usedOf("more", large)], [3, 4]);
    for (const bucket of ["less", "more"]) await raise(t, bucket, 5, atMs, large, "some");
    assert.deepEqual([await t.usedOf("less", large), await t.usedOf("more", large)], [5, 5]);
  }),
  onShared("drops restored use of a window that has ended", async (t) => {
    const atMs = await toWindow(t);
    await t.advance(WINDOW_MS);
    await t.judge(charge("used", epoch, 2));
    for (const bucket of ["used", "unused"]) await raise(t, bucket, 3, atMs, epoch);
    await raise(t, "rate", 1, atMs, tokenBucket);
    assert.deepEqual([await t.usedOf("used", epoch), await t.usedOf("unused", epoch)], [2, 0]);
    assert.equal(await t.usedOf("rate", tokenBucket), 0);
  }),
];

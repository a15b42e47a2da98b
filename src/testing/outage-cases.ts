// What a shared store must do with what was admitted while it was away, and with use that it has lost.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { SharedStore } from "../store/shared-store.ts";
import { ask, charge, forEachAlgorithm, type StoreCase, tokenBucket, usedOf, WINDOW_MS } from "./cases.ts";
import { epoch, large, nowOf, onShared, runShared, toWindow } from "./shared-cases.ts";

const sliding = { algorithm: "sliding-window", quota: 99, windowMs: WINDOW_MS } as const;

/** Books units that were admitted at an earlier instant. */
async function bookAfterwards(store: SharedStore, bucket: string, limit: LimitSpec, cost: number, atMs: number) {
  await store.apply([{ mode: "force", steps: [charge(bucket, limit, cost)], atMs }]);
}

interface RaiseOf {
  readonly id?: string;
  readonly atMs: number;
  readonly lost?: "all" | "some";
  readonly limit?: LimitSpec;
}

/** Restores use that was lost. */
async function raise(
  store: SharedStore,
  bucket: string,
  units: number,
  { id = "m1", atMs, lost = "all", limit = large }: RaiseOf,
): Promise<void> {
  const event = { type: "raise", id, units, atMs, keptMs: WINDOW_MS, lost } as const;
  await ask(store, "force", { bucket, limit, event });
}

export const outageCases: readonly StoreCase[] = [
  ...forEachAlgorithm("books late what a charge would have booked then, to the millisecond", (fixture, limit) =>
    runShared(fixture, async (shared) => {
      const { store, advance } = shared;
      await toWindow(shared);
      await advance(10);
      const { nowMs: atMs, steps } = await ask(store, "judge", charge("then", limit, 3));
      const endMs = steps[0]?.resetAfterMs ?? 0;
      for (const laterMs of [1, 300, endMs - 1, endMs]) {
        await advance(atMs + laterMs - (await nowOf(store)));
        await bookAfterwards(store, `after-${laterMs}`, limit, 3, atMs);
        const { steps } = await ask(store, "peek", charge("then", limit), charge(`after-${laterMs}`, limit));
        assert.deepEqual(steps[1], steps[0], `${laterMs} ms after it`);
      }
    }),
  ),

  onShared("books late into the window of the charge, also when the bucket was used since", async (shared) => {
    const { store, advance } = shared;
    const atMs = (await toWindow(shared)) + WINDOW_MS - 1;
    await advance(WINDOW_MS);
    for (const limit of [epoch, sliding]) {
      const bucket = limit.algorithm;
      await ask(store, "judge", charge(bucket, limit, 2));
      await bookAfterwards(store, bucket, limit, 3, atMs);
    }
    assert.deepEqual(
      [await usedOf(store, epoch.algorithm, epoch), await usedOf(store, sliding.algorithm, sliding)],
      [2, 5],
    );
    await advance(WINDOW_MS - 1);
    const left = await usedOf(store, sliding.algorithm, sliding);
    await bookAfterwards(store, sliding.algorithm, sliding, 3, atMs);
    assert.equal(await usedOf(store, sliding.algorithm, sliding), left);
  }),

  onShared("restores the highest view of an incarnation once", async ({ store }) => {
    const atMs = await nowOf(store);
    const used: number[] = [];
    for (const units of [3, 3, 2, 5, 4]) {
      await raise(store, "b", units, { atMs });
      used.push(await usedOf(store, "b", large));
    }
    assert.deepEqual(used, [3, 3, 3, 5, 5]);
  }),

  onShared("adds restored use to what was spent since when everything was lost", async ({ store }) => {
    const { nowMs: atMs } = await ask(store, "judge", charge("b", large, 2));
    await raise(store, "b", 3, { atMs });
    assert.equal(await usedOf(store, "b", large), 5);
    await ask(store, "judge", charge("b", large, 1));
    await raise(store, "b", 4, { atMs });
    assert.equal(await usedOf(store, "b", large), 7);
  }),

  onShared("keeps the higher of its own and the restored use when some may be left", async ({ store }) => {
    const { nowMs: atMs } = await ask(store, "judge", charge("less", large, 2), charge("more", large, 4));
    for (const bucket of ["less", "more"]) await raise(store, bucket, 3, { atMs, lost: "some" });
    assert.deepEqual([await usedOf(store, "less", large), await usedOf(store, "more", large)], [3, 4]);
    for (const bucket of ["less", "more"]) await raise(store, bucket, 5, { atMs, lost: "some" });
    assert.deepEqual([await usedOf(store, "less", large), await usedOf(store, "more", large)], [5, 5]);
  }),

  onShared("drops restored use of a window that has ended", async (shared) => {
    const { store, advance } = shared;
    const atMs = await toWindow(shared);
    await advance(WINDOW_MS);
    await ask(store, "judge", charge("used", epoch, 2));
    for (const bucket of ["used", "unused"]) await raise(store, bucket, 3, { atMs, limit: epoch });
    await raise(store, "rate", 1, { atMs, limit: tokenBucket });
    assert.deepEqual(
      [
        await usedOf(store, "used", epoch),
        await usedOf(store, "unused", epoch),
        await usedOf(store, "rate", tokenBucket),
      ],
      [2, 0, 0],
    );
  }),
];

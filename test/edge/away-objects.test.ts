// What an isolate decides while an object does not answer, and what it takes back then: units that it borrowed and no call used.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StoreError, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { AwayObjects } from "../../src/edge/away.ts";

const step = (event: StoreRequest["steps"][number]["event"]) => ({
  bucket: "rate:1:{s1}:a",
  limit: { algorithm: "budget", quota: 100, ttlMs: 3_600_000, ttlFrom: "first" } as const,
  event,
});
const charge = (cost: number): StoreRequest => ({ mode: "judge", steps: [step({ type: "charge", cost })] });
const read: StoreRequest = { mode: "peek", steps: [step({ type: "read" })] };

describe("a call whose object is away", () => {
  it("lets the rest of its isolate go on", async () => {
    const away = new AwayObjects(2);
    const ask = async () => {
      throw new StoreError("unavailable", "away", { transient: true });
    };
    let isOver = false;
    setImmediate(() => {
      isOver = true;
    });
    let decided = 0;
    while (!isOver && decided < 5_000) {
      await away.decide("rate:1:{s1}", [charge(1)], { ask, settle: ask, runLater: () => {} });
      decided++;
    }
    assert.ok(isOver, `${decided} calls were decided before anything else had its turn`);
  });
});

describe("an undo", () => {
  it("is not booked as a charge when the object does not answer it", async () => {
    for (const isFirst of [false, true]) {
      const object = memoryStore();
      const away = new AwayObjects(2);
      let isAway = false;
      const ask = async (_: string, requests: readonly StoreRequest[]) => {
        if (isAway) throw new StoreError("unavailable", "away", { transient: true });
        return object.apply(requests);
      };
      const decide = (request: StoreRequest) =>
        away.decide("rate:1:{s1}", [request], { ask, settle: ask, runLater: () => {} });
      const [booked] = await decide(charge(5));
      assert.ok(!StoreError.isInstance(booked));
      isAway = true;
      if (!isFirst) await decide(charge(1));
      const [undone] = await decide({ ...charge(2), mode: "undo", atMs: booked?.nowMs ?? 0 });
      assert.ok(StoreError.isInstance(undone) && undone.transient);
      isAway = false;
      let found = (await decide(read))[0];
      for (let tries = 0; StoreError.isInstance(found) && tries < 100; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        found = (await decide(read))[0];
      }
      assert.ok(!StoreError.isInstance(found));
      // A lost undo leaves units used.
      assert.equal(found?.steps[0]?.used, isFirst ? 5 : 6);
    }
  });
});

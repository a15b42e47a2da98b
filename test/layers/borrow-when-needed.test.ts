// The borrowing layer is loaded with the first request of a limit that borrows.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { monotonicClock } from "../../src/clock.ts";
import { BorrowWhenNeeded } from "../../src/layers/borrow-when-needed.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import type { StoreReply, StoreRequest } from "../../src/store/api.ts";

const LIMIT = { algorithm: "fixed-window", quota: 1_000_000, windowMs: 60_000, align: "epoch" } as const;

function layerOn(...load: [] | [() => Promise<never>]) {
  const sent: StoreRequest[] = [];
  const store = memoryStore();
  const ownStore = {
    apply: async (requests: readonly StoreRequest[]) => {
      sent.push(...requests);
      return store.apply(requests);
    },
    close: async () => {},
  };
  const layer = new BorrowWhenNeeded([ownStore, store.apply.bind(store), monotonicClock], ...load);
  const ask = async (hints?: { readonly borrow: true }) => {
    const step = {
      bucket: "b",
      limit: LIMIT,
      event: { type: "charge", cost: 1 },
      ...(hints ? { hints } : {}),
    } as const;
    const [reply] = await layer.apply([{ mode: "judge", steps: [step] }]);
    return (reply as StoreReply).allowed;
  };
  return { sent, layer, ask };
}

describe("a layer that borrows when it is needed", () => {
  it("passes on requests of limits that do not borrow", async () => {
    const { sent, layer, ask } = layerOn();
    for (let i = 0; i < 50; i++) assert.equal(await ask(), true);
    assert.equal(sent.length, 50);
    assert.equal(layer.owes, false);
    await layer.close();
  });

  it("borrows units for those that do, and gives them back", async () => {
    const { sent, layer, ask } = layerOn();
    for (let i = 0; i < 200; i++) assert.equal(await ask({ borrow: true }), true);
    assert.ok(sent.length < 100, `${sent.length} requests`);
    assert.equal(layer.owes, true);
    await layer.close();
    assert.equal(layer.owes, false);
  });

  it("borrows nothing when it is closed before the layer is loaded", async () => {
    const { sent, layer, ask } = layerOn();
    const asked = ask({ borrow: true });
    await layer.close();
    assert.equal(await asked, true);
    assert.equal(sent.length, 1);
    assert.equal(layer.owes, false);
  });

  it("leaves each call to the store when the layer cannot be loaded", async () => {
    const { sent, layer, ask } = layerOn(() => Promise.reject(new Error("Cannot find module borrow.js")));
    for (let i = 0; i < 50; i++) assert.equal(await ask({ borrow: true }), true);
    assert.equal(sent.length, 50);
    await layer.close();
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isShared, type SharedStore, type Store, StoreError, type StoreRequest } from "tollgate/store";
import { checkedLayer } from "../../src/layers/checked.ts";
import { networkLayers } from "../../src/layers/network.ts";

describe("the layer that checks what a store replies", () => {
  const plain: Store = { apply: async () => [], close: async () => {} };

  it("keeps the store's deadline, and passes on the time left and the terms", async () => {
    const given: unknown[] = [];
    const layer = checkedLayer({
      deadlineMs: 100,
      layers: networkLayers,
      async apply(_requests, leftMs) {
        given.push(leftMs);
        return [];
      },
      async book(_requests, terms) {
        given.push(terms);
        return [];
      },
      beat: () => assert.fail("nothing beats"),
      async close() {
        given.push("closed");
      },
    } as SharedStore);
    assert.equal(layer.deadlineMs, 100);
    await layer.apply([], 40);
    assert.ok(isShared(layer));
    await layer.book([], { notAfterMs: 7 });
    await layer.close();
    assert.deepEqual(given, [40, { notAfterMs: 7 }, "closed"]);
  });

  it("has the same optional members as the store, except answer", () => {
    const always = ["apply", "checkPolicy", "close", "lastFault"];
    assert.deepEqual(Object.keys(checkedLayer(plain)).sort(), always);
    const whole = {
      ...plain,
      layers: networkLayers,
      ...{ batching: { size: 2, underWay: 1 }, deadlineMs: 5, clock: { nowMs: () => 0 } },
      ...{ answer: () => assert.fail(), setup: async () => [], book: async () => [], beat: () => assert.fail() },
    };
    const members = ["apply", "batching", "beat", "book", "checkPolicy", "clock", "close"];
    assert.deepEqual(Object.keys(checkedLayer(whole)).sort(), [
      ...members,
      "deadlineMs",
      "lastFault",
      "layers",
      "setup",
    ]);
  });

  it("turns replies and beats that are not whole numbers into errors", async () => {
    const layer = checkedLayer({
      ...plain,
      layers: networkLayers,
      apply: async () => [{ allowed: true, nowMs: Number.NaN, steps: [] }],
      book: async () => [{ allowed: true, nowMs: 0.5, steps: [] }],
      beat: async () => ({ incarnation: "a", lost: "all", instances: 0, rank: 0, nowMs: 0 }),
    } as SharedStore);
    assert.ok(isShared(layer));
    const asked: StoreRequest = { mode: "peek", steps: [] };
    const replies = [...(await layer.apply([asked])), ...(await layer.book([asked], {}))];
    assert.deepEqual(
      replies.map((reply) => StoreError.isInstance(reply) && reply.code),
      ["invalid-reply", "invalid-reply"],
    );
    await assert.rejects(layer.beat({ group: "g", instance: "i", livesMs: 1, seen: [] }), { code: "invalid-reply" });
  });
});

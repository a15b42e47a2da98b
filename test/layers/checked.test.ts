import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkedLayer } from "../../src/layers/checked.ts";

describe("the layer that checks what a store replies", () => {
  it("keeps the store's deadline, and passes on what is left of it and how long closing may take", async () => {
    const told: unknown[] = [];
    const layer = checkedLayer({
      deadlineMs: 100,
      async apply(_requests, terms, leftMs) {
        told.push(terms, leftMs);
        return [];
      },
      async close(withinMs) {
        told.push(withinMs);
      },
    });
    assert.equal(layer.deadlineMs, 100);
    await layer.apply([], { notAfterMs: 7 }, 40);
    await layer.close(5_000);
    assert.deepEqual(told, [{ notAfterMs: 7 }, 40, 5_000]);
  });
});

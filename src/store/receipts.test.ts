import assert from "node:assert/strict";
import { it } from "node:test";
import { StoreError } from "./error.ts";
import { bookBatch } from "./receipts.ts";

for (const nowMs of [2n, Number.NaN, 2.5, "2"]) {
  it(`books nothing at a time that is ${typeof nowMs} ${nowMs}, whatever the deadline`, () => {
    for (const terms of [{}, { notAfterMs: 1 }, { incarnation: "a" }]) {
      assert.throws(
        () => bookBatch([], () => undefined, nowMs as never, terms),
        (error) => StoreError.isInstance(error) && error.code === "invalid-reply" && error.message.includes("time"),
      );
    }
  });
}

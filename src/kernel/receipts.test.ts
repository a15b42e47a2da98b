import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ownState } from "./bucket/contents.ts";
import { receiptsEndMs, receiptsKey } from "./receipts.ts";
import type { MarkState, ReceiptsState } from "./state.ts";
import { decodeState, encodeState } from "./encoding/state.ts";

const receipts: ReceiptsState = {
  kind: "receipts",
  expiresAtMs: 5_000,
  from: 3,
  receipts: [
    { number: 3, part: 0, atMs: 1_000, booked: "011", found: "", closed: false },
    { number: 4, part: 1, atMs: 1_001, booked: "", found: "", closed: true },
    { number: 5, part: 0, atMs: 1_002, booked: "1", found: "012", closed: false },
  ],
};
const mark: MarkState = { kind: "mark", expiresAtMs: 9_000, incarnation: "a-1", lost: "some" };

describe("the receipts of a store", () => {
  it("is a text, and reads as it was", () => {
    assert.equal(encodeState(receipts), "r1 3 3.0,1000,011,o;4.1,1001,,c;5.0,1002,1,o,012");
    assert.equal(encodeState(mark), "m1 a-1 some");
    for (const state of [receipts, mark, { ...mark, lost: "all" } as const]) {
      assert.deepEqual(decodeState(encodeState(state), state.expiresAtMs), state);
    }
  });

  it("is damaged if no version could have written it", () => {
    const texts = [
      "r1 3",
      "r1 3 ",
      "r1 4 3.0,1000,011,o;4.1,1001,,c",
      "r1 3 3.0,4503599627370497,011,o",
      "r1 x ",
      "r1 99999999999999999 ",
      "r1 3 3.0,1,2,o",
      "r1 3 3.0,1,1,o,",
      "r1 3 3.0,1,1,o,3",
      "r1 3 3.0,1,1,o,0,1",
      "r1 3 3.0,99999999999999999,1,o",
      "m1 a",
      "m1 a b",
      "m2 a all",
    ];
    for (const text of texts) assert.equal(decodeState(text, 1), null, text);
  });

  it("is in no bucket", () => {
    assert.equal(receiptsKey("i1"), "tollgate:1:$receipts:i1");
    const limit = { algorithm: "budget", quota: 1, ttlMs: 1, ttlFrom: "last" } as const;
    for (const state of [receipts, mark]) {
      assert.equal(ownState(limit, state, 0), undefined);
    }
  });

  it("ends at a full hour, a day after the last batch at least", () => {
    const hourMs = 3_600_000;
    for (const nowMs of [0, 1, hourMs - 1]) assert.equal(receiptsEndMs(nowMs), 25 * hourMs);
    assert.equal(receiptsEndMs(hourMs), 26 * hourMs);
  });
});

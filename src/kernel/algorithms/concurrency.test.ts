import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { concurrency } from "./concurrency.ts";
import type { ConcurrencyLimit } from "./rules/concurrency.ts";

const LIMIT: ConcurrencyLimit = { algorithm: "concurrency", quota: 5 };

describe("concurrency", () => {
  it("has units that come back", () => {
    assert.equal(concurrency.kind, "concurrency");
    assert.equal(concurrency.refills(LIMIT), true);
    assert.equal(concurrency.capacity(LIMIT), 5);
  });

  it("spends nothing: what it books has ended at once", () => {
    const state = concurrency.book(LIMIT, undefined, 3, 1000);
    assert.deepEqual(state, { kind: "concurrency", expiresAtMs: 1000 });
    assert.equal(concurrency.used(LIMIT, state, 1000), 0);
    assert.equal(concurrency.used(LIMIT, undefined, 1000), 0);
    assert.equal(concurrency.freeAfterMs(LIMIT, state, 5, 1000), 0);
  });

  it("has no text of its own", () => {
    assert.equal(concurrency.encode({ kind: "concurrency", expiresAtMs: 1000 }), "");
    for (const text of ["", "n1", "3"]) assert.equal(concurrency.decode(text, 1000), null);
  });
});

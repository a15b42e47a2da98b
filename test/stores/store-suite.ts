// The store contract's cases under this repository's test runner.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isShared, type SharedStore, type Store } from "tollgate/store";
import { type StoreCase, type StoreFixture, sharedStoreCases, storeCases } from "tollgate/testing";

export { inPartition } from "./in-partition.ts";

/** What a case gives a store for one answer: what it looks for is no deadline, and tests share the machine. */
export const CASE_MS = 10_000;

/** Runs every case of the contract, each on a store of its own. */
export function testStore(name: string, open: () => StoreFixture | Promise<StoreFixture>): void {
  describe(`${name} keeps the store contract`, () => runCases(storeCases, open));
}

/** Runs every case of both contracts, each on a store of its own. */
export function testSharedStore(name: string, open: () => StoreFixture | Promise<StoreFixture>): void {
  testStore(name, open);
  describe(`${name} keeps the contract of shared stores`, () => runCases(sharedStoreCases, open));
}

function runCases(cases: readonly StoreCase[], open: () => StoreFixture | Promise<StoreFixture>): void {
  for (const { name: promise, run } of cases) {
    it(promise, async () => {
      const fixture = await open();
      try {
        await run(fixture);
      } finally {
        await fixture.store.close();
      }
    });
  }
}

/** A store that has to be shared. */
export function asShared(store: Store): SharedStore {
  assert.ok(isShared(store), "the store is not a SharedStore");
  return store;
}

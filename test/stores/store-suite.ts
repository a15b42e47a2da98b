// The store contract's cases under this repository's test runner.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isShared, type SharedStore, type Store } from "tollgate/store";
import { type StoreCase, type StoreFixture, sharedStoreCases, storeCases } from "tollgate/testing";
import { wideRunOnly } from "../length.ts";

export { inPartition } from "./in-partition.ts";

/** What a case gives a store for one answer: what it looks for is no deadline, and tests share the machine. */
export const CASE_MS = 10_000;

/**
 * Where a store keeps each promise of the contract: on all kinds of buckets, or on one of them, in turn, where the same store
 * keeps it on all through another client. In wide runs it is on all.
 */
export type Extent = "all kinds" | "one kind each";

type Open = () => StoreFixture | Promise<StoreFixture>;

/** Runs the cases of the contract, each on a store of its own. */
export function testStore(name: string, open: Open, extent: Extent = "all kinds"): void {
  const played = extent === "all kinds" ? new Set(storeCases) : onceEach(storeCases);
  describe(`${name} keeps the store contract`, () => runCases(storeCases, open, played));
}

/** Runs the cases of both contracts, each on a store of its own. */
export function testSharedStore(name: string, open: Open, extent: Extent = "all kinds"): void {
  testStore(name, open, extent);
  describe(`${name} keeps the contract of shared stores`, () => runCases(sharedStoreCases, open));
}

/** A thousand holds in a bucket take a store seconds, and mean nothing to a client. */
const LARGE = /a thousand holds|the earliest holds/;

/** One case for each promise. The names of cases that differ in the kind of bucket begin with it. */
function onceEach(cases: readonly StoreCase[]): ReadonlySet<StoreCase> {
  const small = cases.filter(({ name }) => !LARGE.test(name));
  const kinds = Map.groupBy(small, ({ name }) => name.replace(/^[\w -]+: /, ""));
  return new Set([...kinds.values()].map((same, i) => same[i % same.length] as StoreCase));
}

function runCases(cases: readonly StoreCase[], open: Open, played: ReadonlySet<StoreCase> = new Set(cases)): void {
  for (const each of cases) {
    const { name: promise, run } = each;
    it(promise, played.has(each) ? {} : wideRunOnly, async () => {
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

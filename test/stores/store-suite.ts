// The store contract's cases under this repository's test runner.

import { describe, it } from "node:test";
import { type StoreFixture, storeCases } from "tollgate/testing";

/** Runs every case, each on a store of its own. */
export function testStore(name: string, open: () => StoreFixture | Promise<StoreFixture>): void {
  describe(`${name} keeps the store contract`, () => {
    for (const { name: promise, run } of storeCases) {
      it(promise, async () => {
        const fixture = await open();
        try {
          await run(fixture);
        } finally {
          await fixture.store.close();
        }
      });
    }
  });
}

// The store contract's cases under this repository's test runner.

import { describe, it } from "node:test";
import type { Store, StoreRequest } from "tollgate/store";
import { type StoreFixture, storeCases } from "tollgate/testing";

/** What a case gives a store for one answer: what it looks for is no deadline, and tests share the machine. */
export const CASE_MS = 10_000;

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

/** A store whose buckets are all of one partition, as those are that a policy's partition is in. */
export function inPartition(store: Store, partition: string): Store {
  const within = (key: string) => `rate:1:{${partition}}:${key}`;
  const renamed = (request: StoreRequest): StoreRequest => ({
    ...request,
    steps: request.steps.map((step) => ({ ...step, bucket: within(step.bucket) })),
    ...(request.once === undefined ? {} : { once: { ...request.once, key: within(request.once.key) } }),
  });
  const { beat } = store;
  return {
    apply: (requests, terms) => store.apply(requests.map(renamed), terms),
    ...(beat === undefined ? {} : { beat: (member) => beat.call(store, { ...member, seen: member.seen.map(within) }) }),
    close: () => store.close(),
  };
}

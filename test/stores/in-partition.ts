// Puts the buckets of a store's tests in one partition.

import type { Store, StoreRequest } from "tollgate/store";

/** A store whose buckets are all of one partition, as those are that a policy's partition is in. */
export function inPartition(store: Store, partition: string): Store {
  const within = (key: string) => `rate:1:{${partition}}:${key}`;
  const renamed = (request: StoreRequest): StoreRequest => ({
    ...request,
    steps: request.steps.map((step) => ({ ...step, bucket: within(step.bucket) })),
    ...(request.once === undefined ? {} : { once: { ...request.once, key: within(request.once.key) } }),
  });
  return {
    ...(store.deadlineMs === undefined ? {} : { deadlineMs: store.deadlineMs }),
    apply: (requests, leftMs) => store.apply(requests.map(renamed), leftMs),
    close: () => store.close(),
  };
}

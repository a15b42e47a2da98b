// The limits that the cases of the store contract are written with.

import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { storeCase, type StoreCase, type Trial } from "./trial.ts";

/** How long a window lasts, and the ttl of a quota. */
export const WINDOW_MS = 1_000;
/** The token bucket of the cases refills a unit in so many ms: it is full after `WINDOW_MS`. */
export const UNIT_MS = 200;
// Written out, not imported: they are promises, and a case fails when the kernel changes one.
/** How long a hold that expired is remembered, and an answer. */
export const REMEMBERED_MS = 600_000;
/** Most holds in one bucket. */
export const MAX_ENTRIES = 1_000;
/** Most calls that wait in one bucket's queue. */
export const MAX_QUEUED = 256;
/** Most open batches of one instance. */
export const MAX_RECEIPTS = 16;

export const quota = (units: number): LimitSpec => ({
  algorithm: "budget",
  quota: units,
  ttlMs: WINDOW_MS,
  ttlFrom: "last",
});
export const large = quota(99);
export const tokenBucket = {
  algorithm: "token-bucket",
  burst: 5,
  levelPerUnit: UNIT_MS,
  levelPerMs: 1,
} as const satisfies LimitSpec;
export const slots = { algorithm: "concurrency", quota: 5 } as const satisfies LimitSpec;
export const elapsed = { algorithm: "elapsed", quota: 50, ttlMs: 100 } as const satisfies LimitSpec;
export const streak = { algorithm: "streak", quota: 2, ttlMs: 100 } as const satisfies LimitSpec;
export const window: LimitSpec = { algorithm: "fixed-window", quota: 2, windowMs: WINDOW_MS, align: "first-use" };

/** The limits whose units come back all at once or by sub-windows, in each of their variants; each has five units. */
const windows: readonly LimitSpec[] = [
  quota(5),
  { algorithm: "budget", quota: 5, ttlMs: WINDOW_MS, ttlFrom: "first" },
  { algorithm: "fixed-window", quota: 5, windowMs: WINDOW_MS, align: "epoch" },
  { algorithm: "fixed-window", quota: 5, windowMs: WINDOW_MS, align: "first-use" },
  { algorithm: "sliding-window", quota: 5, windowMs: WINDOW_MS },
];

function forEach(limits: readonly LimitSpec[]) {
  return (name: string, run: (trial: Trial, limit: LimitSpec) => Promise<void>): StoreCase[] =>
    limits.map((limit) => {
      const variant = "align" in limit ? ` ${limit.align}` : "ttlFrom" in limit ? ` from ${limit.ttlFrom}` : "";
      return storeCase(`${limit.algorithm}${variant}: ${name}`, (t) => run(t, limit));
    });
}

/** A case for each algorithm whose units stay spent until time passes. */
export const forEachWindow = forEach(windows);
/** A case for each algorithm that spends units. */
export const forEachAlgorithm = forEach([...windows, tokenBucket]);
/** A case for each algorithm that holds units: also for the one that does nothing else. */
export const forEachHolder = forEach([...windows, tokenBucket, slots]);

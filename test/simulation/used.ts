// What the store counts in a bucket.

import type { LimitSpec } from "../../src/kernel/algorithms/registry.ts";
import { decideBatch, type ReadState, StoreError } from "../../src/store/api.ts";
import type { Account, Oracle } from "./oracle.ts";

const LONGER_THAN_RUN_MS = 600_000;

/** Whether units of a bucket stay used as long as a run lasts. */
export function isLasting({ everySpec }: Account): boolean {
  return everySpec.every((spec) => {
    if (spec.algorithm === "budget") return spec.ttlMs >= LONGER_THAN_RUN_MS;
    return spec.algorithm === "fixed-window" && "windowMs" in spec && spec.windowMs >= LONGER_THAN_RUN_MS;
  });
}

/** What the store counts in a bucket; `null` for one that is damaged. */
export function usedIn(
  { run: { store } }: Oracle,
  { key, specs }: Account,
  read: (key: string) => ReadState = (each) => store.of(each).read(each),
  nowMs = store.of(key).nowMs(),
): number | null {
  const spec = specs[0] as LimitSpec;
  const request = { mode: "peek", steps: [{ bucket: key, limit: spec, event: { type: "read" } }] } as const;
  const [reply] = decideBatch([request], read, nowMs).replies;
  return reply === undefined || StoreError.isInstance(reply) ? null : (reply.steps[0]?.used ?? 0);
}

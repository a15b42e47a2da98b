// What the cases of the store contract are written with: limits, steps, and how to ask.

import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import type { Store } from "../store/store.ts";

/** A store to test, empty, and a way to let its time pass. */
export interface StoreFixture {
  readonly store: Store;
  /** Lets the store's time move by exactly so many ms; back when negative. */
  advance(ms: number): Promise<void> | void;
  /** Opens another store on the same data, at the same time. The case closes it. Absent: there can be none. */
  another?(): Store;
}

/** One promise of the store contract. */
export interface StoreCase {
  readonly name: string;
  run(fixture: StoreFixture): Promise<void>;
}

/** How long a window lasts, and the ttl of a quota. */
export const WINDOW_MS = 1_000;
/** How long a hold lives unless a case says otherwise. */
export const LEASE_MS = 100;
/** How long a hold that expired is remembered, and an answer. */
export const REMEMBERED_MS = 600_000;

export const quota = (units: number): LimitSpec => ({
  algorithm: "budget",
  quota: units,
  ttlMs: WINDOW_MS,
  ttlFrom: "last",
});
export const tokenBucket = {
  algorithm: "token-bucket",
  burst: 5,
  levelPerUnit: 200,
  levelPerMs: 1,
} as const satisfies LimitSpec;
export const slots = { algorithm: "concurrency", quota: 5 } as const satisfies LimitSpec;

/** One limit of each algorithm whose units come back all at once or by sub-windows, each with five units. */
const windows: readonly LimitSpec[] = [
  quota(5),
  { algorithm: "budget", quota: 5, ttlMs: WINDOW_MS, ttlFrom: "first" },
  { algorithm: "fixed-window", quota: 5, windowMs: WINDOW_MS, align: "epoch" },
  { algorithm: "fixed-window", quota: 5, windowMs: WINDOW_MS, align: "first-use" },
  { algorithm: "sliding-window", quota: 5, windowMs: WINDOW_MS },
];

/** A case for each of some limits. */
function forEach(limits: readonly LimitSpec[]) {
  return (name: string, run: (fixture: StoreFixture, limit: LimitSpec) => Promise<void>): StoreCase[] =>
    limits.map((limit) => {
      const variant = "align" in limit ? ` ${limit.align}` : "ttlFrom" in limit ? ` from ${limit.ttlFrom}` : "";
      return { name: `${limit.algorithm}${variant}: ${name}`, run: (fixture) => run(fixture, limit) };
    });
}

/** A case for each algorithm whose units stay spent until time passes. */
export const forEachWindow = forEach(windows);
/** A case for each algorithm that spends units. */
export const forEachAlgorithm = forEach([...windows, tokenBucket]);
/** A case for each algorithm that holds units: also for the one that does nothing else. */
export const forEachHolder = forEach([...windows, tokenBucket, slots]);

export const charge = (bucket: string, limit: LimitSpec, cost = 1): Step => ({
  bucket,
  limit,
  event: { type: "charge", cost },
});
export const read = (bucket: string, limit: LimitSpec): Step => ({ bucket, limit, event: { type: "read" } });
export const reset = (bucket: string, limit: LimitSpec): Step => ({ bucket, limit, event: { type: "reset" } });
export const hold = (
  bucket: string,
  limit: LimitSpec,
  id: string,
  units: number,
  { leaseMs = LEASE_MS, onExpiry = "charge" }: { leaseMs?: number; onExpiry?: "charge" | "refund" } = {},
): Step => ({ bucket, limit, event: { type: "hold", id, units, leaseMs, onExpiry } });
export const settle = (bucket: string, limit: LimitSpec, id: string, units: number): Step => ({
  bucket,
  limit,
  event: { type: "settle", id, units },
});
export const extend = (bucket: string, limit: LimitSpec, id: string, leaseMs: number): Step => ({
  bucket,
  limit,
  event: { type: "extend", id, leaseMs },
});

/** Sends one request and returns its reply. */
export async function ask(store: Store, mode: StoreRequest["mode"], ...steps: Step[]): Promise<StoreReply> {
  const [reply] = await store.apply([{ mode, steps }]);
  return answered(reply);
}

export function answered(reply: StoreReply | StoreError | undefined): StoreReply {
  if (reply === undefined || StoreError.isInstance(reply)) throw reply ?? new Error("the store gave no reply");
  return reply;
}

/** The reply for the only step, or the first. */
export function first(reply: StoreReply): StepReply {
  const [step] = reply.steps;
  if (step === undefined) throw new Error("the reply has no step");
  return step;
}

export async function usedOf(store: Store, bucket: string, limit: LimitSpec): Promise<number> {
  return first(await ask(store, "peek", read(bucket, limit))).used;
}

/** How a settle would find a hold. */
export async function findHold(store: Store, bucket: string, limit: LimitSpec, id: string): Promise<StepReply["hold"]> {
  return first(await ask(store, "peek", settle(bucket, limit, id, 0))).hold;
}

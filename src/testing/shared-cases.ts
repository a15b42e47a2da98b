// What the cases for shared stores are written with.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { isShared, type Member, type SharedStore } from "../store/shared-store.ts";
import { ask, charge, quota, type StoreCase, type StoreFixture, WINDOW_MS } from "./cases.ts";

/** A shared store, and a way to let its time pass. */
export interface Shared {
  readonly store: SharedStore;
  advance(ms: number): Promise<void> | void;
}

/** A case that needs a `SharedStore`. */
export function onShared(name: string, run: (shared: Shared) => Promise<void>): StoreCase {
  return { name: `shared: ${name}`, run: (fixture) => runShared(fixture, run) };
}

/** Runs a case on the fixture's store, which has to be a `SharedStore`. */
export async function runShared(fixture: StoreFixture, run: (shared: Shared) => Promise<void>): Promise<void> {
  const { store } = fixture;
  assert.ok(isShared(store), "the store has no book: it is not a SharedStore");
  await run({ store, advance: (ms) => fixture.advance(ms) });
}

export const large = quota(99);
export const epoch = { algorithm: "fixed-window", quota: 99, windowMs: WINDOW_MS, align: "epoch" } as const;

export const member = (instance: string, more: Partial<Member> = {}): Member => {
  return { group: "g", instance, livesMs: 1_000, seen: [], ...more };
};

export const booking = (bucket: string, cost = 1, limit: LimitSpec = large): StoreRequest => {
  return { mode: "judge", steps: [charge(bucket, limit, cost)] };
};

export async function nowOf(store: SharedStore): Promise<number> {
  return (await ask(store, "peek")).nowMs;
}

/** Lets time pass until a window of the epoch begins, and returns that instant. */
export async function toWindow({ store, advance }: Shared): Promise<number> {
  const waitMs = WINDOW_MS - ((await nowOf(store)) % WINDOW_MS);
  await advance(waitMs);
  return nowOf(store);
}

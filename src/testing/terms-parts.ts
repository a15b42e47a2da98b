// How cases of delivery terms are written: they pass where a store keeps none.

import assert from "node:assert/strict";
import {
  type LimitSpec,
  type Member,
  type Store,
  StoreError,
  type StoreErrorCode,
  type StoreRequest,
  type Terms,
  TermsError,
  type TermsRefusal,
} from "../store/store.ts";
import { ask, charge, quota, type StoreCase, type StoreFixture, usedOf, WINDOW_MS } from "./cases.ts";

/** A store that is shared, its time, and the incarnation of the instance that it has heard of. */
export interface Shared {
  readonly store: Store & Required<Pick<Store, "beat">>;
  advance(ms: number): Promise<void> | void;
}

export function onTerms(name: string, run: (shared: Shared) => Promise<void>): StoreCase {
  return { name: `terms: ${name}`, run: (fixture) => runOnTerms(fixture, run) };
}

export async function runOnTerms(fixture: StoreFixture, run: (shared: Shared) => Promise<void>): Promise<void> {
  const { store } = fixture;
  if (isShared(store)) return run({ store, advance: (ms) => fixture.advance(ms) });
  const terms: Required<Terms> = { notAfterMs: 0, incarnation: "a", ...receipt(1) };
  for (const [term, value] of Object.entries(terms)) {
    await refuses(store.apply([book("b")], { [term]: value }), "unsupported-request");
  }
  assert.equal(await usedOf(store, "b", large), 0);
}

function isShared(store: Store): store is Shared["store"] {
  return store.beat !== undefined;
}

export const large = quota(99);

export const epoch = { algorithm: "fixed-window", quota: 99, windowMs: WINDOW_MS, align: "epoch" } as const;

export const member = (instance: string, more: Partial<Member> = {}): Member => {
  return { group: "g", instance, livesMs: 1_000, seen: [], ...more };
};

export const receipt = (number: number, more: Partial<NonNullable<Terms["receipt"]>> = {}) => {
  return { receipt: { instance: "i1", number, from: 1, ...more } };
};

export const book = (bucket: string, cost = 1, limit: LimitSpec = large): StoreRequest => {
  return { mode: "judge", steps: [charge(bucket, limit, cost)] };
};

export async function refuses(promise: Promise<unknown>, code: StoreErrorCode | TermsRefusal): Promise<void> {
  await assert.rejects(
    promise,
    (error) => StoreError.isInstance(error) && (TermsError.refusalOf(error) ?? error.code) === code,
  );
}

export async function nowOf(store: Store): Promise<number> {
  return (await ask(store, "peek")).nowMs;
}

/** Lets time pass until a window of the epoch begins, and returns that instant. */
export async function toWindow({ store, advance }: Shared): Promise<number> {
  const waitMs = WINDOW_MS - ((await nowOf(store)) % WINDOW_MS);
  await advance(waitMs);
  return nowOf(store);
}

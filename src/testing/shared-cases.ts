// What the cases for shared stores are written with.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError, type StoreErrorCode } from "../store/error.ts";
import { isShared, TermsError } from "../store/shared-store.ts";
import type { Beat, Member, SharedStore, Terms, TermsRefusal } from "../store/shared-store.ts";
import { large, WINDOW_MS } from "./limits.ts";
import { charge } from "./steps.ts";
import { answered, runTrial, type StoreCase, Trial } from "./trial.ts";

export class SharedTrial extends Trial<SharedStore> {
  beat(instance: string, more: Partial<Member> = {}): Promise<Beat> {
    return this.store.beat({ group: "g", instance, livesMs: 1_000, seen: [], ...more });
  }

  async book(terms: Terms, ...requests: StoreRequest[]): Promise<StoreReply[]> {
    return (await this.store.book(requests, terms)).map(answered);
  }

  async refuses(code: StoreErrorCode | TermsRefusal, terms: Terms, ...requests: StoreRequest[]): Promise<void> {
    await assert.rejects(this.store.book(requests, terms), (error) => {
      return StoreError.isInstance(error) && (TermsError.refusalOf(error) ?? error.code) === code;
    });
  }
}

/** A case that needs a `SharedStore`. */
export function onShared(name: string, run: (trial: SharedTrial) => Promise<void>): StoreCase {
  return {
    name: `shared: ${name}`,
    async run(fixture) {
      const { store } = fixture;
      assert.ok(isShared(store), "the store has no book: it is not a SharedStore");
      await runTrial(new SharedTrial(store, fixture), run);
    },
  };
}

export const epoch = { algorithm: "fixed-window", quota: 99, windowMs: WINDOW_MS, align: "epoch" } as const;

export const booking = (bucket: string, cost = 1, limit: LimitSpec = large): StoreRequest => ({
  mode: "judge",
  steps: [charge(bucket, limit, cost)],
});

/** Lets time pass until a window of the epoch begins, and returns that instant. */
export async function toWindow(t: Trial): Promise<number> {
  await t.advance(WINDOW_MS - ((await t.nowMs()) % WINDOW_MS));
  return t.nowMs();
}

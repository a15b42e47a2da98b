// How cases of calls that wait are written.

import type { Step, StoreReply } from "../kernel/request.ts";
import type { Store } from "../store/store.ts";
import { answered, ask, charge, tokenBucket } from "./cases.ts";

/** The bucket refills a unit in so many ms. */
export const UNIT_MS = 200;

export async function wait(store: Store, id: string, maxMs: number, ...steps: Step[]): Promise<StoreReply> {
  const [reply] = await store.apply([{ mode: "judge", steps, wait: { id, maxMs } }]);
  return answered(reply);
}

/** A bucket that is full, and nothing waits for it. */
export async function full({ store }: { readonly store: Store }): Promise<Store> {
  await ask(store, "judge", charge("b", tokenBucket, 5));
  return store;
}

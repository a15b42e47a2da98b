// Instances together hold at most a small part of a limit unused.

import { borrowedKey } from "../../../src/kernel/key.ts";
import type { Oracle } from "../oracle.ts";

/** Of the units of a limit at most this part is lent. */
export const LENT_PART = 1 / 32;

export function* lending({ run, accounts }: Oracle): Generator<string> {
  for (const { key, capacity } of accounts.values()) {
    const lent = run.store.of(key).lent.get(borrowedKey(key)) ?? 0;
    const most = Math.floor(capacity * LENT_PART);
    if (lent > most) yield `instances hold ${lent} units of ${key} that they have borrowed, ${most} may be`;
  }
}

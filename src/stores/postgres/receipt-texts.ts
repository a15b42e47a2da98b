// What the rows of receipts hold, as this process wrote them last. Only the instance itself writes its row, so it mostly knows
// what it is to become. Where the row holds another text, the kernel decides on that.

import { encodeState } from "../../kernel/encoding/state.ts";
import { MAX_RECEIPTS, receiptsKey } from "../../kernel/receipts.ts";
import type { ReceiptsState, StoredState } from "../../kernel/state.ts";
import { receiptsFor } from "../../store/receipts.ts";
import type { ReceiptTerms } from "../../store/shared-store.ts";

/** What the row of receipts has to hold before a batch, and what it holds after it, around the instant of the batch. */
export interface ReceiptTexts {
  readonly key: string;
  readonly before: string;
  readonly head: string;
  readonly tail: string;
}

/** Of a receipt for a batch of one request that was booked, at the instant 0. */
const AT_0 = "0,1,o";

/** A process has a few rows of receipts. */
const MAX_ROWS = 64;

export class KnownReceipts {
  readonly #states = new Map<string, ReceiptsState>();

  /** Learns what was written. */
  learn(changed: ReadonlyMap<string, StoredState | undefined>): void {
    for (const [key, state] of changed) {
      if (state?.kind !== "receipts") continue;
      if (this.#states.size >= MAX_ROWS) this.#states.clear();
      this.#states.set(key, state);
    }
  }

  /** The texts for a batch of one request that is booked; `null` where they are not known, or the batch may not be booked. */
  textsFor(receipt: ReceiptTerms): ReceiptTexts | null {
    const { number, instance, closes } = receipt;
    const key = receiptsKey(instance);
    const state = this.#states.get(key);
    if (state === undefined || closes === true) return null;
    const { from, before, others } = receiptsFor(receipt, state);
    if (before !== undefined || number < from || others.length >= MAX_RECEIPTS) return null;
    const receipts = [...others, { number, part: 0, atMs: 0, booked: "1", found: "", closed: false }];
    const text = encodeState({ kind: "receipts", expiresAtMs: 0, from, receipts });
    return { key, before: encodeState(state), head: text.slice(0, -AT_0.length), tail: AT_0.slice(1) };
  }
}

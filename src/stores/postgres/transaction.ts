// One batch, one transaction: its rows are locked in the order of their keys, the clock is read after the last lock, the
// kernel decides, and what changed is written.

import { monotonicClock } from "../../clock.ts";
import { keysOf } from "../../kernel/decide.ts";
import { receiptsKey } from "../../kernel/receipts.ts";
import type { StoreRequest } from "../../kernel/request.ts";
import { StoreError } from "../../store/error.ts";
import { bookBatch } from "../../store/receipts.ts";
import type { Terms } from "../../store/shared-store.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { isRetryable } from "./errors.ts";
import type { Table } from "./table.ts";

/** How often a batch is tried while others remove its rows in between, or the server ends it so that others can go on. */
const MAX_ATTEMPTS = 5;

/**
 * Decides a batch, or throws and has changed nothing.
 *
 * @param endsAtMs from this instant of the monotonic clock on a batch that failed is not tried again
 */
export async function transact(
  table: Table,
  requests: readonly StoreRequest[],
  terms: Terms,
  endsAtMs: number,
): Promise<readonly StoreAnswer[]> {
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
    const answers = await book(table, requests, terms).catch((error) => {
      if (attempt === MAX_ATTEMPTS || !isRetryable(error) || monotonicClock.nowMs() >= endsAtMs) throw error;
      return null;
    });
    if (answers !== null) return answers;
  }
  throw new StoreError("busy", "Postgres: others remove rows as fast as they are made", { transient: true });
}

/** Decides a batch in one transaction; `null` where one of its rows was removed before it was locked. */
async function book(
  table: Table,
  requests: readonly StoreRequest[],
  terms: Terms,
): Promise<readonly StoreAnswer[] | null> {
  const { receipt, ...withoutReceipt } = terms;
  const buckets = requests.flatMap(keysOf);
  // What books nothing needs no lock and no receipt, unless it closes a number that others may still book.
  if (requests.every(({ mode }) => mode === "peek") && receipt?.closes !== true) {
    const { states, nowMs } = await table.look([...new Set(buckets)]);
    return bookBatch(requests, (key) => states.get(key), nowMs, withoutReceipt).replies;
  }
  const keys = [...new Set(receipt === undefined ? buckets : [...buckets, receiptsKey(receipt.instance)])];
  const replies = await table.exchange(keys, ({ states, nowMs }) => {
    const { replies, changed } = bookBatch(requests, (key) => states.get(key), nowMs, terms);
    return { value: replies, changed };
  });
  void table.sweep();
  return replies;
}

// One batch, one transaction: its rows are locked in the order of their keys, the clock is read after the last lock, the
// kernel decides, and what changed is written.

import { monotonicClock } from "../../clock.ts";
import { keysOf } from "../../kernel/decide.ts";
import { receiptsKey } from "../../kernel/receipts.ts";
import type { StoreRequest } from "../../kernel/request.ts";
import { validTime } from "../../store/check.ts";
import { StoreError } from "../../store/error.ts";
import type { DecidedBatch } from "../../store/batch.ts";
import { bookBatch } from "../../store/receipts.ts";
import type { Terms } from "../../store/shared-store.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { isRetryable } from "./errors.ts";
import { plainChargesOf } from "./plain-charges.ts";
import type { Seen, Table } from "./table.ts";

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
    const answers = await book(table, requests, terms, attempt > 1).catch((error) => {
      if (attempt === MAX_ATTEMPTS || !isRetryable(error) || monotonicClock.nowMs() >= endsAtMs) throw error;
      return null;
    });
    if (answers !== null) return answers;
  }
  throw new StoreError("busy", "Postgres: others remove rows as fast as they are made", { transient: true });
}

/** Decides a batch in one transaction; `null` where one of its rows was removed before it was locked, or was not there. */
async function book(
  table: Table,
  requests: readonly StoreRequest[],
  terms: Terms,
  mustMake: boolean,
): Promise<readonly StoreAnswer[] | null> {
  const { receipt, ...withoutReceipt } = terms;
  const buckets = requests.flatMap(keysOf);
  // What books nothing needs no lock and no receipt, unless it closes a number that others may still book.
  if (requests.every(({ mode }) => mode === "peek") && receipt?.closes !== true) {
    const seen = await table.look([...new Set(buckets)]);
    return decided(requests, seen, withoutReceipt).replies;
  }
  const keys = [...new Set(receipt === undefined ? buckets : [...buckets, receiptsKey(receipt.instance)])];
  const added = await addPlainly(table, requests, terms, keys);
  const booked = added ?? (await table.exchange(keys, (seen) => decided(requests, seen, terms), mustMake));
  void table.sweep();
  if (booked === null) return null;
  table.receipts.learn(booked.changed);
  return booked.replies;
}

/**
 * Decides a request that goes alone in one round trip, where it only adds to plain numbers and all of them pass; `null` where
 * it does not. The kernel decides what SQL did: it answers, and would have written the same.
 */
async function addPlainly(table: Table, requests: readonly StoreRequest[], terms: Terms, keys: readonly string[]) {
  const [request, ...others] = requests;
  if (request === undefined || others.length > 0 || !table.database.keepsPlans) return null;
  const receipt = terms.receipt === undefined ? undefined : table.receipts.textsFor(terms.receipt);
  if (receipt === null) return null;
  const nowMs = table.clock === undefined ? undefined : validTime(table.clock.nowMs());
  const values = plainChargesOf(request, terms, receipt, nowMs);
  const seen = values === null ? null : await table.charge(keys, values).catch(noneIfEnded);
  // SQL has seen to the other terms.
  return seen === null ? null : decided(requests, seen, terms.receipt === undefined ? {} : { receipt: terms.receipt });
}

/** Nothing, after an error with which nothing was added, and the same in two round trips can pass. */
function noneIfEnded(error: unknown): null {
  if (isRetryable(error)) return null;
  throw error;
}

function decided(requests: readonly StoreRequest[], { states, nowMs }: Seen, terms: Terms): DecidedBatch {
  return bookBatch(requests, (key) => states.get(key), nowMs, terms);
}

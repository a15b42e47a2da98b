// The entries of a backlog, as its journal keeps them: sums, whole requests, and batches to settle.

import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import { formatGot } from "../../kernel/errors.ts";
import type { Step, StoreRequest } from "../../kernel/request.ts";
import { StoreError } from "../../store/error.ts";
import type { Sum } from "./booking.ts";

/**
 * A batch to settle: requests that must be booked (`force`), must not be (`undo`), or do not matter (`peek`). Those stay in it,
 * because the receipt has a digit for each request in its order.
 */
export interface OpenBatch {
  readonly instance: string;
  readonly number: number;
  /** When it was made, epoch ms. */
  readonly openedAtMs: number;
  readonly requests: readonly StoreRequest[];
}

export function sumKey({ bucket, limit }: Pick<Step, "bucket" | "limit">, atMs: number, seen?: string): string {
  return JSON.stringify(["sum", bucket, algorithmOf(limit).outage.sliceOf(limit, atMs), seen ?? null]);
}

export function batchKey({ instance, number }: OpenBatch): string {
  return `batch/${instance}/${number}`;
}

/** An entry of the journal. Throws `invalid-reply` where it is not what a backlog wrote. */
export function parsedEntry(key: string, text: string): Sum | OpenBatch | StoreRequest {
  try {
    const value = JSON.parse(text);
    const { step, order, number, requests, steps } = value;
    // The keys of sums are JSON lists.
    if (key.startsWith("[") && typeof step.bucket === "string" && Number.isSafeInteger(order)) return value;
    if (key.startsWith("batch/") && Number.isSafeInteger(number) && Array.isArray(requests)) return value;
    if (key.startsWith("request/") && Array.isArray(steps)) return value;
  } catch {
    // Not JSON, or not an object.
  }
  if (key.startsWith("shard ")) {
    const message =
      "the journal has entries of a store with shards: it was used with a cluster. " +
      "Give this instance another journal; the bookings of this one are lost";
    throw new StoreError("invalid-reply", message, { transient: false });
  }
  const message =
    `the journal's entry ${formatGot(key)} is damaged: expected a booking, got ${formatGot(text)}. ` +
    "Give this instance another journal; the bookings of this one are lost";
  throw new StoreError("invalid-reply", message, { transient: false });
}

// What can go wrong in a store, by code, and the errors that several stores share.

import { hasMarker } from "../kernel/errors.ts";
import { MAX_ENTRIES } from "../kernel/bucket/entries.ts";
import { isAnswerKey } from "../kernel/key.ts";
import { reasonOf } from "../kernel/reason.ts";

export const STORE_ERROR_CODES = [
  "capacity", // a bounded store is full of live buckets
  "too-many-holds", // a bucket has the most holds that it may have
  "busy", // other processes held the store's lock for longer than the deadline
  "overloaded", // more calls wait for the store than the limiter lets wait
  "unknown-partition", // what keeps the partition's state is not there: a row of a session table
  "unsupported-request", // the store cannot do this
  "damaged-bucket", // a bucket's stored text is not what any version writes
  "wrong-type", // a key holds something else than a bucket
  "foreign-database", // the file is not a database, or another program's
  "schema-version", // the data was written by another version of its layout
  "too-old", // the server is of a version that cannot keep the promises
  "unauthorized", // the server wants another password or user, or this one lacks a right
  "read-only", // the server takes no writes: it is a replica, or cannot persist them
  "out-of-memory", // the server has no memory left for new buckets
  "loading", // the server has just started, and reads its data
  "unavailable", // the store cannot be reached, opened, read or written
  "invalid-reply", // the store answered something else than it was asked, or a time or a count that is not a whole number
  "closed", // the store was closed
] as const;

/** One of `STORE_ERROR_CODES`. */
export type StoreErrorCode = (typeof STORE_ERROR_CODES)[number];

const STORE_ERROR = Symbol.for("tollgate.error.store");

/** The store failed. A denial is never one of these. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  /** Whether the same request may succeed later. */
  readonly transient: boolean;

  constructor(
    code: StoreErrorCode,
    message: string,
    options: { readonly transient: boolean; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.transient = options.transient;
    Object.defineProperty(this, STORE_ERROR, { value: true });
  }

  static isInstance(value: unknown): value is StoreError {
    return hasMarker(value, STORE_ERROR);
  }
}

/** Any error as a `StoreError`: one of another kind counts as an outage. `what` says what failed. */
export function asStoreError(error: unknown, what = "the store"): StoreError {
  if (StoreError.isInstance(error)) return error;
  return new StoreError("unavailable", `${what}: ${reasonOf(error)}`, { transient: true, cause: error });
}

/** The error for what is asked of a store after `close`. */
export function closedError(store: string): StoreError {
  return new StoreError("closed", `the ${store} store was closed`, { transient: false });
}

/** The error for a key of a request whose text no version writes: of a bucket, or of a kept answer. */
export function damagedError(key: string): StoreError {
  const message = isAnswerKey(key)
    ? `the answer that is kept under ${key} is damaged: it ends ten minutes after it was written`
    : `the bucket ${key} is damaged: a reset of it empties it`;
  return new StoreError("damaged-bucket", message, { transient: false });
}

/** The error for a request that a store left without an answer. */
export function tooFewReplies(): StoreError {
  return new StoreError("invalid-reply", "the store gave fewer replies than it was asked for", { transient: false });
}

/** The error for a request to which `decide` gives no reply. */
export function tooManyHolds(): StoreError {
  return new StoreError("too-many-holds", `a bucket has ${MAX_ENTRIES} holds and takes no more`, { transient: true });
}

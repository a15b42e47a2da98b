// One batch, one transaction: what is read, decided by the kernel, and written.

import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import {
  type BucketState,
  decide,
  decodeState,
  encodeState,
  StoreError,
  type StoreReply,
  type StoreRequest,
} from "../../store.ts";
import type { OpenFile } from "./file.ts";

// Rows looked at for expiry with each row that is written: more than are made, so that the dead never pile up.
const SWEPT_PER_ROW = 2;

/** A bucket as a transaction knows it: `null` where its row is damaged. */
type Known = BucketState | undefined | null;

/** Decides a batch, or throws and has changed nothing. */
export function transact(file: OpenFile, requests: readonly StoreRequest[], clock: Clock): (StoreReply | StoreError)[] {
  file.database.exec("BEGIN IMMEDIATE");
  try {
    const nowMs = clock.nowMs();
    const known = new Map<string, Known>();
    const changed = new Set<string>();
    const replies = requests.map((request) => decideIn(file, request, nowMs, known, changed));
    for (const key of changed) writeBucket(file, key, known.get(key));
    sweep(file, changed.size * SWEPT_PER_ROW, nowMs);
    file.database.exec("COMMIT");
    return replies;
  } catch (error) {
    rollBack(file.database);
    throw error;
  }
}

function rollBack(database: DatabaseSync): void {
  try {
    database.exec("ROLLBACK");
  } catch {
    // SQLite has done so by itself, as it does when the disk is full.
  }
}

function decideIn(
  file: OpenFile,
  request: StoreRequest,
  nowMs: number,
  known: Map<string, Known>,
  changed: Set<string>,
): StoreReply | StoreError {
  const states: (BucketState | undefined)[] = [];
  for (const { bucket, event } of request.steps) {
    if (!known.has(bucket)) known.set(bucket, readBucket(file, bucket));
    if (known.get(bucket) === null && event.type === "reset" && request.mode !== "peek") {
      known.set(bucket, undefined);
      changed.add(bucket);
    }
    const state = known.get(bucket);
    if (state === null) {
      return new StoreError("damaged-bucket", `the bucket ${bucket} holds what no version writes`, {
        transient: false,
      });
    }
    states.push(state);
  }
  const { reply, next } = decide(request, states, nowMs);
  for (const [i, { bucket }] of request.steps.entries()) {
    if (next === null) break;
    known.set(bucket, next[i]);
    changed.add(bucket);
  }
  return reply;
}

function readBucket(file: OpenFile, key: string): Known {
  const row = file.read.get(key);
  if (row === undefined) return undefined;
  const expiresAtMs = Number(row.expires_at_ms);
  return Number.isSafeInteger(expiresAtMs) ? decodeState(String(row.value), expiresAtMs) : null;
}

function writeBucket(file: OpenFile, key: string, state: Known): void {
  if (state) file.write.run(key, encodeState(state), state.expiresAtMs);
  else file.remove.run(key);
}

/** Moves the hand over `count` rows, in the order of their keys, and removes those that have expired. */
function sweep(file: OpenFile, count: number, nowMs: number): void {
  if (count === 0) return;
  const from = String(file.hand.get()?.key);
  const last = file.following.get(from, count - 1)?.key;
  // After the last key the hand begins anew; no key is above the highest code point.
  file.removeExpired.run(from, last === undefined ? "\u{10ffff}" : String(last), nowMs);
  file.moveHand.run(last === undefined ? "" : String(last));
}

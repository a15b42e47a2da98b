// One batch, one transaction: what is read, decided by the kernel, and written.

import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import {
  decide,
  decodeState,
  encodeState,
  keysOf,
  type StoredState,
  StoreError,
  type StoreReply,
  type StoreRequest,
  tooManyHolds,
} from "../../store.ts";
import type { OpenFile } from "./file.ts";

// Rows looked at for expiry with each row that is written: more than are made, so that the dead never pile up.
const SWEPT_PER_ROW = 2;

/** What a key holds as a transaction knows it: `null` where its row is damaged. */
type Known = StoredState | undefined | null;

/** Decides a batch, or throws and has changed nothing. */
export function transact(file: OpenFile, requests: readonly StoreRequest[], clock: Clock): (StoreReply | StoreError)[] {
  file.database.exec("BEGIN IMMEDIATE");
  try {
    const nowMs = clock.nowMs();
    const known = new Map<string, Known>();
    const changed = new Set<string>();
    const replies = requests.map((request) => decideIn(file, request, nowMs, known, changed));
    for (const key of changed) writeState(file, key, known.get(key));
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
  const keys = keysOf(request);
  const states: (StoredState | undefined)[] = [];
  for (const [i, key] of keys.entries()) {
    if (!known.has(key)) known.set(key, readState(file, key));
    if (known.get(key) === null && request.steps[i]?.event.type === "reset" && request.mode !== "peek") {
      known.set(key, undefined);
      changed.add(key);
    }
    const state = known.get(key);
    if (state === null) {
      return new StoreError("damaged-bucket", `the bucket ${key} holds what no version writes`, { transient: false });
    }
    states.push(state);
  }
  const { reply, next } = decide(request, states, nowMs);
  for (const [i, key] of keys.entries()) {
    if (next === null || next[i] === states[i]) continue;
    known.set(key, next[i]);
    changed.add(key);
  }
  return reply ?? tooManyHolds();
}

function readState(file: OpenFile, key: string): Known {
  const row = file.read.get(key);
  if (row === undefined) return undefined;
  const expiresAtMs = Number(row.expires_at_ms);
  return Number.isSafeInteger(expiresAtMs) ? decodeState(String(row.value), expiresAtMs) : null;
}

function writeState(file: OpenFile, key: string, state: Known): void {
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

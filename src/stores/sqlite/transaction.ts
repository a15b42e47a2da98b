// One batch, one transaction: what is read, decided by the kernel, and written.

import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import { keysOf } from "../../kernel/decide.ts";
import type { StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoredState } from "../../kernel/state.ts";
import { encodeState } from "../../kernel/encoding/state.ts";
import { decideBatch, type Known } from "../../store/batch.ts";
import { decodeState } from "../../store/check.ts";
import type { StoreError } from "../../store/error.ts";
import type { OpenFile } from "./file.ts";

// Rows that are checked for expiry with each row that is written: more than are made, so that expired rows never pile up.
const SWEPT_PER_WRITTEN_ROW = 2;
// SQLite restarts the log when no process writes for a moment, which may never happen: from this size on the log is emptied
// under the lock.
const MAX_LOG_BYTES = 64_000_000;

/** Decides a batch, or throws and has changed nothing. */
export function transact(
  file: OpenFile,
  requests: readonly StoreRequest[],
  clock: Clock,
): readonly (StoreReply | StoreError)[] {
  file.database.exec("BEGIN IMMEDIATE");
  try {
    const nowMs = clock.nowMs();
    const states = readStates(file, requests);
    const { replies, changed } = decideBatch(requests, (key) => states.get(key), nowMs);
    for (const [key, state] of changed) writeState(file, key, state);
    sweep(file, changed.size * SWEPT_PER_WRITTEN_ROW, nowMs);
    file.database.exec("COMMIT");
    shortenLog(file);
    return replies;
  } catch (error) {
    rollBack(file.database);
    throw error;
  }
}

function shortenLog({ log, emptyLog }: OpenFile): void {
  try {
    const size = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    if (size > MAX_LOG_BYTES) emptyLog.run();
  } catch {
    // The commit stays; the next batch tries again.
  }
}

function rollBack(database: DatabaseSync): void {
  try {
    database.exec("ROLLBACK");
  } catch {
    // SQLite has done so by itself, as it does when the disk is full.
  }
}

/** In one statement for all: what SQLite and JavaScript have to say to one another costs more than the search for a row. */
function readStates(file: OpenFile, requests: readonly StoreRequest[]): ReadonlyMap<string, Known> {
  const keys = new Set<string>();
  for (const request of requests) for (const key of keysOf(request)) keys.add(key);
  const rows = JSON.parse(String(file.read.get(JSON.stringify([...keys]))?.rows)) as [string, string, number][];
  const states = new Map<string, Known>();
  for (const [key, text, expiresAtMs] of rows) {
    states.set(key, decodeState(text, expiresAtMs));
  }
  return states;
}

function writeState(file: OpenFile, key: string, state: StoredState | undefined): void {
  if (state) file.write.run(key, encodeState(state), state.expiresAtMs);
  else file.remove.run(key);
}

/** Moves the hand over `count` rows, in the order of their keys, and removes those that have expired. */
function sweep(file: OpenFile, count: number, nowMs: number): void {
  if (count === 0) return;
  const from = String(file.hand.get()?.key);
  const last = file.following.get(from, count - 1)?.key;
  // After the last key the hand starts again at the first one; no key is above the highest code point.
  file.removeExpired.run(from, last === undefined ? "\u{10ffff}" : String(last), nowMs);
  file.moveHand.run(last === undefined ? "" : String(last));
}

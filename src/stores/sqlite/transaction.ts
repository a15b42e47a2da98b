// One batch, one transaction: what is read, decided by the kernel, and written.

import { statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import { keysOf } from "../../kernel/decide.ts";
import type { StoreRequest } from "../../kernel/request.ts";
import { encodeState } from "../../kernel/encoding/state.ts";
import { decideBatch } from "../../store/batch.ts";
import { decodeState, type ReadState } from "../../store/check.ts";
import { SWEPT_PER_NEW } from "../../store/room.ts";
import type { StoreAnswer } from "../../store/store.ts";
import type { OpenFile } from "./file.ts";

// SQLite restarts the log when no process writes for a moment, which may never happen: from this size on the log is emptied
// under the lock.
const MAX_LOG_BYTES = 64_000_000;

/** Decides a batch, or throws and has changed nothing. */
export function transact(file: OpenFile, requests: readonly StoreRequest[], clock: Clock): readonly StoreAnswer[] {
  file.database.exec("BEGIN IMMEDIATE");
  try {
    const nowMs = clock.nowMs();
    const states = readStates(file, requests, nowMs);
    const { replies, changed } = decideBatch(requests, (key) => states.get(key), nowMs);
    for (const [key, state] of changed) {
      if (state === undefined) file.remove.run(key);
      else file.write.run(key, encodeState(state), state.expiresAtMs);
    }
    sweep(file, changed.size * SWEPT_PER_NEW, nowMs);
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

/** In one statement for all keys: a statement costs more than the search for a row. */
function readStates(file: OpenFile, requests: readonly StoreRequest[], nowMs: number): ReadonlyMap<string, ReadState> {
  const keys = new Set(requests.flatMap(keysOf));
  const rows = JSON.parse(String(file.read.get(JSON.stringify([...keys]))?.rows)) as [string, string, number][];
  return new Map(rows.map(([key, text, expiresAtMs]) => [key, decodeState(text, expiresAtMs, nowMs)]));
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

// The store of an object that makes the calls itself, such as an agent: its buckets are in its own SQLite, beside its own tables.
// A call is decided without a message to another object, in one step that nothing comes between.

import { type Clock, clockOption, systemClock } from "../clock.ts";
import { keysOf } from "../kernel/decide.ts";
import { having, readOptions } from "../kernel/options.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { decideBatch } from "../store/batch.ts";
import { closedError } from "../store/error.ts";
import { SWEPT_PER_NEW } from "../store/room.ts";
import type { Store, StoreAnswer } from "../store/store.ts";
import { storageError } from "./errors.ts";
import type { ObjectStorage } from "./runtime.ts";
import { StatesTable } from "./table.ts";

const OPTIONS = { clock: clockOption };
const STORAGE = having<ObjectStorage>("transactionSync", "");

/** Rows that are written between two sweeps. */
const WRITTEN_PER_SWEEP = 64;

/**
 * Keeps buckets in the SQLite of the Durable Object that makes the calls: `ownObjectStore(this.ctx.storage)`. Its tables begin with
 * `tollgate_`. It sets no alarm, so that the object's own stays: calls remove what has expired, a few rows each.
 *
 * Requests fail with `StoreError` `capacity`, `schema-version`, `unavailable` or `closed`.
 *
 * @param options `clock`, for tests
 * @throws MisuseError `invalid-option`
 */
export function ownObjectStore(storage: ObjectStorage, options: { readonly clock?: Clock } = {}): Store {
  const { clock } = readOptions(OPTIONS, options);
  if (!STORAGE.accepts(storage)) {
    throw invalidOption("storage", "the storage of a Durable Object with SQLite: this.ctx.storage", storage);
  }
  const table = tableOf(storage);
  let hand = "";
  let written = 0;
  let isClosed = false;
  const decide = (requests: readonly StoreRequest[]): readonly StoreAnswer[] => {
    if (isClosed) throw closedError("Durable Object");
    const nowMs = (clock ?? systemClock).nowMs();
    try {
      const states = table.read([...new Set(requests.flatMap(keysOf))], nowMs);
      const { replies, changed } = decideBatch(requests, (key) => states.get(key), nowMs);
      table.write(changed);
      written += changed.size;
      if (written >= WRITTEN_PER_SWEEP) {
        hand = table.sweep(hand, written * SWEPT_PER_NEW, nowMs);
        written = 0;
      }
      return replies;
    } catch (error) {
      table.forget();
      throw storageError(error);
    }
  };
  return {
    clock,
    answer: (request) => decide([request])[0] as StoreAnswer,
    apply: async (requests) => decide(requests),
    async close() {
      isClosed = true;
    },
  };
}

/** A table remembers what it has written, so that all stores of an object have to share it. */
const tables = new WeakMap<ObjectStorage, StatesTable>();

function tableOf(storage: ObjectStorage): StatesTable {
  const table = tables.get(storage) ?? new StatesTable(storage);
  tables.set(storage, table);
  return table;
}

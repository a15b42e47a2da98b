// Postgres, through the client that a program has already: `pg`, postgres.js or Prisma. Each batch is one transaction.

import { type Clock, clockOption, monotonicClock } from "../clock.ts";
import { LateError, within } from "../deadlines.ts";
import { readOptions, type TableOf, unchecked, whole } from "../kernel/options.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { networkLayers } from "../layers/network.ts";
import { closedError } from "../store/error.ts";
import type { SharedStore, Terms } from "../store/shared-store.ts";
import type { Batching } from "../store/store.ts";
import { databaseThrough, type PostgresClient } from "./postgres/client.ts";
import { askedOnce } from "./postgres/database.ts";
import { postgresError } from "./postgres/errors.ts";
import { beat } from "./postgres/members.ts";
import { checkVersion, prefixOf, type SchemaOptions } from "./postgres/schema.ts";
import { setupOf } from "./postgres/setup.ts";
import { Table } from "./postgres/table.ts";
import { transact } from "./postgres/transaction.ts";

export type { PgPool, PostgresClient, PostgresJs, PrismaLike } from "./postgres/client.ts";
export { migrate, type SchemaOptions } from "./postgres/schema.ts";

/** How a Postgres store is made. */
export interface PostgresStoreOptions extends SchemaOptions {
  /**
   * How long one statement may take, and wait for a lock, before the batch fails with `busy`: 1 to 60,000 ms. Default 2,000.
   * A connection that has not answered half a second after that is destroyed.
   * A call fails with `unavailable` after four times that, counted from the call: the time in which it waits to be sent, and
   * all that is tried again, are part of it. It may have been booked.
   */
  readonly deadlineMs?: number;
  /** For tests. Default: the server's clock. */
  readonly clock?: Clock;
}

const OPTIONS = {
  schema: unchecked<string>(),
  deadlineMs: whole(1, 60_000, 2_000),
  clock: clockOption,
} satisfies TableOf<PostgresStoreOptions>;

/** A batch makes rows, locks them, writes and commits, and each has one deadline: its own deadline is their sum. */
const DEADLINES_PER_BATCH = 4;
const BATCHING: Batching = { size: 256, underWay: 4, least: 32 };

/**
 * Keeps buckets in the table `tollgate_buckets`, which `migrate` makes. All instances with the same database share it.
 *
 * Fails with `StoreError` `schema-version` when the tables are not there or of another version, `unauthorized` when the
 * role lacks a right, `busy` (transient) when a lock was not free in time, `read-only`, `unavailable`;
 * a request of a damaged bucket fails alone with `damaged-bucket`. The client stays open: the program that made it closes it.
 *
 * @throws MisuseError `unsupported-client`, `invalid-option`
 */
export function postgresStore(client: PostgresClient, options: PostgresStoreOptions = {}): SharedStore {
  const { schema, deadlineMs: statementMs, clock } = readOptions(OPTIONS, options);
  const database = databaseThrough(client, statementMs);
  const prefix = prefixOf(schema);
  const table = new Table(database, `${prefix}tollgate_buckets`, clock);
  const deadlineMs = DEADLINES_PER_BATCH * statementMs;
  const checked = askedOnce(() => checkVersion(database, prefix));
  let isClosed = false;
  const ask = async <Value>(asked: () => Promise<Value>, leftMs = Number.POSITIVE_INFINITY): Promise<Value> => {
    if (isClosed) throw closedError("Postgres");
    try {
      if (leftMs <= 0) throw new LateError(deadlineMs);
      return await within(leftMs, checked().then(asked), { deadlineMs });
    } catch (error) {
      throw postgresError(error);
    }
  };
  const book = (requests: readonly StoreRequest[], terms: Terms, leftMs: number) => {
    const endsAtMs = monotonicClock.nowMs() + leftMs;
    return ask(() => transact(table, requests, terms, endsAtMs), leftMs);
  };
  return {
    layers: networkLayers,
    batching: BATCHING,
    deadlineMs,
    clock,
    apply: (requests, leftMs = deadlineMs) => book(requests, {}, leftMs),
    book: (requests, terms) => book(requests, terms, deadlineMs),
    beat: (member) => ask(() => beat(table, member)),
    setup: () =>
      setupOf(database).catch((error) => {
        throw postgresError(error);
      }),
    async close() {
      isClosed = true;
    },
  };
}

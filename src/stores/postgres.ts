// Postgres, through the client that a program has already: `pg`, postgres.js or Prisma. Each batch is one transaction.

import { type Clock, clockOption, LateError, within } from "../clock.ts";
import { readOptions, type TableOf, unchecked, whole } from "../kernel/options.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { closedError } from "../store/error.ts";
import { SWEPT_PER_NEW } from "../store/room.ts";
import type { Beat, Member, SharedStore, Terms } from "../store/shared-store.ts";
import type { Batching, SetupCheck, StoreAnswer } from "../store/store.ts";
import { databaseThrough, type PostgresClient } from "./postgres/client.ts";
import { isRetryable, postgresError } from "./postgres/errors.ts";
import { beat } from "./postgres/members.ts";
import { checkVersion, type SchemaOptions, tablesIn } from "./postgres/schema.ts";
import { setupOf } from "./postgres/setup.ts";
import { KnownKeys, sweep, transact, type Work } from "./postgres/transaction.ts";

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

/** A batch usually takes so many statements, each of which has one deadline: its own deadline is their sum. */
const STATEMENTS_PER_BATCH = 4;
const BATCHING: Batching = { size: 256, underWay: 4 };
const ROWS_PER_SWEEP = 1_000;

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
  const { schema, deadlineMs, clock } = readOptions(OPTIONS, options);
  const database = databaseThrough(client, deadlineMs);
  const tables = tablesIn(schema);
  const work = { database, tables, clock, made: 0, known: new KnownKeys() };
  return new PostgresStore(work, STATEMENTS_PER_BATCH * deadlineMs);
}

class PostgresStore implements SharedStore {
  readonly batching = BATCHING;
  readonly deadlineMs: number;
  readonly clock: Clock | undefined;
  readonly #work: Work;
  #checked: Promise<void> | null = null;
  /** Up to which key rows were looked at for expiry. */
  #hand = "";
  #sweeping = false;
  #closed = false;

  constructor(work: Work, deadlineMs: number) {
    this.#work = work;
    this.deadlineMs = deadlineMs;
    this.clock = work.clock;
  }

  apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    return this.#decide(requests, {}, leftMs);
  }

  book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly StoreAnswer[]> {
    return this.#decide(requests, terms, this.deadlineMs);
  }

  beat(member: Member): Promise<Beat> {
    return this.#ask(() => beat(this.#work, member));
  }

  setup(): Promise<readonly SetupCheck[]> {
    return setupOf(this.#work.database).catch((error) => {
      throw postgresError(error);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #decide(requests: readonly StoreRequest[], terms: Terms, leftMs: number): Promise<readonly StoreAnswer[]> {
    const endsAtMs = performance.now() + leftMs;
    const replies = await this.#ask(() => this.#transact(requests, terms, endsAtMs), leftMs);
    if (this.#work.made * SWEPT_PER_NEW >= ROWS_PER_SWEEP && !this.#sweeping) void this.#sweep();
    return replies;
  }

  async #transact(requests: readonly StoreRequest[], terms: Terms, endsAtMs: number): Promise<readonly StoreAnswer[]> {
    try {
      return await transact(this.#work, requests, terms);
    } catch (error) {
      if (!isRetryable(error) || performance.now() >= endsAtMs) throw error;
      return transact(this.#work, requests, terms);
    }
  }

  /** @param leftMs absent: as long as it takes */
  async #ask<Value>(ask: () => Promise<Value>, leftMs?: number): Promise<Value> {
    if (this.#closed) throw closedError("Postgres");
    const { deadlineMs } = this;
    try {
      if (leftMs === undefined) return await this.#whenChecked(ask);
      if (leftMs <= 0) throw new LateError(deadlineMs);
      return await within(leftMs, this.#whenChecked(ask), { deadlineMs });
    } catch (error) {
      throw postgresError(error);
    }
  }

  /** The version is checked once, and again after that failed. */
  async #whenChecked<Value>(ask: () => Promise<Value>): Promise<Value> {
    const { database, tables } = this.#work;
    this.#checked ??= checkVersion(database, tables).catch((error) => {
      this.#checked = null;
      throw error;
    });
    await this.#checked;
    return ask();
  }

  /** Beside the calls: what fails here fails no call, and is tried again with a later one. */
  async #sweep(): Promise<void> {
    this.#sweeping = true;
    this.#work.made = 0;
    try {
      this.#hand = await sweep(this.#work, this.#hand, ROWS_PER_SWEEP);
    } catch {
      // The next batch reports what is wrong.
    } finally {
      this.#sweeping = false;
    }
  }
}

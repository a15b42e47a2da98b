// Postgres, through the client that a program has already: `pg`, postgres.js or Prisma. Each batch is one transaction.

import { type Clock, checkClock, LateError, within } from "../clock.ts";
import { checkOptionKeys, checkWhole } from "../kernel/errors.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import type { Beat, Member, SharedStore, Terms } from "../store/shared-store.ts";
import type { Batching, SetupCheck } from "../store/store.ts";
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

/** A batch takes at most so many statements, each of which has one deadline. */
const STATEMENTS_PER_BATCH = 4;
const BATCHING: Batching = { size: 256, underWay: 4 };
/** Most keys that the store remembers to have rows: about 10 MB. */
const MAX_KNOWN_KEYS = 100_000;
/** Rows that are checked for expiry for each row that is made: more than are made, so that expired rows never pile up. */
const SWEPT_PER_MADE_ROW = 2;
const ROWS_PER_SWEEP = 1_000;

/**
 * Keeps buckets in the table `tollgate_buckets`, which `migrate` makes. All instances with the same database share it.
 *
 * Fails with `StoreError` `schema-version` when the tables are not there or of another version, `unauthorized` when the
 * role lacks a right, `busy` (transient) when a lock was not to be had in time, `read-only`, `unavailable`;
 * a request of a damaged bucket fails alone with `damaged-bucket`. The client stays open: the program that made it closes it.
 *
 * @throws MisuseError `unsupported-client`, `invalid-option`
 */
export function postgresStore(client: PostgresClient, options: PostgresStoreOptions = {}): SharedStore {
  checkOptionKeys(options, ["schema", "deadlineMs", "clock"]);
  const { deadlineMs = 2_000, clock } = options;
  const database = databaseThrough(client, deadlineMs);
  const tables = tablesIn(options.schema);
  checkWhole("deadlineMs", deadlineMs, 1, 60_000);
  if (clock !== undefined) checkClock(clock);
  const work = { database, tables, clock, made: 0, known: new KnownKeys(MAX_KNOWN_KEYS) };
  return new PostgresStore(work, STATEMENTS_PER_BATCH * deadlineMs);
}

class PostgresStore implements SharedStore {
  readonly batching = BATCHING;
  readonly deadlineMs: number;
  readonly clock?: Clock;
  readonly #work: Work;
  #checked: Promise<void> | null = null;
  /** Up to which key rows were looked at for expiry. */
  #hand = "";
  #sweeping = false;
  #closed = false;

  constructor(work: Work, deadlineMs: number) {
    this.#work = work;
    this.deadlineMs = deadlineMs;
    if (work.clock !== undefined) this.clock = work.clock;
  }

  apply(
    requests: readonly StoreRequest[],
    leftMs: number = this.deadlineMs,
  ): Promise<readonly (StoreReply | StoreError)[]> {
    return this.#decide(requests, {}, leftMs);
  }

  book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly (StoreReply | StoreError)[]> {
    return this.#decide(requests, terms, this.deadlineMs);
  }

  async #decide(
    requests: readonly StoreRequest[],
    terms: Terms,
    leftMs: number,
  ): Promise<readonly (StoreReply | StoreError)[]> {
    const endsAtMs = performance.now() + leftMs;
    const replies = await this.#ask(() => this.#transact(requests, terms, endsAtMs), leftMs);
    if (this.#work.made * SWEPT_PER_MADE_ROW >= ROWS_PER_SWEEP && !this.#sweeping) void this.#sweep();
    return replies;
  }

  beat(member: Member): Promise<Beat> {
    return this.#ask(() => beat(this.#work, member));
  }

  async setup(): Promise<readonly SetupCheck[]> {
    try {
      return await setupOf(this.#work.database);
    } catch (error) {
      throw postgresError(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** @param leftMs absent: as long as it takes */
  async #ask<Answer>(ask: () => Promise<Answer>, leftMs?: number): Promise<Answer> {
    if (this.#closed) throw new StoreError("closed", "the Postgres store was closed", { transient: false });
    const { deadlineMs } = this;
    try {
      if (leftMs === undefined) return await this.#whenChecked(ask);
      if (leftMs <= 0) throw new LateError(`no answer within ${deadlineMs} ms`);
      return await within(leftMs, this.#whenChecked(ask), { deadlineMs });
    } catch (error) {
      throw postgresError(error);
    }
  }

  async #whenChecked<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    await this.#check();
    return ask();
  }

  /** Once, and again after it failed. */
  async #check(): Promise<void> {
    this.#checked ??= checkVersion(this.#work.database, this.#work.tables);
    try {
      await this.#checked;
    } catch (error) {
      this.#checked = null;
      throw error;
    }
  }

  async #transact(
    requests: readonly StoreRequest[],
    terms: Terms,
    endsAtMs: number,
  ): Promise<readonly (StoreReply | StoreError)[]> {
    try {
      return await transact(this.#work, requests, terms);
    } catch (error) {
      if (!isRetryable(error) || performance.now() >= endsAtMs) throw error;
      return transact(this.#work, requests, terms);
    }
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

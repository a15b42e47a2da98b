// Postgres, through the client that a program has already: `pg`, postgres.js or Prisma. Each batch is one transaction.

import { type Clock, checkClock, within } from "../clock.ts";
import { checkOptionKeys, checkWhole } from "../kernel/errors.ts";
import {
  type Batching,
  type Beat,
  type Member,
  type SetupCheck,
  type Store,
  StoreError,
  type StoreReply,
  type StoreRequest,
  type Terms,
} from "../store.ts";
import { databaseThrough, listIn, type PostgresClient } from "./postgres/client.ts";
import { isRetryable, postgresError } from "./postgres/errors.ts";
import { beat } from "./postgres/members.ts";
import { checkVersion, type SchemaOptions, tablesIn } from "./postgres/schema.ts";
import { KnownKeys, sweep, transact, type Work } from "./postgres/transaction.ts";

export type { PgPool, PostgresClient, PostgresJs, PrismaLike } from "./postgres/client.ts";
export { migrate, type SchemaOptions } from "./postgres/schema.ts";

/** How a Postgres store is made. */
export interface PostgresStoreOptions extends SchemaOptions {
  /**
   * How long one statement may take, and wait for a lock, before the batch fails with `busy`: 1 to 60,000 ms. Default 2,000.
   * A server that does not answer at all fails it with `unavailable` after four times that; it may have been booked.
   */
  readonly deadlineMs?: number;
  /** For tests. Default: the server's clock. */
  readonly clock?: Clock;
}

/** How many deadlines a batch may take: it asks at most so many statements. */
const WAITS = 4;
const BATCHING: Batching = { size: 256, underWay: 4 };
/** Keys that the store knows to have rows: about 10 MB at most. */
const KNOWN_KEYS = 100_000;
/** Rows that are looked at for expiry for each that is made: the dead never pile up. */
const SWEPT_PER_ROW = 2;
const SWEPT_AT_ONCE = 1_000;

/**
 * Keeps buckets in the table `tollgate_buckets`, which `migrate` makes. All instances with the same database share it.
 *
 * Fails with `StoreError` `schema-version` when the tables are not there or of another version, `unauthorized` when the
 * role lacks a right, `busy` (transient) when a lock was not to be had in time, `read-only`, `overloaded`, `unavailable`;
 * a request of a damaged bucket fails alone with `damaged-bucket`. The client stays open: who made it closes it.
 *
 * @throws MisuseError `unknown-client`, `invalid-option`
 */
export function postgresStore(client: PostgresClient, options: PostgresStoreOptions = {}): Store {
  checkOptionKeys(options, ["schema", "deadlineMs", "clock"]);
  const { deadlineMs = 2_000, clock } = options;
  const database = databaseThrough(client);
  const tables = tablesIn(options.schema);
  checkWhole("deadlineMs", deadlineMs, 1, 60_000);
  if (clock !== undefined) checkClock(clock);
  return new PostgresStore({ database, tables, deadlineMs, clock, made: 0, known: new KnownKeys(KNOWN_KEYS) });
}

class PostgresStore implements Store {
  readonly batching = BATCHING;
  readonly clock?: Clock;
  readonly #work: Work;
  #checked: Promise<void> | null = null;
  /** Up to which key rows were looked at for expiry. */
  #hand = "";
  #sweeping = false;
  #closed = false;

  constructor(work: Work) {
    this.#work = work;
    if (work.clock !== undefined) this.clock = work.clock;
  }

  async apply(requests: readonly StoreRequest[], terms?: Terms): Promise<readonly (StoreReply | StoreError)[]> {
    const replies = await this.#ask(() => within(WAITS * this.#work.deadlineMs, this.#transact(requests, terms)));
    if (this.#work.made * SWEPT_PER_ROW >= SWEPT_AT_ONCE && !this.#sweeping) void this.#sweep();
    return replies;
  }

  beat(member: Member): Promise<Beat> {
    return this.#ask(() => beat(this.#work, member));
  }

  async setup(): Promise<readonly SetupCheck[]> {
    try {
      const settings = await this.#work.database.query(
        "SELECT json_build_array(current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'))::text",
      );
      const [version, commits, fsync] = listIn(settings);
      const isSure = fsync === "on" && commits !== "off";
      const problem = "a crash of the server may lose what was counted last: set fsync and synchronous_commit to on";
      return [
        { name: "version", value: `Postgres ${version}`, problem: null },
        {
          name: "persistence",
          value: `fsync ${fsync}, synchronous_commit ${commits}`,
          problem: isSure ? null : problem,
        },
      ];
    } catch (error) {
      throw postgresError(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #ask<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    if (this.#closed) throw new StoreError("closed", "the Postgres store was closed", { transient: false });
    try {
      await this.#check();
      return await ask();
    } catch (error) {
      throw postgresError(error);
    }
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

  async #transact(requests: readonly StoreRequest[], terms?: Terms): Promise<readonly (StoreReply | StoreError)[]> {
    try {
      return await transact(this.#work, requests, terms);
    } catch (error) {
      if (!isRetryable(error)) throw error;
      return transact(this.#work, requests, terms);
    }
  }

  /** Beside the calls: what fails here fails no call, and is tried again with a later one. */
  async #sweep(): Promise<void> {
    this.#sweeping = true;
    this.#work.made = 0;
    try {
      this.#hand = await sweep(this.#work, this.#hand, SWEPT_AT_ONCE);
    } catch {
      // The next batch tells whoever asks what is wrong.
    } finally {
      this.#sweeping = false;
    }
  }
}

// Postgres clients by their shape: what is told apart here, so that the rest just asks.

import { formatGot, MisuseError } from "../../kernel/errors.ts";
import { StoreError } from "../../store.ts";

/** A row, by the names that the client gives its columns: they are not looked at. */
type Row = Readonly<Record<string, unknown>>;

/**
 * Runs one statement with texts as its parameters. Resolves to the first column of each row.
 *
 * A client may rename columns and read numbers as it likes (`transform` of postgres.js, type parsers of `pg`). So a statement
 * answers with one row of one column, the text of a JSON list, which `listIn` reads.
 */
export type Query = (text: string, values?: readonly string[]) => Promise<readonly unknown[]>;

/** What the store needs of a client. */
export interface Database {
  /** Outside of a transaction. */
  readonly query: Query;
  /** Runs in one transaction on one connection, at most `deadlineMs` for each statement; what it throws rolls it back. */
  transaction<Value>(deadlineMs: number, run: (query: Query) => Promise<Value>): Promise<Value>;
}

/** `pg`: a pool. */
export interface PgPool {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: Row[] }>;
  connect(): Promise<PgClient>;
}

interface PgClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: Row[] }>;
  release(error?: Error | boolean): void;
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
}

/** postgres.js: what `postgres()` returns. */
export interface PostgresJs {
  // biome-ignore lint/suspicious/noExplicitAny: its own types are far stricter than what is used of them.
  unsafe(text: string, values?: any[]): PromiseLike<any>;
  // biome-ignore lint/suspicious/noExplicitAny: likewise.
  begin(run: (sql: any) => any): Promise<any>;
}

/** A generated Prisma client on Postgres. */
export interface PrismaLike {
  $queryRawUnsafe(text: string, ...values: unknown[]): PromiseLike<unknown>;
  // biome-ignore lint/suspicious/noExplicitAny: its own types are generated.
  $transaction(run: (client: any) => Promise<any>, options?: any): Promise<any>;
}

/** A client that the Postgres stores take. */
export type PostgresClient = PgPool | PostgresJs | PrismaLike;

/**
 * How to ask through a client.
 *
 * @throws MisuseError `unknown-client`
 */
export function databaseThrough(client: PostgresClient): Database {
  if (isObject(client)) {
    if ("$queryRawUnsafe" in client && "$transaction" in client) return throughPrisma(client);
    if ("unsafe" in client && "begin" in client) return throughPostgresJs(client);
    if ("query" in client && "connect" in client && "totalCount" in client) return throughPg(client);
  }
  throw new MisuseError("unknown-client", {
    path: "client",
    expected: "a Pool of pg, postgres() of postgres.js, or a Prisma client",
    got: isObject(client) ? "an object that is none of them" : formatGot(client),
  });
}

/**
 * The list that a statement answered with, as a text of JSON; nothing where it gave no row.
 *
 * @throws StoreError `invalid-reply`
 */
export function listIn([value]: readonly unknown[]): readonly unknown[] {
  // A client whose parser for texts reads JSON has done so already.
  const list = Array.isArray(value) ? value : parsed(value);
  if (Array.isArray(list)) return list;
  const message = `Postgres: expected the text of a JSON list, got ${formatGot(value)}: the client must not change texts`;
  throw new StoreError("invalid-reply", message, { transient: false });
}

function parsed(value: unknown): unknown {
  if (value === undefined || value === null) return [];
  try {
    return JSON.parse(value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value));
  } catch {
    return undefined;
  }
}

function firstColumns(rows: unknown): readonly unknown[] {
  return Array.isArray(rows) ? rows.map((row) => Object.values(Object(row))[0]) : [];
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** The last one is for a client that went silent amid its transaction: others wait for its locks. */
const TIMEOUTS = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"];

const timeouts = (deadlineMs: number) => TIMEOUTS.map((name) => `SET LOCAL ${name} = ${deadlineMs}`).join("; ");

function throughPg(pool: PgPool): Database {
  return {
    query: async (text, values = []) => firstColumns((await pool.query(text, [...values])).rows),
    async transaction(deadlineMs, run) {
      const client = await pool.connect();
      let broken: Error | undefined;
      // A connection that ends between two statements says so by an event, which ends the process if nobody listens.
      const lost = (error: Error) => {
        broken = error;
      };
      client.on?.("error", lost);
      try {
        await client.query(`BEGIN; ${timeouts(deadlineMs)}`);
        const value = await run(async (text, values = []) =>
          firstColumns((await client.query(text, [...values])).rows),
        );
        await client.query("COMMIT");
        return value;
      } catch (error) {
        // A connection whose transaction cannot be ended must not go back to the others.
        await client.query("ROLLBACK").catch((thrown) => {
          broken = thrown;
        });
        throw error;
      } finally {
        client.release(broken);
        client.off?.("error", lost);
      }
    },
  };
}

function throughPostgresJs(sql: PostgresJs): Database {
  return {
    query: async (text, values = []) => firstColumns(await sql.unsafe(text, [...values])),
    transaction(deadlineMs, run) {
      return sql.begin(async (transaction: PostgresJs) => {
        // It goes ahead of the first statement on the same connection, which need not wait for its answer.
        const set = Promise.resolve(transaction.unsafe(timeouts(deadlineMs)));
        const ran = run(async (text, values = []) => firstColumns(await transaction.unsafe(text, [...values])));
        const [value] = await Promise.all([ran, set]);
        return value;
      });
    },
  };
}

function throughPrisma(prisma: PrismaLike): Database {
  const queryOf =
    (client: PrismaLike): Query =>
    async (text, values = []) =>
      firstColumns(await client.$queryRawUnsafe(text, ...values));
  return {
    query: queryOf(prisma),
    transaction(deadlineMs, run) {
      const options = { maxWait: deadlineMs, timeout: 4 * deadlineMs, isolationLevel: "ReadCommitted" };
      return prisma.$transaction(async (client: PrismaLike) => {
        const query = queryOf(client);
        const settings = TIMEOUTS.map((name) => `set_config('${name}', $1, true)`);
        await query(`SELECT ${settings.join(", ")}`, [String(deadlineMs)]);
        return run(query);
      }, options);
    },
  };
}

// What the stores ask of a database, whatever client is between them: statements that each have an end, also where the
// connection has none.

import type { Clock } from "../../clock.ts";
import { LateError, within } from "../../deadlines.ts";
import { validTime } from "../../store/check.ts";
import type { SetupCheck } from "../../store/store.ts";
import { SilentError } from "./errors.ts";
import type { Asked, Statement } from "./statement.ts";

/**
 * Runs one statement with texts as its parameters. Resolves to the first column of each row.
 *
 * A client may rename columns and read numbers as it likes (`transform` of postgres.js, type parsers of `pg`). So a statement
 * answers with one row of one column, the text of a JSON list, which `listIn` reads.
 */
export type Query = (text: string, values?: readonly string[]) => Promise<readonly unknown[]>;

/** What the stores need of a client. The server ends a statement after the deadline, and the client does a little later. */
export interface Database {
  /** Runs in one transaction on one connection; what it throws rolls it back. */
  transaction<Value>(run: (query: Query) => Promise<Value>): Promise<Value>;
  /** One statement in a transaction of its own. */
  readonly query: Query;
  /** Runs statements that come often, in order, in one transaction: one round trip where the client can. Answers as the last one. */
  often(asked: readonly Asked[]): ReturnType<Query>;
  /** Whether the server plans a statement that comes often only once on each connection. */
  readonly keepsPlans: boolean;
  /**
   * One transaction, in two round trips where the client can: it runs some statements, lets `decide` read what the last one
   * answers, and writes. What `decide` throws rolls it back.
   *
   * @param write the statement that writes
   */
  exchange<Value>(asked: readonly Asked[], write: Statement, decide: Decide<Value>): Promise<Value>;
  /** Settings of the client that may break a promise; none where they cannot be seen. */
  settings(): readonly SetupCheck[];
}

/** Says what an answer comes to, and the parameters of the statement that writes; `null` where nothing is written. */
export type Decide<Value> = (answer: readonly unknown[]) => readonly [value: Value, written: readonly string[] | null];

/** The server's time in a statement, epoch ms, rounded down: no row may be ahead of the clock that decides. */
export const SERVER_NOW_MS = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/** The time in a statement: a clock's, else the server's. */
export function sqlNowMs(clock: Clock | undefined): string {
  return clock === undefined ? SERVER_NOW_MS : String(validTime(clock.nowMs()));
}

/** How long the client waits for the answer to a statement: half a second longer than the server works on it. */
export function patienceMs(deadlineMs: number): number {
  return deadlineMs + 500;
}

/** The last one is for a client that went silent amid its transaction: others wait for its locks. */
const TIMEOUTS = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"];

/** The database may have another default, under which a batch fails that waits for the locks of another. */
export const READ_COMMITTED = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED";
export const BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED";

/** Statements that set the server's deadlines until the transaction ends. */
export function setTimeouts(deadlineMs: number): string {
  return TIMEOUTS.map((name) => `SET LOCAL ${name} = ${deadlineMs}`).join("; ");
}

/** The same as one statement, with the deadline as `$1`, for a client that sends one at a time. */
export const SELECT_TIMEOUTS = `SELECT ${TIMEOUTS.map((name) => `set_config('${name}', $1, true)`).join(", ")}`;

export function firstColumns(rows: unknown): readonly unknown[] {
  return Array.isArray(rows) ? rows.map((row) => Object.values(Object(row))[0]) : [];
}

/** Asks once for all callers, and again after that failed. */
export function askedOnce<Value>(ask: () => Promise<Value>): () => Promise<Value> {
  let asked: Promise<Value> | null = null;
  return () => {
    asked ??= ask().catch((error) => {
      asked = null;
      throw error;
    });
    return asked;
  };
}

/** The result of a statement, or an error that says which server did not answer. */
export async function answered<Value>(ms: number, asked: PromiseLike<Value>, where = ""): Promise<Value> {
  try {
    return await within(ms, Promise.resolve(asked));
  } catch (error) {
    throw error instanceof LateError ? new SilentError(where, ms) : error;
  }
}

/** A longer wait for a connection outlasts whatever waits for it. */
const LONGEST_CONNECT_MS = 10_000;

/**
 * How long a client tries to connect.
 *
 * @param ms 0: as long as the system does, which is two minutes or more
 * @param to what the setting should be, in the client's unit
 */
export function connectTimeoutCheck(name: string, ms: number, to: number): SetupCheck {
  const value = ms === 0 ? "none" : `${ms} ms`;
  const isShort = ms > 0 && ms <= LONGEST_CONNECT_MS;
  return { name, value, problem: isShort ? null : `connections that no server accepts fill the pool: set it to ${to}` };
}

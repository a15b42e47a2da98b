// What Postgres and its clients say when something is wrong, as this store's errors.

import { reasonOf } from "../../kernel/reason.ts";
import { StoreError, type StoreErrorCode } from "../../store/error.ts";

/** By SQLSTATE, or Prisma's code where there is none: the code, and whether the same request may succeed later. */
const BY_STATE: Record<string, readonly [code: StoreErrorCode, transient: boolean]> = {
  // A partition that is not a value of the column's type, such as a made-up session where ids are UUIDs: it is not written
  // as one, is out of its range, or has a NUL in it.
  "22P02": ["unknown-partition", false],
  "22003": ["unknown-partition", false],
  "22007": ["unknown-partition", false],
  "22008": ["unknown-partition", false],
  "22021": ["unknown-partition", false],
  // A character that the database's encoding does not have.
  "22P05": ["unsupported-request", false],
  "42P01": ["schema-version", false],
  "42703": ["schema-version", false],
  "3F000": ["schema-version", false],
  "42501": ["unauthorized", false],
  "28000": ["unauthorized", false],
  "28P01": ["unauthorized", false],
  "3D000": ["unavailable", false],
  "25006": ["read-only", true],
  "53100": ["out-of-memory", true],
  "53200": ["out-of-memory", true],
  "55P03": ["busy", true],
  "57014": ["busy", true],
  "57P03": ["loading", true],
  // Prisma's own: no connection was free in time, or the transaction took too long and was rolled back.
  P2028: ["busy", true],
};

/**
 * Of states that are not named here, the first two characters of those with which the server, or its machine, is not there
 * for a while. Any other one is an answer: the server is there, and refuses the same request again.
 */
const TRANSIENT_CLASSES: ReadonlySet<string> = new Set(["08", "25", "40", "53", "55", "57", "58", "XX"]);

export type Fixes = Readonly<Record<string, string>>;

/** What to do, by SQLSTATE, whatever the tables are. */
const EVERYWHERE: Fixes = {
  "25006": "the server is a replica, or only reads: name the primary",
  "53100": "the server's disk is full",
  "53300": "the server has no connection left: make pools smaller, or use a pooler",
};

/** Where the tables are Tollgate's own. */
const OWN_TABLES: Fixes = {
  "42P01": "the tables are not there: run migrate(), or the migration files",
  "42703": "the tables are of another version: run migrate()",
  "3F000": "the schema is not there: create it, then run migrate()",
  "22P05": "make the database with the encoding UTF8",
  "42501": "the role needs SELECT, INSERT, UPDATE and DELETE on Tollgate's tables",
};

interface Hints {
  /** What to do, by SQLSTATE. Default: for Tollgate's own tables. */
  readonly fixes?: Fixes;
  /** Which server that is, such as ` at 10.0.0.5:5432`, where the error does not say so. */
  readonly where?: string;
}

/** An error of the client or the server as a `StoreError`. */
export function postgresError(error: unknown, { fixes = OWN_TABLES, where = "" }: Hints = {}): StoreError {
  if (StoreError.isInstance(error)) return error;
  const state = stateOf(error) ?? "";
  // An error without a state is the client's own, such as `ECONNREFUSED`: it may be over the next time.
  const [code, transient] = BY_STATE[state] ?? [
    "unavailable",
    !isState(state) || TRANSIENT_CLASSES.has(state.slice(0, 2)),
  ];
  const words = reasonOf(error);
  const more = [words.includes(state) ? "" : state, fixes[state] ?? EVERYWHERE[state] ?? ""].filter(Boolean).join("; ");
  const message = `Postgres${where}: ${words}${more === "" ? "" : ` (${more})`}`;
  return new StoreError(code, message, { transient, cause: error });
}

/** A connection that did not answer in time. Whether its statement ran is unknown. */
export class SilentError extends StoreError {
  constructor(where: string, ms: number) {
    super("unavailable", `Postgres${where}: no answer within ${ms} ms`, { transient: true });
  }
}

/** A connection whose statement failed like this is of no use any more. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof SilentError || isReadOnly(error)) return true;
  // After this one of `pg` the statement is still under way.
  if (error instanceof Error && error.message === "Query read timeout") return true;
  return /^(08...|57P0[1-5]|25P03)$/.test(stateOf(error) ?? "");
}

/** Whether the server takes no writes: the one that does is found by another connection. */
export function isReadOnly(error: unknown): boolean {
  return stateOf(error) === "25006";
}

/** Whether a transaction booked nothing and may just be tried again: it was ended so that others could go on, or had no plan. */
export function isRetryable(error: unknown): boolean {
  const state = stateOf(error);
  return state === "40P01" || state === "40001" || isPlanLost(error);
}

/**
 * Whether a connection lacks a statement that was prepared on it, or has one that was not: a pooler leads to another
 * connection of the server each time.
 */
export function isPlanLost(error: unknown): boolean {
  const state = stateOf(error);
  return state === "26000" || state === "42P05";
}

/** A SQLSTATE in a text of Prisma: "Code: `55P03`" in a message, or "originalCode":"55P03" of its driver adapters. */
const QUOTED_STATE = /(?:originalCode|[Cc]ode):?"?\s*[:`"]+\s*"?([0-9A-Z]{5})\b/;

/** The SQLSTATE, wherever a client keeps it; else the client's own code. */
function stateOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  const { code, meta, cause } = error as Record<string, unknown>;
  if (isState(code)) return code;
  const quoted = [error, meta, cause].map((each) => QUOTED_STATE.exec(textOf(each))?.[1]);
  return quoted.find(isState) ?? (typeof code === "string" ? code : undefined);
}

/** Whether a code is a SQLSTATE. Prisma's own codes begin with P1 to P9; P0 is Postgres's class for errors in functions. */
function isState(code: unknown): code is string {
  return typeof code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(code) && !/^P[1-9]\d{3}$/.test(code);
}

function textOf(value: unknown): string {
  const message = value instanceof Error ? `${value.message} ` : "";
  try {
    return message + (JSON.stringify(value instanceof Error ? { ...value } : value) ?? "");
  } catch {
    // A driver may put anything into an error: a circular object, or a bigint.
    return message;
  }
}

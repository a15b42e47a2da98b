// Postgres clients, told apart by their shape.

import { formatGot, MisuseError } from "../../kernel/errors.ts";
import { jsonIn } from "../../store/check.ts";
import { StoreError } from "../../store/error.ts";
import type { Database } from "./database.ts";
import { type PgPool, pgDatabase } from "./pg.ts";
import { type PostgresJs, postgresJsDatabase } from "./postgres-js.ts";
import { type PrismaLike, prismaDatabase } from "./prisma.ts";

export type { PgPool, PostgresJs, PrismaLike };

/** A client that the Postgres stores take. */
export type PostgresClient = PgPool | PostgresJs | PrismaLike;

/**
 * How to ask through a client.
 *
 * @param deadlineMs for each statement
 * @throws MisuseError `unsupported-client`
 */
export function databaseThrough(client: PostgresClient, deadlineMs: number): Database {
  const isObject = Object(client) === client;
  if (isObject) {
    if ("$queryRawUnsafe" in client && "$transaction" in client) return prismaDatabase(client, deadlineMs);
    if ("unsafe" in client && "begin" in client) return postgresJsDatabase(client, deadlineMs);
    if ("query" in client && "connect" in client && "totalCount" in client) return pgDatabase(client, deadlineMs);
  }
  throw new MisuseError("unsupported-client", {
    path: "client",
    expected: "a Pool of pg, postgres() of postgres.js, or a Prisma client",
    got: isObject ? "an object that is none of them" : formatGot(client),
  });
}

/**
 * Reads the answer to a statement: a JSON list, as text, in its first column and row. An empty list where there is no row.
 *
 * @throws StoreError `invalid-reply`
 */
export function listIn([value]: readonly unknown[]): readonly unknown[] {
  // A client whose parser for texts reads JSON has done so already.
  const list = jsonIn(value ?? []);
  if (Array.isArray(list)) return list;
  const message = `Postgres: expected the text of a JSON list, got ${formatGot(value)}: the client must not change texts`;
  throw new StoreError("invalid-reply", message, { transient: false });
}

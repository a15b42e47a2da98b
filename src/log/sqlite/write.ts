// Writes a batch in one transaction: all of it, or nothing.

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { nearNameOf } from "../near.ts";
import type { LogBatch } from "../storage.ts";
import { fillOf } from "../sums.ts";
import { hashOf } from "../text.ts";

const ADDED = "calls = calls + excluded.calls, denied = denied + excluded.denied";
const ADDED_UNITS = "units = units + excluded.units";

export class BatchWriter {
  readonly #database: DatabaseSync;
  readonly #statements: Readonly<Record<keyof typeof STATEMENTS, StatementSync>>;

  constructor(database: DatabaseSync) {
    this.#database = database;
    const prepared = Object.entries(STATEMENTS).map(([name, sql]) => [name, database.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof STATEMENTS, StatementSync>;
  }

  /** Writes a batch, unless its number was written before. */
  write(batch: LogBatch, nowMs: number): void {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      if (this.#isNew(batch, nowMs)) {
        this.#entries(batch);
        this.#sums(batch);
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #isNew({ instance, number }: LogBatch, nowMs: number): boolean {
    return this.#statements.number.run(instance, number, nowMs).changes > 0;
  }

  #entries({ entries }: LogBatch): void {
    for (const entry of entries) {
      const { session, tenant = "" } = entry.dimensions;
      const isEvent = entry.kind === "event";
      const allowed = isEvent ? null : Number(entry.allowed);
      const hash = session === undefined ? null : hashOf(session);
      const body = JSON.stringify(entry);
      this.#statements.entry.run(hashOf(entry.id), entry.atMs, Number(isEvent), allowed, hash, tenant, body);
    }
  }

  #sums({ minutes, tops, near, sessions, policies }: LogBatch): void {
    const { minute, top, bucket, session, policy } = this.#statements;
    for (const row of minutes) {
      const { calls, denied, exceeded, units, logged, dropped } = row;
      minute.run(
        row.minute,
        row.limit,
        row.unit,
        row.tool,
        row.tenant,
        calls,
        denied,
        exceeded,
        units,
        logged,
        dropped,
      );
    }
    for (const row of tops) {
      const { calls, denied, units, error } = row;
      top.run(row.minute, row.dimension, row.unit, row.value, row.tenant, calls, denied, units, error);
    }
    for (const row of near) {
      const dimensions = JSON.stringify(row.dimensions);
      const { limit, tenant, unit, used, capacity, atMs, endsAtMs } = row;
      bucket.run(nearNameOf(row), limit, dimensions, tenant, unit, used, capacity, fillOf(row), atMs, endsAtMs);
    }
    for (const row of sessions) {
      session.run(row.session, row.tenant, row.user, row.firstMs, row.lastMs, row.calls, row.denied, row.deniedBy);
    }
    for (const { version, atMs, source } of policies) policy.run(version, atMs, source);
  }
}

const STATEMENTS = {
  number: `INSERT INTO writers VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET number = excluded.number, at_ms = excluded.at_ms
    WHERE excluded.number > number`,
  entry: `INSERT INTO entries (id_hash, at_ms, kind, allowed, session_hash, tenant, body) VALUES (?, ?, ?, ?, ?, ?, ?)`,
  minute: `INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ${ADDED}, ${ADDED_UNITS},
    exceeded = exceeded + excluded.exceeded, logged = logged + excluded.logged, dropped = dropped + excluded.dropped`,
  top: `INSERT INTO tops VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ${ADDED}, ${ADDED_UNITS},
    error = error + excluded.error`,
  bucket: `INSERT INTO near VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    tenant = CASE excluded.tenant WHEN '' THEN tenant ELSE excluded.tenant END, used = excluded.used,
    capacity = excluded.capacity, fill = excluded.fill, at_ms = excluded.at_ms, ends_at_ms = excluded.ends_at_ms`,
  session: `INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET ${ADDED},
    user = CASE excluded.user WHEN '' THEN user ELSE excluded.user END, first_ms = min(first_ms, excluded.first_ms),
    last_ms = max(last_ms, excluded.last_ms), denied_by = coalesce(excluded.denied_by, denied_by)`,
  policy: `INSERT OR REPLACE INTO policies VALUES (?, ?, ?)`,
} as const;

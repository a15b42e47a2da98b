// Answers queries from the tables. Each looks at a bounded number of rows.

import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { LogEntry } from "../entry.ts";
import { isOfTenants, sessionCursor, sessionPlace } from "../matching.ts";
import { CHUNK, type EntryRow, PageOfRows } from "../page.ts";
import type * as log from "../storage.ts";
import { OF_CALLS, OF_LIMITS, topParts } from "../sql.ts";
import { MINUTE_MS } from "../sums.ts";
import { hashOf } from "../text.ts";

const MAX_POINTS = 50_000;

type Row = Readonly<Record<string, unknown>>;

export class FileReader {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  entries(query: log.EntryQuery): log.EntryPage {
    const last = Number(this.#all("SELECT max(position) AS last FROM entries")[0]?.last ?? 0);
    const page = new PageOfRows(query, last);
    const [from, parameters] = candidatesOf(query);
    const order = page.isForward ? "position > ? ORDER BY position" : "position < ? ORDER BY position DESC";
    const select = `SELECT position, tenant, body FROM ${from} AND ${order} LIMIT ${CHUNK}`;
    for (;;) {
      const full = page.add(this.#all(select, ...parameters, page.place) as unknown as EntryRow[]);
      if (full !== null) return full;
    }
  }

  entry(id: string, tenants: log.Tenants): LogEntry | null {
    const rows = this.#all("SELECT body FROM entries WHERE id_hash = ? ORDER BY position DESC", hashOf(id));
    const entry = rows.map(({ body }): LogEntry => JSON.parse(String(body))).find((each) => each.id === id);
    return entry !== undefined && isOfTenants(entry.dimensions.tenant, tenants) ? entry : null;
  }

  top({ by, unit, count, tenants, ...span }: log.TopQuery): log.TopRow[] {
    const { value, table, where, units, excess, most } = topParts(by, unit);
    const rows = this.#all(
      `SELECT ${value} AS value, sum(calls) AS calls, sum(denied) AS denied, ${units} AS units, ${excess} AS error
      FROM ${table} WHERE minute BETWEEN ? AND ? AND ${where} AND (? = '' OR unit = ?) ${ofTenants(tenants)}
      GROUP BY 1 HAVING value <> '' ORDER BY ${most} DESC, value LIMIT ?`,
      ...minutesOf(span),
      unit ?? "",
      unit ?? "",
      ...tenantsIn(tenants),
      count,
    );
    return rows as unknown as log.TopRow[];
  }

  near({ tenants, over, nowMs, count }: log.NearQuery): log.NearBucket[] {
    const rows = this.#all(
      `SELECT "limit", dimensions, tenant, unit, used, capacity, at_ms AS atMs, ends_at_ms AS endsAtMs
      FROM near WHERE fill >= ? AND ends_at_ms > ? ${ofTenants(tenants)} ORDER BY fill DESC, at_ms DESC LIMIT ?`,
      over,
      nowMs,
      ...tenantsIn(tenants),
      count,
    );
    return rows.map((row) => ({ ...row, dimensions: JSON.parse(String(row.dimensions)) }) as unknown as log.NearBucket);
  }

  sessions({ tenants, prefix = "", pageSize, cursor }: log.SessionQuery): log.Page<log.SessionSum> {
    const place = cursor === undefined ? null : sessionPlace(cursor);
    const behind = "AND (last_ms < ? OR (last_ms = ? AND (session, tenant) > (?, ?)))";
    const after = place === null ? [] : [place.lastMs, place.lastMs, place.session, place.tenant];
    const rows = this.#all(
      `SELECT session, tenant, user, first_ms AS firstMs, last_ms AS lastMs, calls, denied, denied_by AS deniedBy
      FROM sessions WHERE substr(session, 1, length(?)) = ? ${ofTenants(tenants)} ${place === null ? "" : behind}
      ORDER BY last_ms DESC, session, tenant LIMIT ?`,
      prefix,
      prefix,
      ...tenantsIn(tenants),
      ...after,
      pageSize + 1,
    ) as unknown as log.SessionSum[];
    const items = rows.slice(0, pageSize);
    const last = items.at(-1);
    return { items, nextCursor: last !== undefined && rows.length > pageSize ? sessionCursor(last) : null };
  }

  series({ by, stepMinutes, tenants, ...span }: log.SeriesQuery): log.SeriesPoint[] {
    const of = by === null ? "''" : `"${by}"`;
    const rows = this.#all(
      `SELECT minute / ? * ? AS atMs, ${of} AS "of", sum(calls) AS calls, sum(denied) AS denied, sum(units) AS units
      FROM minutes WHERE minute BETWEEN ? AND ? AND ${by === "limit" ? OF_LIMITS : OF_CALLS} ${ofTenants(tenants)}
      ${by === null ? "" : `AND ${of} <> ''`} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ${MAX_POINTS}`,
      BigInt(stepMinutes),
      stepMinutes * MINUTE_MS,
      ...minutesOf(span),
      ...tenantsIn(tenants),
    );
    return rows as unknown as log.SeriesPoint[];
  }

  policy(version: string): string | null {
    const [row] = this.#all("SELECT source FROM policies WHERE version = ?", version);
    return row === undefined ? null : String(row.source);
  }

  salt(): string {
    return String(this.#all("SELECT salt FROM meta")[0]?.salt);
  }

  /** Objects of a statement have no prototype. */
  #all(sql: string, ...parameters: SQLInputValue[]): Row[] {
    return this.#database
      .prepare(sql)
      .all(...parameters)
      .map((row) => ({ ...row }));
  }
}

/** The rows among which a query's entries are, by the index that leaves out most others. */
function candidatesOf({ session, allowed, kind }: log.EntryQuery): [from: string, parameters: SQLInputValue[]] {
  if (session !== undefined) return ["entries INDEXED BY entries_session WHERE session_hash = ?", [hashOf(session)]];
  const isRare = allowed === false || kind === "event";
  return [isRare ? "entries INDEXED BY entries_denied WHERE (allowed = 0 OR kind = 1)" : "entries WHERE true", []];
}

function ofTenants(tenants: log.Tenants): string {
  return tenants === null ? "" : "AND tenant <> '' AND tenant IN (SELECT value FROM json_each(?))";
}

function tenantsIn(tenants: log.Tenants): string[] {
  return tenants === null ? [] : [JSON.stringify(tenants)];
}

/** The first and the last minute of a span. */
function minutesOf({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }): [number, number] {
  return [Math.floor(fromMs / MINUTE_MS), Math.ceil(toMs / MINUTE_MS) - 1];
}

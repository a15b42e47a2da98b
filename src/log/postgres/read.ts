// Answers queries from the tables. Each looks at a bounded number of rows.

import { listIn } from "../../stores/postgres/client.ts";
import type { Query } from "../../stores/postgres/database.ts";
import type { LogEntry } from "../entry.ts";
import { isOfTenants, sessionCursor, sessionPlace } from "../matching.ts";
import { CHUNK, type EntryRow, PageOfRows } from "../page.ts";
import type * as log from "../storage.ts";
import { OF_CALLS, OF_LIMITS, topParts } from "../sql.ts";
import { MINUTE_MS } from "../sums.ts";
import type { Prefix } from "./tables.ts";

const MAX_POINTS = 50_000;

type Row = Readonly<Record<string, unknown>>;
type Value = string | number | null;

export class TableReader implements log.LogReader {
  readonly #ask: () => Promise<Query>;
  readonly #at: Prefix;

  /** @param ask how to ask, once there are tables */
  constructor(ask: () => Promise<Query>, at: Prefix) {
    this.#ask = ask;
    this.#at = at;
  }

  async entries(query: log.EntryQuery): Promise<log.EntryPage> {
    const [newest] = await this.#rows(`SELECT max(position) AS last FROM ${this.#at}tollgate_log_entries`, []);
    const page = new PageOfRows(query, Number(newest?.last ?? 0));
    const { where, values } = candidatesOf(query);
    const order = page.isForward
      ? "position > $1::bigint ORDER BY position"
      : "position < $1::bigint ORDER BY position DESC";
    const select = `SELECT position, tenant, body FROM ${this.#at}tollgate_log_entries WHERE ${where} AND ${order}`;
    for (;;) {
      const rows = await this.#rows(`${select} LIMIT ${CHUNK}`, [page.place, ...values]);
      const full = page.add(rows as unknown as EntryRow[]);
      if (full !== null) return full;
    }
  }

  async entry(id: string, tenants: log.Tenants): Promise<LogEntry | null> {
    const [row] = await this.#rows(`SELECT body FROM ${this.#at}tollgate_log_entries WHERE id = $1`, [id]);
    const entry: LogEntry | null = row === undefined ? null : JSON.parse(String(row.body));
    return entry !== null && isOfTenants(entry.dimensions.tenant, tenants) ? entry : null;
  }

  async top({ by, unit, count, tenants, ...span }: log.TopQuery): Promise<readonly log.TopRow[]> {
    const { value, table, where, units, excess, most } = topParts(by, unit);
    const rows = await this.#rows(
      `SELECT ${value} AS value, sum(calls) AS calls, sum(denied) AS denied, ${units} AS units, ${excess} AS error
      FROM ${this.#at}tollgate_log_${table}
      WHERE minute BETWEEN $1::bigint AND $2::bigint AND ${where} AND ($5 = '' OR unit = $5) AND ${value} <> '' AND ${ofTenants(3)}
      GROUP BY 1 ORDER BY sum(${most}) DESC, ${value} COLLATE "C" LIMIT $4::bigint`,
      [...minutesOf(span), tenantsIn(tenants), count, unit ?? ""],
    );
    return rows as unknown as log.TopRow[];
  }

  async near({ tenants, over, nowMs, count }: log.NearQuery): Promise<readonly log.NearBucket[]> {
    const rows = await this.#rows(
      `SELECT tenant, body FROM ${this.#at}tollgate_log_near WHERE fill >= $1::float8 AND ends_at_ms > $2::bigint AND ${ofTenants(3)}
      ORDER BY fill DESC, at_ms DESC LIMIT $4::bigint`,
      [over, nowMs, tenantsIn(tenants), count],
    );
    return rows.map(({ tenant, body }) => ({ ...JSON.parse(String(body)), tenant: String(tenant) }));
  }

  async sessions({ tenants, prefix = "", pageSize, cursor }: log.SessionQuery): Promise<log.Page<log.SessionSum>> {
    const { lastMs, session, tenant } = cursor === undefined ? FIRST : sessionPlace(cursor);
    const rows = (await this.#rows(
      `SELECT session, tenant, "user", first_ms AS "firstMs", last_ms AS "lastMs", calls, denied, denied_by AS "deniedBy"
      FROM ${this.#at}tollgate_log_sessions WHERE left(session, length($1)) = $1 AND ${ofTenants(2)} AND (last_ms < $3::bigint
        OR (last_ms = $3::bigint AND (session COLLATE "C", tenant COLLATE "C") > ($4, $5)))
      ORDER BY last_ms DESC, session COLLATE "C", tenant COLLATE "C" LIMIT $6::bigint`,
      [prefix, tenantsIn(tenants), lastMs, session, tenant, pageSize + 1],
    )) as unknown as log.SessionSum[];
    const items = rows.slice(0, pageSize);
    const last = items.at(-1);
    return { items, nextCursor: last !== undefined && rows.length > pageSize ? sessionCursor(last) : null };
  }

  async series({ by, stepMinutes, tenants, ...span }: log.SeriesQuery): Promise<readonly log.SeriesPoint[]> {
    const of = by === null ? "''::text" : `"${by}"`;
    const rows = await this.#rows(
      `SELECT minute / $4::bigint * $4::bigint * ${MINUTE_MS} AS "atMs", ${of} AS "of", sum(calls) AS calls, sum(denied) AS denied,
        sum(units) AS units
      FROM ${this.#at}tollgate_log_minutes WHERE minute BETWEEN $1::bigint AND $2::bigint
        AND ${by === "limit" ? OF_LIMITS : OF_CALLS} AND ${ofTenants(3)} ${by === null ? "" : `AND ${of} <> ''`}
      GROUP BY 1, 2 ORDER BY 1${by === null ? "" : `, ${of} COLLATE "C"`} LIMIT ${MAX_POINTS}`,
      [...minutesOf(span), tenantsIn(tenants), stepMinutes],
    );
    return rows as unknown as log.SeriesPoint[];
  }

  async policy(version: string): Promise<string | null> {
    const [row] = await this.#rows(`SELECT source FROM ${this.#at}tollgate_log_policies WHERE version = $1`, [version]);
    return row === undefined ? null : String(row.source);
  }

  async #rows(sql: string, values: readonly Value[]): Promise<readonly Row[]> {
    const query = await this.#ask();
    const texts = values.map((value) => (value === null ? "null" : String(value)));
    return listIn(await query(`SELECT coalesce(json_agg(r), '[]')::text FROM (${sql}) r`, texts)) as Row[];
  }
}

/** Before every session. */
const FIRST = { lastMs: Number.MAX_SAFE_INTEGER, session: "", tenant: "" };

/** The rows among which a query's entries are, by the index that leaves out most others. The first parameter is the position. */
function candidatesOf({ session, allowed, kind }: log.EntryQuery): {
  readonly where: string;
  readonly values: Value[];
} {
  if (session !== undefined) return { where: "session = $2", values: [session] };
  return { where: allowed === false || kind === "event" ? "(allowed = false OR kind = 'event')" : "true", values: [] };
}

/** The parameter is a list in JSON; `null`: all, and none. */
function ofTenants(parameter: number): string {
  const list = `$${parameter}::jsonb`;
  return `(${list} = 'null'::jsonb OR (tenant <> '' AND ${list} ? tenant))`;
}

function tenantsIn(tenants: log.Tenants): string {
  return JSON.stringify(tenants);
}

/** The first and the last minute of a span. */
function minutesOf({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }): [number, number] {
  return [Math.floor(fromMs / MINUTE_MS), Math.ceil(toMs / MINUTE_MS) - 1];
}

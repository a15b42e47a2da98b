// The contract of what keeps a decision log: a SQLite file, a Postgres table, a Redis stream, a function, memory.

import type { LogEntry } from "./entry.ts";

/** What a recorder writes at once: entries, and sums that are added to what other instances wrote. */
export interface LogBatch {
  readonly instance: string;
  /** A batch whose answer was lost is sent again under its number, and counts once. Numbers of an instance grow. */
  readonly number: number;
  readonly entries: readonly LogEntry[];
  readonly minutes: readonly MinuteCount[];
  readonly tops: readonly MinuteTop[];
  readonly near: readonly NearBucket[];
  readonly sessions: readonly SessionSum[];
  readonly policies: readonly PolicySource[];
}

/** Calls of one minute by limit, unit, tool and tenant: exact, also where only a sample of the entries is kept. */
export interface MinuteCount {
  /** Minutes since 1970. */
  readonly minute: number;
  /** The empty text: of no one limit. */
  readonly limit: string;
  /** What the limit counts. Without a limit: what the calls spent, such as `tokens`; the empty text: the calls themselves. */
  readonly unit: string;
  /** `_OTHER` where a minute has too many. */
  readonly tool: string;
  /** The empty text: none. */
  readonly tenant: string;
  readonly calls: number;
  readonly denied: number;
  readonly exceeded: number;
  readonly units: number;
  /** Entries that were kept, and entries that were to be kept and were lost. */
  readonly logged: number;
  readonly dropped: number;
}

/** One of the values of a dimension that made most calls in a minute, or spent most of a unit. */
export interface MinuteTop {
  readonly minute: number;
  readonly dimension: "session" | "user";
  /** The empty text: it made most calls. */
  readonly unit: string;
  readonly value: string;
  readonly tenant: string;
  readonly calls: number;
  readonly denied: number;
  readonly units: number;
  /** By how many `units` may be too high; without a unit, `calls`. */
  readonly error: number;
}

/** A bucket that is filled to 80 % or more. */
export interface NearBucket {
  readonly limit: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly tenant: string;
  readonly unit: string;
  readonly used: number;
  readonly capacity: number;
  readonly atMs: number;
  /** When it is empty again if nothing happens. */
  readonly endsAtMs: number;
}

/** What was seen of a session. Sums are added, instants are merged. */
export interface SessionSum {
  readonly session: string;
  readonly tenant: string;
  readonly user: string;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly calls: number;
  readonly denied: number;
  /** The limit of the last denial; `null`: none. */
  readonly deniedBy: string | null;
}

export interface PolicySource {
  readonly version: string;
  readonly atMs: number;
  /** The policy in JSON. */
  readonly source: string;
}

/** Where a log is kept. */
export interface LogStorage {
  /** Such as `sqlite`. */
  readonly name: string;
  /** Whether other instances write to it too. */
  readonly isShared: boolean;
  /**
   * Writes all of a batch, once for each number; or rejects, and then nothing of it was written, or parts that are left out when it is
   * sent again.
   */
  write(batch: LogBatch): Promise<void>;
  /** What arguments are hashed with: made once for each log. */
  salt(): Promise<string>;
  /** Absent: what is written cannot be read, as with a function. */
  readonly read?: LogReader;
  close(): Promise<void>;
}

/** A storage that can be read. */
export type ReadableStorage = LogStorage & { readonly read: LogReader };

/** A page of what a query finds. */
export interface Page<Item> {
  readonly items: readonly Item[];
  /** Continues where this page ends; `null`: it is the last. A page may be short, or empty, and yet have one. */
  readonly nextCursor: string | null;
}

/** Of a query: only entries of these tenants; `null`: of all, and of none. */
export type Tenants = readonly string[] | null;

export interface EntryQuery {
  readonly kind?: "decision" | "event";
  readonly allowed?: boolean;
  readonly limit?: string;
  readonly tool?: string;
  readonly session?: string;
  readonly user?: string;
  readonly tenants: Tenants;
  /** Epoch ms, inclusive. */
  readonly fromMs?: number;
  /** Epoch ms, exclusive. */
  readonly toMs?: number;
  readonly pageSize: number;
  /** Of the page before: older entries follow. */
  readonly cursor?: string;
  /** A position: entries that came after it, oldest first. Instead of `cursor`. */
  readonly after?: string;
}

export interface EntryPage extends Page<LogEntry> {
  /** The position behind the newest entry of the log: `after` it come those that are written from now on. */
  readonly lastPosition: string;
}

export interface SpanQuery {
  readonly tenants: Tenants;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface TopQuery extends SpanQuery {
  readonly by: "session" | "user" | "tool" | "tenant" | "limit";
  /** Those that spent most of this unit, such as `tokens` or `usd_micros`. Default: those that made most calls. */
  readonly unit?: string;
  readonly count: number;
}

export interface TopRow {
  readonly value: string;
  /** Of a query with a unit: calls that limits of this unit judged. */
  readonly calls: number;
  readonly denied: number;
  /** What they spent of the unit; 0 without one. */
  readonly units: number;
  /** By how many `units` may be too high, or without a unit `calls`; 0: exact. */
  readonly error: number;
}

export interface NearQuery {
  readonly tenants: Tenants;
  /** From 0.8 to 1. */
  readonly over: number;
  readonly nowMs: number;
  readonly count: number;
}

export interface SessionQuery {
  readonly tenants: Tenants;
  /** Only sessions that begin so. */
  readonly prefix?: string;
  readonly pageSize: number;
  readonly cursor?: string;
}

export interface SeriesQuery extends SpanQuery {
  readonly by: "limit" | "tool" | "tenant" | null;
  /** Length of a point in minutes. At most 1,500 points. */
  readonly stepMinutes: number;
}

export interface SeriesPoint {
  readonly atMs: number;
  /** The limit, tool or tenant; the empty text where `by` is `null`. */
  readonly of: string;
  readonly calls: number;
  readonly denied: number;
  readonly units: number;
}

export interface LogReader {
  /** Newest first, or after a position, oldest first. */
  entries(query: EntryQuery): Promise<EntryPage>;
  entry(id: string, tenants: Tenants): Promise<LogEntry | null>;
  top(query: TopQuery): Promise<readonly TopRow[]>;
  /** The fullest first. */
  near(query: NearQuery): Promise<readonly NearBucket[]>;
  /** Those that called last come first. */
  sessions(query: SessionQuery): Promise<Page<SessionSum>>;
  series(query: SeriesQuery): Promise<readonly SeriesPoint[]>;
  policy(version: string): Promise<string | null>;
}

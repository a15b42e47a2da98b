// What the service answers, as far as the console reads it.

import type { DecisionEntry, EventEntry, LoggedVerdict, LogEntry } from "../src/log/entry.ts";
import type { NearBucket, SeriesPoint, SessionSum, TopRow } from "../src/log/storage.ts";

export type { DecisionEntry, EventEntry, LoggedVerdict, LogEntry, NearBucket, SeriesPoint, SessionSum, TopRow };

export interface Me {
  readonly keyId: string | null;
  readonly scopes: readonly string[];
  readonly tenants: readonly string[] | null;
  readonly version: string;
  /** The version of the policy in force. */
  readonly policy: string;
  readonly log: { readonly storage: string; readonly isShared: boolean } | null;
}

export interface Listed<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

export interface Decisions extends Listed<LogEntry> {
  readonly lastPosition: string;
}

export interface Explained {
  readonly entry: DecisionEntry;
  readonly what: string;
  readonly rule: string | null;
  readonly stood: readonly string[];
  readonly opens: string | null;
  readonly helps: readonly { readonly text: string; readonly command: string | null }[];
}

/** How a bucket stands. */
export interface Usage {
  readonly limit: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit: string;
  readonly quota: number | null;
  readonly capacity: number | null;
  readonly granted: number;
  readonly used: number;
  readonly remaining: number | null;
  readonly resetAfterMs: number;
  readonly grants: readonly { readonly id: string; readonly units: number; readonly endsInMs: number }[];
}

export interface Readiness {
  readonly status: "ready" | "degraded" | "away" | "stopping";
  readonly reason: string | null;
  readonly awayMs: number | null;
}

export interface PolicyAnswer {
  readonly version: string;
  readonly source: string;
}

export interface Finding {
  readonly level: "error" | "warning";
  readonly path: string;
  readonly line: number | null;
  readonly message: string;
  readonly hint: string | null;
}

export interface PolicyChecked {
  readonly findings: readonly Finding[];
  readonly version: string | null;
}

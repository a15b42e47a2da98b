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
  readonly entry: LogEntry;
  readonly parts: readonly { readonly title: string; readonly text: string }[];
}

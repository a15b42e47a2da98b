// What the service answers, as far as the console reads it.

import type { DecisionEntry, EventEntry, LoggedVerdict, LogEntry } from "../src/log/entry.ts";
import type { NearBucket, SeriesPoint, SessionSum, TopRow } from "../src/log/storage.ts";

export type { GatewayServer, GatewayView } from "../src/service-log/gateway-view.ts";
export type { DecisionEntry, EventEntry, LoggedVerdict, LogEntry, NearBucket, SeriesPoint, SessionSum, TopRow };

export interface Me {
  readonly keyId: string | null;
  readonly scopes: readonly string[];
  readonly tenants: readonly string[] | null;
  readonly version: string;
  /** The version of the policy in force. */
  readonly policy: string;
  readonly isPolicyWritable: boolean;
  /** Whether an MCP gateway runs beside the service. */
  readonly hasGateway: boolean;
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
  readonly etag: string;
}

/** What a policy would have done with logged calls, and another one. */
export interface Simulated {
  readonly read: {
    readonly calls: number;
    readonly sessions: number;
    readonly firstMs: number | null;
    readonly lastMs: number | null;
    readonly leftOut: number;
    readonly isSample: boolean;
    readonly standsFor: number;
    readonly isCut: boolean;
  };
  readonly policy: SimulatedPolicy;
  readonly against: SimulatedPolicy;
  readonly newlyDenied: SimulatedDifference;
  readonly newlyAllowed: SimulatedDifference;
  readonly deniedByBoth: number;
  readonly notes: readonly string[];
}

interface SimulatedPolicy {
  readonly denied: number;
}

export interface SimulatedDifference {
  readonly calls: number;
  readonly deniedBy: Readonly<Record<string, number>>;
  readonly examples: readonly SimulatedCall[];
}

export interface SimulatedCall {
  readonly atMs: number;
  readonly tool: string;
  readonly session: string | null;
  readonly turn: string | null;
  readonly nthOfSession: number;
  readonly limit: string;
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

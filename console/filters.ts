// The filters of decisions: as the address has them, and as the service is asked.

import type { Params } from "./address.ts";

export const OUTCOMES = [
  ["", "all calls"],
  ["denied", "denied"],
  ["allowed", "allowed"],
  ["events", "grants, resets, outages"],
] as const;

export const SPANS = [
  ["", "any time"],
  ["15m", "last 15 minutes"],
  ["1h", "last hour"],
  ["24h", "last 24 hours"],
  ["7d", "last 7 days"],
] as const;

const SPAN_MS: Readonly<Record<string, number>> = {
  "15m": 900_000,
  "1h": 3_600_000,
  "24h": 86_400_000,
  "7d": 604_800_000,
};

/** The length of a span; `undefined`: any time. */
export function spanMsOf(span: string): number | undefined {
  return SPAN_MS[span];
}

/** Filters that name a value. */
export const NAMED = ["tool", "limit", "session", "user"] as const;

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** The query of `/v1/decisions` for the params of an address. */
export function queryOf(params: Params, nowMs: number): Query {
  const { outcome = "", last = "" } = params;
  const spanMs = spanMsOf(last);
  return {
    ...Object.fromEntries(NAMED.map((name) => [name, params[name]])),
    ...(outcome === "denied" || outcome === "allowed" ? { allowed: outcome === "allowed" } : {}),
    kind: outcome === "events" ? "event" : outcome === "" ? undefined : "decision",
    ...(spanMs === undefined ? {} : { fromMs: nowMs - spanMs }),
  };
}

/** The filters alone, without what else the address has: what the list is of. */
export function filterKeyOf(params: Params): string {
  return JSON.stringify(["outcome", "last", ...NAMED].map((name) => params[name] ?? ""));
}

// Batches for tests of storages: entries and counts with few words.

import type { DecisionEntry, EventEntry, LogBatch, LoggedVerdict } from "tollgate/log";
import { digitsOf } from "../../src/log/id.ts";

/** 2030, at the beginning of a minute. */
export const START_MS = 1_893_456_000_000;

const verdict: LoggedVerdict = {
  limit: "calls",
  unit: "calls",
  mode: "enforce",
  allowed: true,
  exceeded: false,
  cost: 1,
  quota: 3,
  capacity: 3,
  granted: 0,
  remainingBefore: 3,
  remaining: 2,
  windowMs: null,
  resetAfterMs: 60_000,
  retryAfterMs: null,
  per: ["session"],
};

/** An id with a time and a number. */
export function idAt(atMs: number, number: number): string {
  return digitsOf(atMs, 10) + digitsOf(7, 8) + String(number).padStart(8, "0");
}

export interface Written extends Partial<Omit<DecisionEntry, "kind" | "id" | "atMs">> {
  /** Names the entry, from 1. */
  readonly n: number;
  /** After the start. */
  readonly ms?: number;
  readonly session?: string;
  readonly user?: string;
  readonly tenant?: string;
  readonly limit?: string;
}

export function decisionOf({ n, ms = n, session, user, tenant, limit = "calls", ...others }: Written): DecisionEntry {
  const allowed = others.allowed ?? true;
  const said = { session, tenant, user };
  const dimensions = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) as object;
  return {
    kind: "decision",
    id: idAt(START_MS + ms, n),
    atMs: START_MS + ms,
    instance: "one",
    policy: "p1",
    verb: "consume",
    tool: "search",
    dimensions: dimensions as Record<string, string>,
    argsHash: null,
    allowed,
    deniedBy: allowed ? null : limit,
    retryAfterMs: null,
    detail: null,
    verdicts: [{ ...verdict, limit, allowed, exceeded: !allowed }],
    degraded: null,
    replayed: false,
    via: "library",
    durationMs: null,
    weight: 1,
    ...others,
  };
}

export function eventOf(n: number, type: string, dimensions: Record<string, string> = {}): EventEntry {
  const atMs = START_MS + n;
  const own = { id: idAt(atMs, n), atMs, instance: "one", policy: "p1" };
  return { kind: "event", ...own, type, limit: "calls", dimensions, data: { n }, actor: null, reason: null };
}

/** A batch of an instance, with nothing but what is given. */
export function batchOf(content: Partial<LogBatch>): LogBatch {
  const nothing = { entries: [], minutes: [], tops: [], near: [], sessions: [], policies: [] };
  return { instance: "one", number: 1, ...nothing, ...content };
}

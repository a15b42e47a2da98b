// The floors: code that only counts the same calls, in this process or a file. What they lack is what Tollgate takes its time
// for.

import { DatabaseSync } from "node:sqlite";
import type { Decision, Verdict } from "tollgate";
import { type Call, type Limit, WINDOW_SECONDS } from "./calls.ts";
import type { Opened } from "./race.ts";

/** A key, a Map and a whole decision. Its one limit is in its code. */
export function bareForm({ name, quota, key: keyOf }: Limit): (call: Call) => Promise<Decision> {
  const buckets = new Map<string, { spent: number; expiresAtMs: number }>();
  return async (call) => {
    const key = `${name}:${keyOf(call)}`;
    const nowMs = Date.now();
    let bucket = buckets.get(key);
    if (bucket === undefined) {
      bucket = { spent: 0, expiresAtMs: nowMs + WINDOW_SECONDS * 1_000 };
      buckets.set(key, bucket);
    }
    const allowed = bucket.spent < quota;
    if (allowed) bucket.spent++;
    const resetAfterMs = bucket.expiresAtMs - nowMs;
    const retryAfterMs = allowed ? null : resetAfterMs;
    const verdict: Verdict = {
      limit: name,
      allowed,
      exceeded: !allowed,
      mode: "enforce",
      unit: "calls",
      cost: 1,
      quota,
      capacity: quota,
      remaining: quota - bucket.spent,
      windowMs: WINDOW_SECONDS * 1_000,
      resetAfterMs,
      retryAfterMs,
    };
    const rest = { verdicts: [verdict], notice: null, degraded: null, replayed: false, decidedAtMs: nowMs };
    return allowed
      ? { allowed, deniedBy: null, retryAfterMs: null, message: null, detail: null, ...rest }
      : { allowed, deniedBy: name, retryAfterMs, message: "denied", detail: "denied", ...rest };
  };
}

/** Counters, and a yes or no. It charges all limits or none. */
export function leanMap(limits: readonly Limit[]): (call: Call) => Promise<{ readonly allowed: boolean }> {
  const spent = new Map<string, number>();
  return async (call) => {
    const keys: string[] = [];
    let allowed = true;
    for (const limit of limits) {
      const key = `${limit.name}:${limit.key(call)}`;
      keys.push(key);
      if ((spent.get(key) ?? 0) >= limit.quota) allowed = false;
    }
    if (allowed) for (const key of keys) spent.set(key, (spent.get(key) ?? 0) + 1);
    return { allowed, decidedAtMs: Date.now() };
  };
}

/** As many calls as Tollgate's stores take at once. */
export const CALLS_A_TRANSACTION = 256;

/** Reads and writes the rows that Tollgate does, in the same transactions, by prepared statements. */
export function bareStatements(limits: readonly Limit[], path: string): Opened {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  database.exec(
    "CREATE TABLE IF NOT EXISTS t (key TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
  );
  const read = database.prepare("SELECT value, at FROM t WHERE key = ?");
  const write = database.prepare("INSERT OR REPLACE INTO t VALUES (?, ?, ?)");
  const transact = (batch: readonly Call[]): number => {
    const spent = new Map<string, number>();
    const changed = new Set<string>();
    let admitted = 0;
    database.exec("BEGIN IMMEDIATE");
    for (const call of batch) {
      const keys = limits.map((limit) => `rate:1:{${limit.key(call)}}:${limit.name}`);
      for (const key of keys) if (!spent.has(key)) spent.set(key, Number(read.get(key)?.value ?? 0));
      if (limits.some((limit, i) => (spent.get(keys[i] ?? "") ?? 0) >= limit.quota)) continue;
      admitted++;
      for (const key of keys) changed.add(key) && spent.set(key, (spent.get(key) ?? 0) + 1);
    }
    for (const key of changed) write.run(key, String(spent.get(key)), Date.now() + WINDOW_SECONDS * 1_000);
    database.exec("COMMIT");
    return admitted;
  };
  const decideAll = async (calls: readonly Call[]) => {
    let admitted = 0;
    for (let from = 0; from < calls.length; from += CALLS_A_TRANSACTION) {
      admitted += transact(calls.slice(from, from + CALLS_A_TRANSACTION));
    }
    return admitted;
  };
  return {
    decide: async (call) => decideAll([call]),
    allows: (admitted) => admitted === 1,
    decideAll,
    close: async () => database.close(),
  };
}

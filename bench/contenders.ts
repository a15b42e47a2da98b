// The contenders: the same calls under the same limits, decided by Tollgate, by a peer, and by bare code without policy.

import { DatabaseSync } from "node:sqlite";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { createLimiter, type LimitInput } from "tollgate";
import type { Store } from "tollgate/store";
import { type Opened, seededRandom } from "./harness.ts";

// Longer than any run, so that only the schedule says how many calls pass. Begins with a bucket's first call, as the
// peer's does.
export const WINDOW_SECONDS = 3_600;
const TOOLS = ["search", "fetch", "write_file", "send_email"] as const;

export type Call = { readonly tool: string; readonly session: string; readonly user: string };
export interface Limit {
  readonly name: string;
  readonly per: readonly (keyof Call)[];
  readonly quota: number;
  readonly key: (call: Call) => string;
}
// The mean session makes 8 calls, so most calls pass and each limit denies some.
const PER_SESSION: Limit = { name: "per-session", per: ["session"], quota: 10, key: (call) => call.session };
export const ONE = [PER_SESSION];
export const THREE: readonly Limit[] = [
  { name: "tool-per-session", per: ["session", "tool"], quota: 4, key: (call) => `${call.session}:${call.tool}` },
  PER_SESSION,
  { name: "per-user", per: ["user"], quota: 85, key: (call) => call.user },
];

export function scheduleOf(sessions: number, decisions: number): Call[] {
  const random = seededRandom(1);
  return Array.from({ length: decisions }, () => {
    const session = Math.floor(random() * sessions);
    const tool = TOOLS[Math.floor(random() * TOOLS.length)] ?? TOOLS[0];
    return { tool, session: sessionName(session), user: `user-${session % Math.ceil(sessions / 10)}` };
  });
}

export const sessionName = (session: number) => `session-${String(session).padStart(6, "0")}`;

/** The same call in strings of its own, as flat and as unknown to every map as those of a request. */
export function arrivingAgain({ tool, session, user }: Call): Call {
  return { tool, session: Buffer.from(session).toString(), user: Buffer.from(user).toString() };
}

/** Which limits a denied call leaves charged. `all or none` is what an atomic decision does: none. */
export type Rule = "all or none" | "one after the other" | "all at once";

export function mustAdmit(calls: readonly Call[], limits: readonly Limit[], rule: Rule): number {
  const spent = new Map<string, number>();
  const spentOf = (limit: Limit, call: Call) => spent.get(`${limit.name} ${limit.key(call)}`) ?? 0;
  let admitted = 0;
  for (const call of calls) {
    const denying = limits.findIndex((limit) => spentOf(limit, call) >= limit.quota);
    if (denying === -1) admitted++;
    const untilDenied = rule === "all or none" ? [] : limits.slice(0, denying);
    const charged = denying === -1 || rule === "all at once" ? limits : untilDenied;
    for (const limit of charged) spent.set(`${limit.name} ${limit.key(call)}`, spentOf(limit, call) + 1);
  }
  return admitted;
}

export function limiterOf(limits: readonly Limit[], store: Store) {
  const inputs = limits.map(({ name, per, quota }): LimitInput => {
    return { name, per, quota, algorithm: "fixed-window", window: `${WINDOW_SECONDS}s`, align: "first-use" };
  });
  // Rounds begin with an empty store: with a fallback, what it held before would be given back.
  return createLimiter({ policy: { version: 1, limits: inputs }, store, failover: false });
}

export function tollgate(calls: readonly Call[], limits: readonly Limit[], store: Store, inFlight: number): Opened {
  const limiter = limiterOf(limits, store);
  let next = 0;
  let admitted = 0;
  const lane = async () => {
    for (let call = calls[next++]; call !== undefined; call = calls[next++]) {
      if ((await limiter.consume(call)).allowed) admitted++;
    }
  };
  return {
    run: () => Promise.all(Array.from({ length: inFlight }, lane)).then(() => admitted),
    close: () => limiter.close(),
  };
}

// An empty prefix is its documented way to spare a concatenation; each limiter has a storage of its own anyway.
export const flexible = (quota: number, duration: number) =>
  new RateLimiterMemory({ keyPrefix: "", points: quota, duration });

export function rateLimiterFlexible(
  calls: readonly Call[],
  limits: readonly Limit[],
  rule: Rule,
  duration: number,
): Opened {
  const parts = limits.map(({ quota, key }) => ({ limiter: flexible(quota, duration), key }));
  return {
    async run() {
      let admitted = 0;
      for (const call of calls) {
        try {
          if (rule === "all at once") await Promise.all(parts.map(({ limiter, key }) => limiter.consume(key(call))));
          else for (const { limiter, key } of parts) await limiter.consume(key(call));
          admitted++;
        } catch (denial) {
          if (!(denial instanceof RateLimiterRes)) throw denial;
        }
      }
      return admitted;
    },
    async close() {
      // It keeps a timer a key: left behind, they would weigh on whoever comes next.
      for (const { limiter } of parts) for (const { key } of limiter.dump().storage) await limiter.delete(key);
    },
  };
}

/** All or none over counters, without policy, checks, expiry or verdicts; a promise each, since stores are asked so. */
export function bareMap(calls: readonly Call[], limits: readonly Limit[]): Opened {
  const spent = new Map<string, number>();
  const decide = async (call: Call) => {
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
  return {
    async run() {
      let admitted = 0;
      for (const call of calls) if ((await decide(call)).allowed) admitted++;
      return admitted;
    },
    close: async () => spent.clear(),
  };
}

// As many calls as Tollgate's SQLite store takes at once.
const CALLS_A_TRANSACTION = 256;

/** The rows that Tollgate reads and writes, in the same transactions, by prepared statements and nothing else. */
export function bareSqlite(calls: readonly Call[], limits: readonly Limit[], path: string): Opened {
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  database.exec(
    "CREATE TABLE t (key TEXT PRIMARY KEY, value TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
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
  return {
    async run() {
      let admitted = 0;
      for (let from = 0; from < calls.length; from += CALLS_A_TRANSACTION) {
        admitted += transact(calls.slice(from, from + CALLS_A_TRANSACTION));
      }
      return admitted;
    },
    close: async () => database.close(),
  };
}

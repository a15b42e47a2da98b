// Whole traces under repeats, groups and a cap on new sessions, compared with a plain count, call by call, that knows
// nothing of Tollgate. Real traces when TOLLGATE_TRACES names their folder.

import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { readTrace, realTraces, syntheticTrace, type TraceLine } from "../e2e/traces.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";

interface TracedCall extends TraceLine {
  readonly args?: unknown;
}

const REPEATS = 3;
const NEW_SESSIONS = 3;
const QUOTAS: Record<string, number> = { T1: 6, T2: 3, T3: 1 };

/** Every third user's sessions, so that some users have too many. */
const userOf = (session: string) => `user-${[...session].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 29}`;

function groupsOf(trace: readonly TracedCall[]): Map<string, string> {
  const tools = [...new Set(trace.map(({ tool }) => tool))].sort();
  // One of four has none.
  return new Map(tools.flatMap((tool, i) => (i % 4 === 3 ? [] : [[tool, `T${(i % 3) + 1}`] as const])));
}

/** Arguments as text, the keys of every object in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, inner]) => `${key}:${canonical(inner)}`)
    .join()}}`;
}

/** What each call comes to: `allowed`, or the first limit in policy order that denies it. */
function countPlainly(trace: readonly TracedCall[], groups: ReadonlyMap<string, string>): string[] {
  const repeats = new Map<string, number>();
  const ofGroup = new Map<string, number>();
  const sessions = new Map<string, Set<string>>();
  return trace.map(({ session, turn, tool, args }) => {
    const call = `${session} ${turn} ${tool} ${canonical(args ?? {})}`;
    const group = groups.get(tool);
    const groupKey = `${session} ${turn} ${group}`;
    const seen = sessions.get(userOf(session)) ?? new Set();
    if ((repeats.get(call) ?? 0) >= REPEATS) return "same-call-again";
    if (group !== undefined && (ofGroup.get(groupKey) ?? 0) >= (QUOTAS[group] ?? 0)) return "group-per-turn";
    if (!seen.has(session) && seen.size >= NEW_SESSIONS) return "new-sessions";
    repeats.set(call, (repeats.get(call) ?? 0) + 1);
    if (group !== undefined) ofGroup.set(groupKey, (ofGroup.get(groupKey) ?? 0) + 1);
    sessions.set(userOf(session), seen.add(session));
    return "allowed";
  });
}

function limiterOf(store: Store, groups: ReadonlyMap<string, string>) {
  const tools = Object.fromEntries([...groups].map(([tool, group]) => [tool, { group }]));
  return createLimiter({
    failover: { deadlineMs: 10_000 },
    policy: {
      version: 1,
      tools,
      limits: [
        { name: "same-call-again", per: ["session", "turn", "tool", "args"], quota: REPEATS },
        {
          name: "group-per-turn",
          per: ["session", "turn", "group"],
          quotas: { group: QUOTAS },
          quota: "unlimited",
        },
        {
          name: "new-sessions",
          per: ["user"],
          distinct: "session",
          algorithm: "fixed-window",
          window: "365d",
          quota: NEW_SESSIONS,
        },
      ],
    },
    store,
    prefix: `traces-${crypto.randomUUID().slice(0, 8)}`,
  });
}

/** The synthetic trace, with arguments that come again in another order of keys. */
const synthetic = syntheticTrace(7, 60).map((line, i): TracedCall => {
  const query = Math.floor(i / 7) % 2;
  return { ...line, args: i % 2 === 0 ? { query, page: 1 } : { page: 1.0, query } };
});
const traces: Record<string, readonly TracedCall[]> = {
  "a synthetic trace": synthetic,
  ...Object.fromEntries(realTraces().map((file) => [basename(file), readTrace(file) as TracedCall[]])),
};

const server = await anyRedis();
const stores: Record<string, () => Store> = {
  memory: () => memoryStore(),
  SQLite: () => sqliteStore(join(temporaryFolder(), "traces.db")),
  Redis: () => redisStore(server.ioredis()),
};

for (const [name, trace] of Object.entries(traces)) {
  describe(`repeats, groups and new sessions on ${name}`, () => {
    const groups = groupsOf(trace);
    const expected = countPlainly(trace, groups);
    for (const [store, open] of Object.entries(stores)) {
      it(`equal a plain count, on ${store}`, async (context) => {
        const limiter = limiterOf(open(), groups);
        const given: string[] = [];
        for (const call of trace) {
          const { session, turn, tool, args } = call;
          const { allowed, verdicts } = await limiter.consume({ session, turn, tool, args, user: userOf(session) });
          given.push(allowed ? "allowed" : (verdicts.find((verdict) => !verdict.allowed)?.limit ?? "no limit"));
        }
        assert.deepEqual(given, expected);
        const tally = Object.groupBy(given, (each) => each);
        context.diagnostic(
          Object.entries(tally)
            .map(([what, all]) => `${what} ${all?.length}`)
            .join(", "),
        );
        for (const what of ["allowed", "same-call-again", "group-per-turn", "new-sessions"]) {
          if (trace === synthetic) assert.ok((tally[what]?.length ?? 0) >= 5, what);
        }
        await limiter.close();
      });
    }
  });
}

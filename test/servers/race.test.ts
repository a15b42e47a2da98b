// Eight processes want the same quota at once on stores of real servers: exactly the quota passes, also where a call is over
// several slots of a cluster. TOLLGATE_RACE_RUNS says how many runs.

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { createLimiter, type PolicyInput } from "tollgate";
import { migrate } from "tollgate/stores/postgres";
import { redisStore } from "tollgate/stores/redis";
import { type Address, CLUSTER_CLIENTS, type ClusterClient, clientsOfCluster } from "../cluster-clients.ts";
import { startPostgres } from "../postgres.ts";
import { startCluster } from "../redis-cluster.ts";
import { ownServers, startRedis } from "../servers.ts";
import type { Kind, Race, RaceResult } from "./race-worker.ts";
import { isWide } from "../length.ts";
import { LOADER } from "../sources.ts";

const RUNS = Number(process.env.TOLLGATE_RACE_RUNS ?? 1);
const PROCESSES = 8;
const CALLERS = 64;
const QUOTA = 1_000;
/** The quota is used up within a part of it. */
const FOR_MS = isWide || RUNS > 1 ? 3_000 : 1_000;
const BY_CLIENT_MS = 700;
/** Calls over several slots also compete for units that are given back. */
const WIDE_MS = isWide || RUNS > 1 ? 2_000 : 1_200;
/** How long the processes have for connecting. */
const CONNECT_MS = 600;

const postgres = await startPostgres();
const pool = postgres.pool();
await migrate(pool);
await pool.query("CREATE TABLE sessions (id text PRIMARY KEY, state jsonb)");
// No master is given up for dead because the processes leave it no time: its replica may be behind.
const cluster = await startCluster("--cluster-node-timeout", "60000");
const clients = await clientsOfCluster(cluster);
const epoch = epochOf();
const [{ host, port }] = cluster.addresses as [Address];
/** Another one after each failover. */
function epochOf(): string | undefined {
  return /cluster_current_epoch:(\d+)/.exec(cluster.cli("CLUSTER", "INFO"))?.[1];
}

const homes: Record<Kind, string> = {
  postgres: postgres.url,
  column: postgres.url,
  counter: (await startRedis()).url,
  ...byClient(`${host}:${port}`),
};

function byClient(address: string): Record<ClusterClient, string> {
  return Object.fromEntries(CLUSTER_CLIENTS.map((name) => [name, address])) as Record<ClusterClient, string>;
}

const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill();
});
before(async () => {
  const worker = fileURLToPath(new URL("./race-worker.ts", import.meta.url));
  for (let i = 0; i < PROCESSES; i++) {
    children.push(fork(worker, { execArgv: ["--conditions=tollgate-source", LOADER] }));
  }
  await Promise.all(children.map((child) => once(child, "message")));
});

async function race(
  kind: Kind,
  home: string,
  policy: PolicyInput,
  sessions: readonly string[],
  forMs: number,
): Promise<{ bySession: Record<string, number>; admitted: number; words: string }> {
  const order: Race = { kind, home, policy, callers: CALLERS, sessions, startMs: Date.now() + CONNECT_MS, forMs };
  const results = await Promise.all(
    children.map(async (child) => {
      child.send(order);
      const [result] = await once(child, "message");
      return result as RaceResult;
    }),
  );
  const bySession: Record<string, number> = {};
  for (const [session, count] of results.flatMap((result) => Object.entries(result.admitted)))
    bySession[session] = (bySession[session] ?? 0) + count;
  const totals = results.map((result) => sum(Object.values(result.admitted)));
  const decisions = sum(results.map((result) => result.decisions));
  const failed = results.flatMap((result) => Object.entries(result.failed));
  assert.deepEqual(failed, []);
  return { bySession, admitted: sum(totals), words: `admitted ${totals.join(" ")} of ${decisions} decisions` };
}

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
const PER_SESSION: PolicyInput = { version: 1, limits: [{ name: "session", per: ["session"], quota: QUOTA }] };

describe(`${PROCESSES} processes x ${CALLERS} callers x quota ${QUOTA}`, ownServers, () => {
  const names: Record<Kind, string> = {
    postgres: "Postgres",
    column: "one row's JSON column",
    counter: "a counter of Redis",
    ...byClient("a cluster"),
  };
  for (const kind of Object.keys(names) as Kind[]) {
    const isClient = (CLUSTER_CLIENTS as readonly string[]).includes(kind);
    it(`admit exactly the quota on ${names[kind]}${isClient ? `, by ${kind}` : ""}`, async (context) => {
      for (let run = 1; run <= RUNS; run++) {
        const session = `s${run}-${kind}`;
        if (kind === "column") await pool.query("INSERT INTO sessions VALUES ($1)", [session]);
        const { admitted, words } = await race(
          kind,
          homes[kind],
          PER_SESSION,
          [session],
          isClient ? BY_CLIENT_MS : FOR_MS,
        );
        context.diagnostic(`run ${run}: ${words}`);
        assert.equal(epochOf(), epoch, "no replica took over");
        assert.equal(admitted, QUOTA);
      }
    });
  }

  for (const name of CLUSTER_CLIENTS) {
    it(`admit exactly the quota over three slots of a cluster, by ${name}`, async (context) => {
      const perSession = 150;
      const policy: PolicyInput = {
        version: 1,
        limits: [
          { name: "user", per: ["user"], quota: QUOTA },
          { name: "each", per: ["session"], quota: perSession },
          { name: "tool", per: ["tool"], algorithm: "fixed-window", window: "365d", quota: QUOTA + 100 },
        ],
      };
      const limiter = createLimiter({ policy, store: redisStore(clients[name]), failover: { deadlineMs: 10_000 } });
      for (let run = 1; run <= RUNS; run++) {
        await limiter.reset({ limit: "user", user: "u1" });
        await limiter.reset({ limit: "tool", tool: "search" });
        const sessions = Array.from({ length: 8 }, (_, i) => `wide-${name}-${run}-${i}`);
        const { admitted, bySession, words } = await race(name, homes[name], policy, sessions, WIDE_MS);
        assert.equal(epochOf(), epoch, "no replica took over");
        for (const session of sessions) {
          const usages = await limiter.usage({ tool: "search", session, user: "u1" });
          assert.deepEqual(
            usages.map(({ used }) => used),
            [admitted, bySession[session] ?? 0, admitted],
          );
        }
        context.diagnostic(
          `run ${run}: ${admitted} in total, ${Object.values(bySession).join(" ")} by session; ${words}`,
        );
        assert.ok(Math.max(...Object.values(bySession)) <= perSession);
        assert.equal(admitted, QUOTA);
      }
    });
  }
});

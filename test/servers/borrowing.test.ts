// Instances borrow from one limit on Postgres, on a Redis Cluster and on SQLite: nearly all of it is used before a call is
// denied, and all of it can be used.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "ioredis";
import { createLimiter } from "tollgate";
import type { Store } from "tollgate/store";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { startPostgres } from "../postgres.ts";
import { startCluster } from "../redis-cluster.ts";
import { temporaryFolder } from "../temporary.ts";

const QUOTA = 5_000;
const postgres = await startPostgres();
const pool = postgres.pool();
await migrate(pool);
const cluster = await startCluster();
const file = join(temporaryFolder(), "borrowing.db");

function clusterStore(): Store {
  const client = new Cluster([...cluster.addresses]);
  after(() => client.disconnect());
  return redisStore(client);
}

const STORES: Record<string, () => Store> = {
  Postgres: () => postgresStore(pool),
  "a Redis Cluster": clusterStore,
  SQLite: () => sqliteStore(file),
};

describe("instances that borrow from one limit", () => {
  for (const [name, store] of Object.entries(STORES)) {
    it(`use nearly all of it before a call is denied: ${name}`, async (context) => {
      const limiters = [0, 1, 2].map(() =>
        createLimiter({
          policy: {
            version: 1,
            limits: [
              { name: "per-session", per: ["session"], quota: 1_000_000 },
              { name: "global", per: ["tool"], algorithm: "fixed-window", window: "7d", borrow: "auto", quota: QUOTA },
            ],
          },
          store: store(),
          denyCacheMs: 0,
          // On a busy machine the first call may wait for a connection.
          failover: { deadlineMs: 10_000 },
        }),
      );
      let admitted = 0;
      let usedAtFirstDenial: number | null = null;
      const call = async (i: number) => {
        const decision = await limiters[i]?.consume({ tool: "search", session: `s${i}` });
        if (decision?.allowed) admitted++;
        return decision;
      };
      const load = async (i: number, calls: number) => {
        while (usedAtFirstDenial === null) {
          const decisions = await Promise.all(Array.from({ length: calls }, () => call(i)));
          if (decisions.some((decision) => decision?.allowed !== true)) usedAtFirstDenial ??= admitted;
          if (i > 0) await sleep(20);
        }
      };
      await Promise.all([load(0, 20), load(1, 5), load(2, 1)]);
      context.diagnostic(`${usedAtFirstDenial} of ${QUOTA} were used at the first denial`);
      assert.ok((usedAtFirstDenial ?? 0) >= 0.95 * QUOTA, `${usedAtFirstDenial}`);
      for (let tries = 0; tries < 30 && admitted < QUOTA; tries++) {
        await sleep(100);
        while ((await call(0))?.allowed);
      }
      assert.equal(admitted, QUOTA);
      await Promise.all(limiters.map((limiter) => limiter.close()));
    });
  }
});

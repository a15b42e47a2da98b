// Postgres under load that overlaps has no deadlock, and one that is killed and started again has lost nothing that was
// acknowledged. TOLLGATE_OVERLAP_MS says for how long the overlapping load goes on.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { createLimiter, type PolicyInput } from "tollgate";
import { type LimitSpec, type Step, StoreError } from "tollgate/store";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { startPostgres } from "../postgres.ts";
import { startLoad, until } from "./load.ts";

const OVERLAP_MS = Math.min(60_000, Number(process.env.TOLLGATE_OVERLAP_MS ?? 5_000));
const SETS = 20;
const STORES = 4;
const SCARCE = 300;
const ROUNDS = 3;

const server = await startPostgres("deadlock_timeout=50ms");
await migrate(server.pool());

/** A pool that counts the errors of a code that its statements met. */
function poolCounting(code: string) {
  const pool = new pg.Pool({ connectionString: server.url, max: 10 });
  const counts = { met: 0 };
  pool.on("connect", (client) => {
    const { query } = client;
    client.query = (async (...args: unknown[]) => {
      try {
        return await (query as (...args: unknown[]) => Promise<unknown>).apply(client, args);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === code) counts.met++;
        throw error;
      }
    }) as typeof client.query;
  });
  return { pool, counts };
}

function shuffled<Value>(values: readonly Value[]): Value[] {
  return values
    .map((value) => [Math.random(), value] as const)
    .sort(([one], [other]) => one - other)
    .map(([, value]) => value);
}

describe("batches whose buckets overlap", () => {
  it(`have no deadlock in ${OVERLAP_MS} ms of ${STORES} stores, and are counted exactly`, async (context) => {
    const ample: LimitSpec = { algorithm: "budget", quota: 1_000_000_000, ttlMs: 600_000, ttlFrom: "first" };
    const scarce: LimitSpec = { ...ample, quota: SCARCE };
    const brief: LimitSpec = { ...ample, ttlMs: 1 };
    const buckets = Array.from({ length: SETS }, (_, i) => `overlap-${i}`);
    const counted = new Map([...buckets, "scarce"].map((bucket) => [bucket, 0]));
    const pools = Array.from({ length: STORES }, () => poolCounting("40P01"));
    // What is waited for here is a deadlock, however slow the machine is.
    const stores = pools.map(({ pool }) => postgresStore(pool, { deadlineMs: 60_000 }));
    const step = (bucket: string, limit: LimitSpec): Step => ({ bucket, limit, event: { type: "charge", cost: 1 } });
    const endMs = Date.now() + OVERLAP_MS;
    let calls = 0;
    /** Set `n` is 7 buckets from the n-th on, in any order, now and then one that all want or one that soon expires. */
    const requestOf = (n: number) => {
      const own = [...buckets.slice(n), ...buckets.slice(0, n)].slice(0, 7).map((bucket) => step(bucket, ample));
      if (n % 3 === 0) own.push(step("scarce", scarce));
      if (n % 4 === 0) own.push(step(`brief-${calls % 500}`, brief));
      return { mode: "judge", steps: shuffled(own) } as const;
    };
    const caller = async (place: number) => {
      // On a busy machine the scarce units may take longer than the time.
      for (let n = place; Date.now() < endMs || (counted.get("scarce") ?? 0) < SCARCE; n++) {
        calls++;
        // One request goes in one statement where it passes; two go in two.
        const requests = [n, n * 7 + 3].slice(calls % 2).map((each) => requestOf(each % SETS));
        const replies = (await stores[place % STORES]?.apply(requests)) ?? [];
        for (const [i, reply] of replies.entries()) {
          assert.ok(!StoreError.isInstance(reply), String(reply));
          if (!reply.allowed) continue;
          for (const { bucket } of requests[i]?.steps ?? [])
            if (counted.has(bucket)) counted.set(bucket, (counted.get(bucket) ?? 0) + 1);
        }
      }
    };
    await Promise.all(Array.from({ length: STORES * 8 }, (_, place) => caller(place)));

    const reads = [...counted.keys()].map((bucket): Step => ({ bucket, limit: ample, event: { type: "read" } }));
    const [reply] = (await stores[0]?.apply([{ mode: "peek", steps: reads }])) ?? [];
    assert.ok(reply !== undefined && !StoreError.isInstance(reply));
    assert.deepEqual(
      reply.steps.map(({ used }) => used),
      [...counted.values()],
    );
    assert.equal(counted.get("scarce"), SCARCE);
    // A connection tells the server's statistics at its end.
    await Promise.all(pools.map(({ pool }) => pool.end()));
    const { rows } = await server
      .pool()
      .query("SELECT deadlocks, xact_commit FROM pg_stat_database WHERE datname = current_database()");
    const met = pools.reduce((sum, { counts }) => sum + counts.met, 0);
    context.diagnostic(
      `${calls} batches, ${rows[0]?.xact_commit} transactions, ${rows[0]?.deadlocks} deadlocks counted by the server, ` +
        `${met} met by the stores, scarce ${counted.get("scarce")} of ${SCARCE}`,
    );
    assert.deepEqual([Number(rows[0]?.deadlocks), met], [0, 0]);
  });
});

describe("kill -9 of the server", () => {
  it(`loses nothing acknowledged in ${ROUNDS} rounds, and the limiters continue`, async (context) => {
    const policy: PolicyInput = {
      version: 1,
      limits: [
        { name: "session", per: ["session"], quota: 1_000_000_000 },
        { name: "tool", per: ["session", "tool"], quota: 1_000_000_000 },
      ],
    };
    const call = { tool: "search", session: "killed" };
    const limiters = Array.from({ length: 4 }, () =>
      createLimiter({ policy, store: postgresStore(server.pool({ max: 4 })), failover: false }),
    );
    const load = startLoad(limiters, 16, () => call);
    const { seen } = load;
    for (let round = 1; round <= ROUNDS; round++) {
      const before = seen.acknowledged;
      await until("calls are acknowledged", () => seen.acknowledged > before + 200);
      await sleep(Math.random() * 100);
      await server.kill();
      const atKill = seen.acknowledged;
      await server.start();
      await until("calls are acknowledged again", () => seen.acknowledged > atKill + 200);
      context.diagnostic(`round ${round}: ${atKill} acknowledged at the kill, ${seen.failed} failed so far`);
    }
    const { acknowledged, failed, codes, others } = await load.end();
    const [session, tool] = (await limiters[0]?.usage(call)) ?? [];
    const used = session?.used ?? 0;
    context.diagnostic(`${acknowledged} acknowledged, ${failed} failed (${[...codes].join(", ")}), ${used} booked`);
    assert.deepEqual(others, []);
    assert.equal(used, tool?.used, "the two limits of each call were booked together");
    assert.ok(used >= acknowledged, `${acknowledged} were acknowledged, ${used} are left`);
    assert.ok(used <= acknowledged + failed, `${used} are booked of ${acknowledged} + ${failed}`);
    assert.ok(failed > 0, "the server was killed under load");
  });
});

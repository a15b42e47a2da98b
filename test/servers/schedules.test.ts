// The store goes away under load: Postgres, behind a proxy for each instance.

import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { startFaultProxy } from "../chaos/fault-proxy.ts";
import { type Instance, openInstance, seedOf } from "../chaos/outage.ts";
import { playSchedules, schedulePolicy } from "../chaos/schedules.ts";
import { startPostgres } from "../postgres.ts";

const SCHEDULES = Number(process.env.TOLLGATE_FAULT_SCHEDULES ?? 8);

describe("random faults on Postgres", () => {
  it(`leave every unit counted once, in ${SCHEDULES} schedules`, async (test) => {
    const server = await startPostgres();
    const admin = server.pool();
    await migrate(admin);
    const instances: Instance[] = [];
    const pools: pg.Pool[] = [];
    test.after(async () => {
      await Promise.all(instances.map(({ limiter }) => limiter.close()));
      await Promise.all(pools.map((pool) => pool.end()));
      await Promise.all(instances.map(({ proxy }) => proxy.close()));
    });
    for (let i = 0; i < 3; i++) {
      const proxy = await startFaultProxy(Number(new URL(server.url).port));
      const url = new URL(server.url);
      url.hostname = "127.0.0.1";
      url.port = String(proxy.port);
      const pool = new pg.Pool({ connectionString: url.href });
      pools.push(pool.on("error", () => {}));
      const failover = { deadlineMs: 150, instances: 3 };
      const instance = openInstance(proxy, postgresStore(pool, { deadlineMs: 400 }), schedulePolicy, failover);
      await instance.limiter.consume({ tool: "warm-up", session: "warm-up" });
      instances.push(instance);
      await sleep(2);
    }
    const disturb = () =>
      admin.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query <> ''",
      );
    await playSchedules(test, instances, SCHEDULES, seedOf("schedules on Postgres"), () => disturb().catch(() => {}));
  });
});

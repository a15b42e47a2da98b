import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { PolicyInput } from "tollgate";
import { ownServers } from "../servers.ts";
import { type Access, HOMES } from "./homes.ts";
import { type Instance, isStrict, openInstance, seedOf } from "./outage.ts";
import { playSchedules, schedulePolicy } from "./schedules.ts";

const SCHEDULES = Number(process.env.TOLLGATE_FAULT_SCHEDULES ?? 8);

/** On a cluster each call is over two shards. */
const wide: PolicyInput = {
  version: 1,
  limits: [
    ...schedulePolicy.limits,
    { name: "per-tool", per: ["tool"], quota: 10_000_000, algorithm: "fixed-window", window: "365d" },
  ],
};

for (const [where, start] of Object.entries(HOMES)) {
  const isCluster = where === "a cluster";
  const count = isCluster && !isStrict ? Math.ceil(SCHEDULES / 4) : SCHEDULES;
  describe(`random faults on Redis: ${where}`, ownServers, () => {
    it(`leave every unit counted once, in ${count} schedules`, async (test) => {
      const home = await start();
      const instances: Instance[] = [];
      const accesses: Access[] = [];
      test.after(async () => {
        await Promise.all(instances.map(({ limiter }) => limiter.close()));
        for (const { disconnect } of accesses) disconnect();
        await Promise.all(instances.map(({ proxy }) => proxy.close()));
      });
      for (let i = 0; i < 3; i++) {
        const access = await home.connect(i);
        accesses.push(access);
        const policy = isCluster ? wide : schedulePolicy;
        const failover = { deadlineMs: isCluster ? 150 : 60, instances: 3 };
        const instance = openInstance(access.proxy, access.store, policy, failover);
        await instance.limiter.consume({ tool: "warm-up", session: "warm-up" });
        instances.push(instance);
        await sleep(2);
      }
      const disturb = () => {
        for (const server of home.servers) server.cli("CLIENT", "KILL", "TYPE", "normal");
      };
      await playSchedules(test, instances, count, seedOf(`schedules on ${where}`), disturb);
    });
  });
}

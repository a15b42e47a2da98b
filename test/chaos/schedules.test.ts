import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { redisStore } from "tollgate/stores/redis";
import { ownServers, startRedis } from "../servers.ts";
import { startFaultProxy } from "./fault-proxy.ts";
import { type Instance, openInstance, seedOf } from "./outage.ts";
import { playSchedules, schedulePolicy } from "./schedules.ts";

const SCHEDULES = Number(process.env.TOLLGATE_FAULT_SCHEDULES ?? 8);

describe("random faults on Redis", ownServers, () => {
  it(`leave every unit counted once, in ${SCHEDULES} schedules`, async (test) => {
    const server = await startRedis();
    const instances: Instance[] = [];
    const clients: Redis[] = [];
    test.after(async () => {
      await Promise.all(instances.map(({ limiter }) => limiter.close()));
      for (const client of clients) client.disconnect();
      await Promise.all(instances.map(({ proxy }) => proxy.close()));
    });
    for (let i = 0; i < 3; i++) {
      const proxy = await startFaultProxy(server.port);
      const client = new Redis(proxy.port, "127.0.0.1", {
        retryStrategy: () => 20,
        autoResendUnfulfilledCommands: i === 0,
      });
      clients.push(client.on("error", () => {}));
      const failover = { deadlineMs: 60, instances: 3 };
      const instance = openInstance(proxy, redisStore(client), schedulePolicy, failover);
      await instance.limiter.consume({ tool: "warm-up", session: "warm-up" });
      instances.push(instance);
      await sleep(2);
    }
    const disturb = () => server.cli("CLIENT", "KILL", "TYPE", "normal");
    await playSchedules(test, instances, SCHEDULES, seedOf("schedules on Redis"), disturb);
  });
});

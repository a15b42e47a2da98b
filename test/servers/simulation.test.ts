// The Redis script does what the simulator's server did: each request of a simulated fleet is sent to a real server again, with its
// time, through restarts, damage and clocks that jump.

import { it } from "node:test";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";
import type { Act } from "../simulation/acts.ts";
import { makeSchedule } from "../simulation/make/schedule.ts";
import { RealRedis } from "../simulation/redis.ts";
import { runSchedule } from "../simulation/run.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? cases(20, 100));
const SEED = process.env.TOLLGATE_SEED ?? "redis";

const server = await anyRedis();
const redis = new RealRedis(server.ioredis());

it(`answers and holds the same in ${SCHEDULES} schedules of the simulator`, async () => {
  for (let i = 0; i < SCHEDULES; i++) {
    const schedule = makeSchedule(`${SEED}.${i}`);
    // Of a cluster each shard would need a server of its own.
    if (schedule.settings.cluster !== undefined) continue;
    const acts: Act[] = [];
    const { store } = await runSchedule(schedule, (act) => acts.push(act));
    await redis.empty();
    for (const act of acts) await redis.act(act);
    await redis.holds(store.at(0).states, store.at(0).damaged);
  }
});

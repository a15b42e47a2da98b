// A simulation decides as Postgres and Redis do, call by call, whatever the algorithm.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Store } from "tollgate/store";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { redisStore } from "tollgate/stores/redis";
import type { Clock } from "../../src/clock.ts";
import { steppedClock } from "../../src/testing/fake-clock.ts";
import { cases } from "../length.ts";
import { startPostgres } from "../postgres.ts";
import { anyRedis } from "../servers.ts";
import { randomCalls, START_MS } from "../simulate/calls.ts";
import { POLICIES, unitOf } from "../simulate/policies.ts";
import { playOn } from "../simulate/real-store.ts";
import { judged, simulated } from "../simulate/simulated.ts";

const CALLS = 150;
const pool = (await startPostgres()).pool();
await migrate(pool);
const redis = (await anyRedis()).ioredis();
const servers: Record<string, (clock: Clock) => Store> = {
  Postgres: (clock) => postgresStore(pool, { clock }),
  Redis: (clock) => redisStore(redis, { clock }),
};

for (const [server, storeWith] of Object.entries(servers)) {
  describe(`a simulation agrees with ${server}`, () => {
    for (const [name, policy] of Object.entries(POLICIES)) {
      for (let seed = 0; seed < cases(1, 4); seed++) {
        it(`under ${name}, seed ${seed}`, async () => {
          const calls = randomCalls(`${server} ${name} ${seed}`, CALLS, unitOf(policy));
          const clock = steppedClock(START_MS);
          const real = await playOn(storeWith(clock), clock, policy, calls, `${name} ${seed}`.replaceAll(" ", "-"));
          assert.deepEqual(await simulated(policy, calls), real.map(judged));
        });
      }
    }
  });
}

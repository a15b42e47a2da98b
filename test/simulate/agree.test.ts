// A simulation decides as a real store does, call by call, whatever the algorithm.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { sqliteStore } from "tollgate/stores/sqlite";
import { cases } from "../length.ts";
import { temporaryFolder } from "../temporary.ts";
import { steppedClock } from "../../src/testing/fake-clock.ts";
import { randomCalls, START_MS, withoutTime } from "./calls.ts";
import { POLICIES, unitOf } from "./policies.ts";
import { playOn } from "./real-store.ts";
import { judged, simulated } from "./simulated.ts";

const folder = temporaryFolder();
const CALLS = 300;

describe("a simulation agrees with a SQLite store", () => {
  for (const [name, policy] of Object.entries(POLICIES)) {
    for (let seed = 0; seed < cases(2, 10); seed++) {
      it(`under ${name}, seed ${seed}`, async () => {
        const calls = randomCalls(`${name} ${seed}`, CALLS, unitOf(policy));
        for (const [i, trace] of [calls, withoutTime(calls)].entries()) {
          const clock = steppedClock(START_MS);
          const store = sqliteStore(join(folder, `${name}-${seed}-${i}.db`), { clock, durability: "process" });
          const real = await playOn(store, clock, policy, trace);
          const timed = trace.map((traced) => ({ ...traced, atMs: traced.atMs ?? START_MS }));
          assert.deepEqual(await simulated(policy, timed), real.map(judged));
          assert.ok(real.some(({ allowed }) => allowed));
          // Calls that never overlap are never too many at once; the time that passes ends some limits.
          if (i === 0) assert.ok(real.some(({ allowed }) => !allowed));
        }
      });
    }
  }
});

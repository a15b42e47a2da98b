// Every store gives equal replies for equal schedules (invariant 5), compared with the kernel on plain maps.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Step, Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStore } from "tollgate/stores/sqlite";
import type { Clock } from "tollgate/testing";
import { fakeClock } from "tollgate/testing";
import { temporaryFolder } from "../temporary.ts";
import { createModel, schedule, type Tally, type Turn } from "./schedule.ts";

const SCHEDULES = 10_000;
const SEED = 20_261_121;

const folder = temporaryFolder();
const stores: Record<string, (clock: Clock) => Store> = {
  memory: (clock) => memoryStore({ clock }),
  sqlite: (clock) => sqliteStore(join(folder, "agree.db"), { clock }),
};

/** The schedule on buckets of its own, so that one store serves all schedules. */
function renamed(turns: readonly Turn[], prefix: string): Turn[] {
  const rename = (step: Step): Step => ({ ...step, bucket: `${prefix}${step.bucket}` });
  return turns.map(({ advanceMs, requests }) => ({
    advanceMs,
    requests: requests.map(({ mode, steps }) => ({ mode, steps: steps.map(rename) })),
  }));
}

for (const [name, open] of Object.entries(stores)) {
  describe(`${name} and the kernel`, () => {
    it(`agree on ${SCHEDULES} schedules`, async (context) => {
      const clock = fakeClock();
      const store = open(clock);
      const tally: Tally = { decisions: 0, denials: 0, expiries: 0 };
      let schedules = 0;
      await fc.assert(
        fc.asyncProperty(schedule, async (turns) => {
          const model = createModel(tally);
          for (const { advanceMs, requests } of renamed(turns, `${schedules++}-`)) {
            clock.advance(advanceMs);
            assert.deepEqual(await store.apply(requests), model.apply(requests, clock.nowMs()));
          }
        }),
        { numRuns: SCHEDULES, seed: SEED },
      );
      await store.close();
      context.diagnostic(JSON.stringify(tally));
      assert.ok(tally.denials >= 0.25 * tally.decisions, `${tally.denials} denials of ${tally.decisions} decisions`);
      assert.ok(tally.expiries >= 1_000, `${tally.expiries} expiries were crossed`);
    });
  });
}

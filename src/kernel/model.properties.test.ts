// The kernel and a plain model of it (test/model), on random schedules. All stores run the kernel, Redis too, so tests that
// compare them cannot show a mistake of the kernel: this one can.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Play } from "../../test/model/play.ts";
import { LIMITS, TURNS } from "../../test/model/schedule.ts";

const SEED = 20_261_130;
const SCHEDULES = Number(process.env.TOLLGATE_MODEL_SCHEDULES ?? 150);

/** What has to have happened, so that schedules were worth playing. */
const WORTH = ["allowed", "denied", "charge", "hold", "settle live", "settle late", "settle unknown", "extend live"];
const WORTH_OF_ALL = ["given again", "undone", "report", "raise", "read", "reset", "grant unknown", "revoke late"];

describe("the kernel and a plain model of it agree", () => {
  for (const [what, turn] of Object.entries(TURNS)) {
    for (const [i, [name, limit]] of Object.entries(LIMITS).entries()) {
      it(`on ${what}: ${name}`, (context) => {
        const counts = new Map<string, number>();
        const count = (what: string) => void counts.set(what, (counts.get(what) ?? 0) + 1);
        const both = fc.tuple(limit, fc.oneof(...Object.values(LIMITS)));
        const turns = fc.array(turn, { minLength: 10, maxLength: 30 });
        const property = fc.property(both, fc.nat({ max: 120 }), turns, (limits, offsetMs, schedule) => {
          const play = new Play(limits, offsetMs, count);
          for (const each of schedule) play.take(each);
        });
        fc.assert(property, { seed: SEED + i, numRuns: SCHEDULES });
        context.diagnostic(JSON.stringify(Object.fromEntries(counts)));
        const isAll = counts.has("undone");
        for (const event of isAll ? [...WORTH, ...WORTH_OF_ALL] : WORTH) {
          assert.ok((counts.get(event) ?? 0) > SCHEDULES / 30, event);
        }
      });
    }
  }
});

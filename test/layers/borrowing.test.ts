// Several instances borrow from one limit: calls are denied only when nearly all of it was used, whatever the load.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PolicyInput } from "tollgate";
import { isWide, wideRunOnly } from "../length.ts";
import { play, type Scenario } from "./borrowing.ts";

const QUOTA = 3_000;
const INSTANCES = isWide ? [1, 2, 5, 10, 50] : [1, 2, 5, 10];
/** Of an uneven load. */
const UNEVEN_INSTANCES = isWide ? INSTANCES : [10];
const base = { name: "global", per: ["tool"], quota: QUOTA, borrow: "auto" } as const;
const LIMITS: Record<string, PolicyInput["limits"][number] & { readonly quota: number }> = {
  quota: { ...base, algorithm: "budget", resetAfterIdle: "1h" },
  "fixed-window": { ...base, algorithm: "fixed-window", window: "1h" },
  "fixed-window of first-use": { ...base, algorithm: "fixed-window", window: "1h", align: "first-use" },
  "fixed-window of a calendar": { ...base, algorithm: "fixed-window", window: "day" },
};
/** The loads that a short run puts on each limit. */
const IN_SHORT_RUNS = ["even", "all but one stop after 250 ms"];

/** Calls of one instance in one millisecond, when it makes so many per millisecond on average. */
const paced = (perMs: number, instance: number, ms: number) =>
  Math.floor((ms + 1) * perMs + instance * 0.37) - Math.floor(ms * perMs + instance * 0.37);

type Load = (instances: number, perMs: number) => Scenario["calls"];
const LOADS: Record<string, Load> = {
  even: (n, perMs) => (instance, ms) => paced(perMs / n, instance, ms),
  "90 % on one": (n, perMs) => (instance, ms) =>
    paced(instance === 0 ? perMs * 0.9 : (perMs * 0.1) / (n - 1), instance, ms),
  zipf: (n, perMs) => {
    const sum = Array.from({ length: n }, (_, i) => 1 / (i + 1)).reduce((all, each) => all + each);
    return (instance, ms) => paced(perMs / sum / (instance + 1), instance, ms);
  },
  "250 ms each in turn": (n, perMs) => (instance, ms) =>
    Math.floor(ms / 250) % n === instance ? paced(perMs, instance, ms) : 0,
  "all but one stop after 250 ms": (n, perMs) => (instance, ms) => {
    if (ms >= 250) return instance === n - 1 ? paced(perMs, instance, ms) : 0;
    return instance === n - 1 ? 0 : paced(perMs / Math.max(1, n - 1), instance, ms);
  },
};

describe("instances that borrow from one limit", () => {
  for (const [algorithm, limit] of Object.entries(LIMITS)) {
    for (const [load, callsOf] of Object.entries(LOADS)) {
      const isFull = algorithm === "fixed-window";
      const options = isFull || IN_SHORT_RUNS.includes(load) ? {} : wideRunOnly;
      it(`deny calls of a ${algorithm} when at least 95 % of it was used: ${load}`, options, async () => {
        const counts = load === "even" ? INSTANCES : UNEVEN_INSTANCES;
        for (const instances of isFull ? counts : [5]) {
          if (instances === 1 && load === "90 % on one") continue;
          for (const perMs of isFull ? [20] : [5]) {
            const lastsMs = Math.ceil((QUOTA / perMs) * 1.1) + 400;
            const played = await play({ limit, instances, calls: callsOf(instances, perMs), lastsMs });
            const what = `${instances} instances, ${perMs} calls/ms: ${JSON.stringify(played)}`;
            assert.ok((played.usedAtFirstDenial ?? 0) >= 0.95 * QUOTA, what);
            assert.equal(played.admitted, QUOTA, what);
            assert.ok(played.mostUnused * 32 <= QUOTA, what);
            assert.ok(played.longestRetryMs <= 200, what);
          }
        }
      });
    }
  }

  it("need far fewer requests than calls while much is left", async () => {
    const limit = { ...base, algorithm: "fixed-window", window: "1h", quota: 1_000_000 } as const;
    for (const instances of [1, 5, 20]) {
      const played = await play({ limit, instances, calls: (instance, ms) => paced(1, instance, ms), lastsMs: 1_000 });
      assert.equal(played.admitted, instances * 1_000);
      assert.ok(played.asked - 1_000 < played.admitted / 10, `${instances}: ${played.asked - 1_000} requests`);
    }
  });
});

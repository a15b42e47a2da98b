// The users that spend most, when there are more than are kept.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { functionLog, type MinuteTop } from "tollgate/log";
import { memoryStore } from "tollgate/stores/memory";
import { START_MS } from "./batches.ts";

const policy: PolicyInput = {
  version: 1,
  log: { allowed: 0, denied: 0 },
  limits: [{ name: "money", per: ["user"], unit: "usd_micros", quota: "$100" }],
};

describe("the users that spend most", () => {
  it("are kept among thousands, and an amount is too high by no more than it says", async () => {
    const tops: MinuteTop[] = [];
    const log = functionLog((batch) => void tops.push(...batch.tops), { flushMs: 60_000 });
    const limiter = createLimiter({ policy, store: memoryStore({ clock: { nowMs: () => START_MS } }), log });
    const spend = (user: string, usd_micros: number) => limiter.consume({ tool: "x", user, cost: { usd_micros } });
    await spend("whale", 5_000_000);
    for (let i = 0; i < 2_500; i++) await spend(`u${i}`, 1_000);
    await spend("whale", 5_000_000);
    await limiter.close();
    const spent = tops.filter(({ dimension, unit }) => dimension === "user" && unit === "usd_micros");
    assert.equal(spent.length, 200);
    assert.deepEqual(spent[0], {
      minute: START_MS / 60_000,
      dimension: "user",
      unit: "usd_micros",
      value: "whale",
      tenant: "",
      calls: 2,
      denied: 0,
      units: 10_000_000,
      error: 0,
    });
    for (const { units, error } of spent.slice(1)) assert.equal(units - error, 1_000);
    assert.ok(spent.some(({ error }) => error > 0));
  });
});

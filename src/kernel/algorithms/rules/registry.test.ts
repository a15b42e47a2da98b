import assert from "node:assert/strict";
import { it } from "node:test";
import { algorithmOf } from "../registry.ts";
import { type LimitSpec, rulesOfCode } from "./registry.ts";

const LIMITS: readonly LimitSpec[] = [
  { algorithm: "budget", quota: 5, ttlMs: 60, ttlFrom: "first" },
  { algorithm: "budget", quota: 5, ttlMs: 60, ttlFrom: "last" },
  { algorithm: "fixed-window", quota: 5, windowMs: 10, align: "epoch" },
  { algorithm: "fixed-window", quota: 5, windowMs: 10, align: "first-use" },
  { algorithm: "fixed-window", quota: 5, align: "calendar", boundaries: [1, 2, 3] },
  { algorithm: "sliding-window", quota: 5, windowMs: 10 },
  { algorithm: "token-bucket", burst: 5, levelPerUnit: 7, levelPerMs: 2 },
  { algorithm: "concurrency", quota: 5 },
  { algorithm: "elapsed", quota: 5, ttlMs: 60 },
  { algorithm: "streak", quota: 5, ttlMs: 60 },
  { algorithm: "cooldown", quota: 1, pauseMs: 60 },
];

for (const limit of LIMITS) {
  it(`a limit is the same behind the wire: ${JSON.stringify(limit)}`, () => {
    const [{ code }, capacity = 0, first = 0, second = 0, third = 0] = algorithmOf(limit).wire.numbersOf(limit);
    assert.deepEqual(rulesOfCode(code).limitOf(code, capacity, first, second, third), limit);
  });
}

// What counts values, outcomes and time, windows of a calendar, grants and shadows: what is promised comes true, on any
// schedule.

import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import type { LimitSpec } from "./algorithms/registry.ts";
import { isStopped } from "./bucket/contents.ts";
import { decide, keysOf } from "./decide.ts";
import type { StepEvent, StoreReply, StoreRequest } from "./request.ts";
import type { StoredState } from "./state.ts";
import { decodeState, encodeState } from "./encoding/state.ts";

const SEED = 20_261_122;
const START_MS = 1_000;

const quota = fc.constantFrom(0, 1, 2, 3, 5);
const span = fc.constantFrom(5, 10, 30);
const limits = fc.oneof(
  fc.record({ algorithm: fc.constant("elapsed"), quota: fc.constantFrom(5, 20), ttlMs: span }),
  fc.record({ algorithm: fc.constant("streak"), quota, ttlMs: span }),
  fc.record({
    algorithm: fc.constant("fixed-window"),
    quota,
    align: fc.constant("calendar"),
    boundaries: fc.constant([START_MS, START_MS + 30, START_MS + 500]),
  }),
  fc.record({ algorithm: fc.constant("fixed-window"), quota, windowMs: span, align: fc.constant("first-use") }),
  fc.record({ algorithm: fc.constant("budget"), quota, ttlMs: span, ttlFrom: fc.constantFrom("first", "last") }),
  fc.record({ algorithm: fc.constant("sliding-window"), quota, windowMs: span }),
  fc.record({
    algorithm: fc.constant("token-bucket"),
    burst: fc.constantFrom(1, 5),
    levelPerUnit: fc.constantFrom(3, 10),
    levelPerMs: fc.constantFrom(1, 2),
  }),
  fc.record({ algorithm: fc.constant("concurrency"), quota }),
) as fc.Arbitrary<LimitSpec>;
const cost = fc.constantFrom(0, 1, 1, 2, 4, 7);
const leaseMs = fc.constantFrom(1, 5, 10, 40);
const events = fc.oneof(
  fc.record({ type: fc.constant("charge"), cost }),
  fc.record({
    type: fc.constant("charge"),
    cost: fc.constant(1),
    seen: fc.constantFrom("00000000000000aa", "00000000000000bb", "cc00000000000000"),
  }),
  fc.record({ type: fc.constant("grant"), units: cost, leaseMs }),
  fc.record({ type: fc.constant("hold"), units: cost, leaseMs, onExpiry: fc.constantFrom("charge", "refund") }),
  fc.record({ type: fc.constant("report"), outcome: fc.constantFrom("error", "error", "r1", null) }),
) as fc.Arbitrary<StepEvent>;
const schedules = fc.array(
  fc.record({
    waitMs: fc.constantFrom(0, 0, 1, 4, 5, 9, 30),
    mode: fc.constantFrom<StoreRequest["mode"]>("judge", "judge", "judge", "force"),
    event: events,
  }),
  { minLength: 3, maxLength: 12 },
);

/** A store of one bucket that keeps text. */
function bucketOf(limit: LimitSpec) {
  let text: string | null = null;
  let expiresAtMs = 0;
  return (mode: StoreRequest["mode"], event: StepEvent, nowMs: number): StoreReply => {
    const request: StoreRequest = { mode, steps: [{ bucket: "b", limit, event }] };
    const state = text === null ? undefined : (decodeState(text, expiresAtMs) ?? assert.fail(text));
    assert.deepEqual(keysOf(request), ["b"]);
    const { reply, next } = decide(request, [state], nowMs);
    if (next !== null) keep(next[0]);
    return reply ?? assert.fail();
  };

  function keep(state: StoredState | undefined) {
    text = state === undefined ? null : encodeState(state);
    expiresAtMs = state?.expiresAtMs ?? 0;
    if (state !== undefined && text !== null) assert.deepEqual(decodeState(text, expiresAtMs), state);
  }
}

it("a denied step passes exactly at the promised instant, and never where none was promised", () => {
  const counts = { allowed: 0, deniedFor: 0, deniedForEver: 0, granted: 0, deniedBesideGrants: 0 };
  const property = fc.property(limits, schedules, (limit, schedule) => {
    const apply = bucketOf(limit);
    let nowMs = START_MS;
    for (const [i, { waitMs, mode, event }] of schedule.entries()) {
      nowMs += waitMs;
      const named = event.type === "hold" || event.type === "grant" ? { ...event, id: `i${i}` } : event;
      const peeked = apply("peek", named, nowMs);
      const reply = apply(mode, named, nowMs);
      if (mode === "judge") assert.deepEqual(reply, peeked, "a peek answers as if it booked");
      const [step] = reply.steps;
      assert.ok(step);
      if (step.granted !== undefined) counts.granted++;
      const isCall = event.type === "charge" || event.type === "hold";
      if (isCall && isStopped(limit)) assert.equal(step.allowed, false, "nothing passes under a quota of 0");
      if (mode !== "judge") continue;
      assert.equal(step.retryAfterMs === 0, step.allowed);
      if (step.allowed) {
        counts.allowed++;
        continue;
      }
      if (step.granted !== undefined) counts.deniedBesideGrants++;
      const { retryAfterMs } = step;
      if (retryAfterMs === null) {
        counts.deniedForEver++;
        if (limit.algorithm === "elapsed") continue;
        for (let ms = 0; ms < 100; ms++) assert.equal(apply("peek", named, nowMs + ms).allowed, false, `after ${ms}`);
        continue;
      }
      counts.deniedFor++;
      assert.equal(apply("peek", named, nowMs + retryAfterMs - 1).allowed, false, "a ms before");
      const then = apply("peek", named, nowMs + retryAfterMs);
      // A calendar's window ends where the boundaries do that were given.
      assert.ok(then.allowed || then.stale === true, `after ${retryAfterMs}`);
    }
  });
  fc.assert(property, { seed: SEED, numRuns: 3_000 });
  for (const [what, count] of Object.entries(counts)) assert.ok(count > 200, `${what}: ${count}`);
});

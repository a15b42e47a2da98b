// What a clock that jumps costs. Calls are made in real time, and judged by a clock that is set ahead and back as it likes.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { algorithmOf, type LimitSpec } from "./algorithms/registry.ts";
import { decide } from "./decide.ts";
import type { StepEvent, StepReply, StoreRequest } from "./request.ts";
import type { StoredState } from "./state.ts";
import { decodeState, encodeState } from "./encoding/state.ts";

const SEED = 20_261_128;
const START_MS = 1_000_000_000;
const QUOTA = 4;
const WINDOW_MS = 100;
const LEASE_MS = 60;

const LIMITS: Record<string, LimitSpec> = {
  "quota from last": { algorithm: "budget", quota: QUOTA, ttlMs: WINDOW_MS, ttlFrom: "last" },
  "quota from first": { algorithm: "budget", quota: QUOTA, ttlMs: WINDOW_MS, ttlFrom: "first" },
  "fixed-window epoch": { algorithm: "fixed-window", quota: QUOTA, windowMs: WINDOW_MS, align: "epoch" },
  "fixed-window first-use": { algorithm: "fixed-window", quota: QUOTA, windowMs: WINDOW_MS, align: "first-use" },
  "sliding-window": { algorithm: "sliding-window", quota: QUOTA, windowMs: WINDOW_MS },
  "token-bucket": { algorithm: "token-bucket", burst: QUOTA, levelPerUnit: 25, levelPerMs: 1 },
};

/** How long all of it stays spent at most: until the last instant of a sub-window has left the window. */
const longestMs = ({ algorithm }: LimitSpec) =>
  algorithm === "sliding-window" ? WINDOW_MS + WINDOW_MS / 10 : WINDOW_MS;

/** Most units in a span of real time while the clock is right. */
function most(limit: LimitSpec, spanMs: number): number {
  if (limit.algorithm === "token-bucket") return QUOTA + Math.floor(spanMs / 25);
  const isFromFirst = limit.algorithm === "budget" && limit.ttlFrom === "first";
  if (limit.algorithm === "fixed-window" || isFromFirst) return QUOTA * (1 + Math.ceil(spanMs / WINDOW_MS));
  return QUOTA * (1 + Math.floor(spanMs / WINDOW_MS));
}

/** A bucket that is kept as text, in real time, on a clock that may be wrong. */
class Bucket {
  state: StoredState | undefined;
  realMs = START_MS;
  /** By how much the clock is ahead. */
  aheadMs = 0;
  readonly #limit: LimitSpec;

  constructor(limit: LimitSpec) {
    this.#limit = limit;
  }

  ask(event: StepEvent, mode: StoreRequest["mode"] = "judge"): StepReply {
    const request = { mode, steps: [{ bucket: "b", limit: this.#limit, event }] };
    const { reply, next } = decide(request, [this.state], this.realMs + this.aheadMs);
    if (next !== null) this.state = next[0];
    if (this.state !== undefined) {
      assert.deepEqual(decodeState(encodeState(this.state), this.state.expiresAtMs), this.state);
    }
    return reply?.steps[0] ?? assert.fail();
  }
}

const jumps = fc.oneof(fc.integer({ min: -150, max: 150 }), fc.constantFrom(86_400_000, -86_400_000, 1, -1));
const turns = fc.record({
  waitMs: fc.nat({ max: 40 }),
  /** By how much the clock is set, now and then. */
  jumpMs: fc.option(jumps, { nil: 0, freq: 3 }),
  type: fc.constantFrom("charge", "charge", "charge", "charge", "hold", "settle", "read"),
  units: fc.integer({ min: 1, max: QUOTA }),
  isPeek: fc.boolean(),
});
type Turn = typeof turns extends fc.Arbitrary<infer T> ? T : never;
const schedules = fc.array(turns, { minLength: 5, maxLength: 40 });

function eventOf({ type, units }: Turn, i: number): StepEvent {
  if (type === "hold") return { type: "hold", id: `h${i}`, units, leaseMs: LEASE_MS, onExpiry: "refund" };
  if (type === "settle") return { type: "settle", id: `h${i - 1}`, units: 0 };
  return type === "read" ? { type: "read" } : { type: "charge", cost: units };
}

describe("a clock that jumps", () => {
  for (const [name, limit] of Object.entries(LIMITS)) {
    it(`${name}: denies no caller for longer than one window, or one lease, once it is right`, () => {
      let denied = 0;
      const property = fc.property(schedules, (schedule) => {
        const bucket = new Bucket(limit);
        for (const [i, turn] of schedule.entries()) {
          bucket.realMs += turn.waitMs;
          bucket.aheadMs += turn.jumpMs;
          bucket.ask(eventOf(turn, i), turn.isPeek && turn.type === "read" ? "peek" : "judge");
        }
        bucket.aheadMs = 0;
        const all: StepEvent = { type: "charge", cost: QUOTA };
        const { allowed, retryAfterMs } = bucket.ask(all);
        if (allowed) return;
        denied++;
        assert.ok(retryAfterMs !== null && retryAfterMs <= longestMs(limit) + LEASE_MS, `${retryAfterMs}`);
        bucket.realMs += retryAfterMs - 1;
        assert.equal(bucket.ask(all).allowed, false);
        bucket.realMs += 1;
        assert.equal(bucket.ask(all).allowed, true);
      });
      fc.assert(property, { seed: SEED, numRuns: 400 });
      assert.ok(denied > 50, `${denied}`);
    });

    it(`${name}: lets at most one more quota pass for each time that it was set`, () => {
      let admitted = 0;
      const property = fc.property(schedules, (schedule) => {
        const bucket = new Bucket(limit);
        const log: { readonly atMs: number; readonly units: number }[] = [];
        const sets: number[] = [];
        for (const { waitMs, jumpMs, units } of schedule) {
          bucket.realMs += waitMs;
          bucket.aheadMs += jumpMs;
          if (jumpMs !== 0) sets.push(bucket.realMs);
          if (bucket.ask({ type: "charge", cost: units }).allowed) log.push({ atMs: bucket.realMs, units });
        }
        for (const [i, first] of log.entries()) {
          let sum = 0;
          for (const { atMs, units } of log.slice(i)) {
            sum += units;
            const set = sets.filter((setMs) => setMs >= first.atMs - longestMs(limit) && setMs <= atMs).length;
            assert.ok(sum <= most(limit, atMs - first.atMs) + set * QUOTA, `${sum} in ${atMs - first.atMs} ms`);
          }
        }
        admitted += log.length;
      });
      fc.assert(property, { seed: SEED, numRuns: 400 });
      assert.ok(admitted > 500, `${admitted}`);
    });

    // A window that does not begin with the first charge may be nearly over when that comes.
    if (name === "fixed-window epoch") continue;
    it(`${name}: frees nothing earlier when it is only set back`, () => {
      const counts = { setBack: 0, spent: 0 };
      const property = fc.property(schedules, (schedule) => {
        const bucket = new Bucket(limit);
        let spentMs = Number.NEGATIVE_INFINITY;
        for (const { waitMs, jumpMs } of schedule) {
          bucket.realMs += waitMs;
          bucket.aheadMs -= Math.abs(jumpMs);
          const { used } = bucket.ask({ type: "read" });
          const passedMs = bucket.realMs - spentMs;
          if (limit.algorithm === "token-bucket") assert.ok(used >= QUOTA - passedMs / 25);
          else if (passedMs < WINDOW_MS) assert.equal(used, QUOTA);
          if (passedMs < WINDOW_MS && jumpMs !== 0) counts.setBack++;
          if (!bucket.ask({ type: "charge", cost: QUOTA }).allowed) continue;
          counts.spent++;
          spentMs = bucket.realMs;
        }
      });
      fc.assert(property, { seed: SEED, numRuns: 200 });
      for (const [what, count] of Object.entries(counts)) assert.ok(count > 200, `${what}: ${count}`);
    });
  }

  it("token-bucket: gives nothing back twice of a hold that was made by a clock that was ahead", () => {
    const limit = LIMITS["token-bucket"] as LimitSpec;
    const capacity = algorithmOf(limit).capacity(limit);
    const property = fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.nat({ max: 60 }),
      jumps,
      (units, waitMs, aheadMs) => {
        const bucket = new Bucket(limit);
        bucket.aheadMs = Math.max(0, aheadMs);
        bucket.ask({ type: "charge", cost: 1 });
        bucket.ask({ type: "hold", id: "h", units, leaseMs: LEASE_MS, onExpiry: "refund" });
        bucket.realMs += waitMs;
        bucket.aheadMs = 0;
        const { used } = bucket.ask({ type: "settle", id: "h", units: 0 });
        assert.ok(used <= capacity && used <= 1 + units, `${used}`);
        // What was charged beside the hold is not given back with it, before it has flowed back.
        if (waitMs === 0) assert.equal(used, 1);
      },
    );
    fc.assert(property, { seed: SEED, numRuns: 300 });
  });
});

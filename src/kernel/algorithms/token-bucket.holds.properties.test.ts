// What a token bucket really lets through when holds give back: never more than its bound.
//
// A charge lets its units through when it is booked. A hold lets through what is settled of it, at the time when it was
// made: that is when its call began. A hold that was charged when it expired let all of it through, one that was refunded
// nothing. What is settled beyond a hold's units, or after it was refunded, is debt: no limit was asked whether it may pass.

import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import type { TokenBucketLimit } from "./token-bucket.ts";
import { decide } from "../decide.ts";
import type { StepEvent, StepReply } from "../request.ts";
import type { StoredState } from "../state.ts";

const SEED = 20_251_123;
const SCHEDULES = Number(process.env.TOLLGATE_TOKEN_BUCKET_SCHEDULES ?? 10_000);

interface Passed {
  readonly atMs: number;
  /** What it let through, as far as is known; of an open hold, all of it. */
  units: number;
}

interface Made extends Passed {
  readonly id: string;
  readonly held: number;
  readonly onExpiry: "charge" | "refund";
  endMs: number;
  hasExpired: boolean;
  isOpen: boolean;
}

const limits: fc.Arbitrary<TokenBucketLimit> = fc.record({
  algorithm: fc.constant("token-bucket"),
  burst: fc.integer({ min: 1, max: 8 }),
  levelPerUnit: fc.integer({ min: 1, max: 12 }),
  levelPerMs: fc.integer({ min: 1, max: 3 }),
});
const turns = fc.record({
  /** Some ms, or to an instant that means something, or to one beside it. */
  wait: fc.oneof(
    { weight: 7, arbitrary: fc.nat({ max: 6 }) },
    { weight: 1, arbitrary: fc.nat({ max: 60 }) },
    { weight: 3, arbitrary: fc.constantFrom("end -1", "end 0", "end 1", "retry -1", "retry 0", "retry 1") },
  ),
  type: fc.constantFrom("charge", "charge", "hold", "hold", "settle", "settle", "extend"),
  units: fc.integer({ min: 1, max: 8 }),
  leaseMs: fc.integer({ min: 1, max: 60 }),
  onExpiry: fc.constantFrom("charge", "refund"),
  /** Which hold: mostly one that was not settled. */
  which: fc.nat({ max: 9 }),
  /** What is settled, beside what was held. */
  actual: fc.constantFrom("none", "none", "less", "less", "equal", "more"),
});
type Turn = typeof turns extends fc.Arbitrary<infer T> ? T : never;
const schedules = fc.array(turns, { minLength: 6, maxLength: 24 });

function actualOf({ actual, units }: Turn, held: number): number {
  if (actual === "none") return 0;
  if (actual === "less") return units % held;
  return actual === "equal" ? held : held + units;
}

function waitMs(wait: Turn["wait"], retryMs: number, holds: readonly Made[], nowMs: number): number {
  if (typeof wait === "number") return wait;
  const [what, beside] = wait.split(" ");
  const leftMs = holds.filter(({ isOpen, endMs }) => isOpen && endMs > nowMs).map(({ endMs }) => endMs - nowMs);
  const ms = what === "retry" ? retryMs : Math.min(...leftMs, 60);
  return Math.max(0, ms + Number(beside));
}

it(`tokenBucket lets through at most burst + floor(t * rate) units in any t, over ${SCHEDULES} schedules with holds`, () => {
  const counts = { charge: 0, hold: 0, denied: 0, early: 0, late: 0, settled: 0, several: 0, expired: 0, extended: 0 };
  const property = fc.property(limits, schedules, (limit, schedule) => {
    const passed: Passed[] = [];
    const holds: Made[] = [];
    let nowMs = 1_000_000;
    let state: StoredState | undefined;
    let retryMs = 0;

    const ask = (event: StepEvent): StepReply => {
      const { reply, next } = decide({ mode: "judge", steps: [{ bucket: "b", limit, event }] }, [state], nowMs);
      if (next !== null) state = next[0];
      return reply?.steps[0] ?? assert.fail();
    };
    const take = ({ type, units, leaseMs, onExpiry }: Turn, id: string) => {
      const cost = 1 + (units % limit.burst);
      const event: StepEvent =
        type === "charge" ? { type, cost } : { type: "hold", id, units: cost, leaseMs, onExpiry };
      const { allowed, retryAfterMs } = ask(event);
      retryMs = retryAfterMs ?? 0;
      counts[allowed ? event.type : "denied"]++;
      if (!allowed) return;
      const endMs = nowMs + leaseMs;
      const made: Made = { atMs: nowMs, units: cost, id, held: cost, onExpiry, endMs, hasExpired: false, isOpen: true };
      passed.push(made);
      if (event.type === "hold") holds.push(made);
    };
    const settle = (turn: Turn, hold: Made) => {
      const isLive = hold.isOpen && nowMs < hold.endMs;
      const actual = actualOf(turn, hold.held);
      const { found } = ask({ type: "settle", id: hold.id, units: actual });
      assert.equal(found, isLive ? "live" : hold.isOpen ? "late" : "unknown");
      if (isLive) hold.units = Math.min(actual, hold.held);
      counts[isLive ? "early" : hold.isOpen ? "late" : "settled"]++;
      hold.isOpen = false;
    };
    const extend = ({ leaseMs }: Turn, hold: Made) => {
      const { allowed } = ask({ type: "extend", id: hold.id, leaseMs });
      assert.equal(allowed, hold.isOpen && nowMs < hold.endMs);
      if (allowed) hold.endMs = Math.max(hold.endMs, nowMs + leaseMs);
      counts.extended += allowed ? 1 : 0;
    };
    /** What passed up to now, with what would pass now, in each span of time that ends now. */
    const check = () => {
      let units = Math.max(0, limit.burst - ask({ type: "read" }).used);
      for (const { atMs, units: more } of passed.toReversed()) {
        units += more;
        const bound = limit.burst + Math.floor(((nowMs - atMs) * limit.levelPerMs) / limit.levelPerUnit);
        assert.ok(units <= bound, `${units} units within ${nowMs - atMs} ms`);
      }
    };

    for (const [i, turn] of schedule.entries()) {
      nowMs += waitMs(turn.wait, retryMs, holds, nowMs);
      for (const hold of holds.filter(({ isOpen, endMs }) => isOpen && nowMs >= endMs)) {
        counts.expired += hold.hasExpired ? 0 : 1;
        hold.hasExpired = true;
        if (hold.onExpiry === "refund") hold.units = 0;
      }
      const known = turn.which === 0 ? holds : holds.filter(({ isOpen }) => isOpen);
      const hold = known[turn.which % Math.max(1, known.length)];
      if (turn.type === "settle" && hold !== undefined) settle(turn, hold);
      else if (turn.type === "extend" && hold !== undefined) extend(turn, hold);
      else take(turn, `h${i}`);
      check();
      counts.several += holds.filter(({ isOpen, endMs }) => isOpen && nowMs < endMs).length > 1 ? 1 : 0;
    }
  });
  fc.assert(property, { seed: SEED, numRuns: SCHEDULES });
  for (const [what, count] of Object.entries(counts)) assert.ok(count > SCHEDULES / 5, `${what}: ${count}`);
});

// What the queues of token buckets let through, at the instants of the turns: never more than the bounds of all limits, also
// where calls leave the queue, and in the order in which calls came, where none leaves it.

import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import type { LimitSpec } from "../algorithms/registry.ts";
import type { TokenBucketLimit } from "../algorithms/token-bucket.ts";
import { decide } from "../decide.ts";
import type { Step, StepEvent } from "../request.ts";
import type { StoredState } from "../state.ts";

const SEED = 20_261_122;
const SCHEDULES = Number(process.env.TOLLGATE_TOKEN_BUCKET_SCHEDULES ?? 10_000);

/** A call that was let through, or will be. */
interface Served {
  readonly id: string;
  readonly atMs: number;
  readonly units: number;
  /** Which of the token buckets it was for. */
  readonly buckets: readonly number[];
  /** Whether it had to wait. */
  readonly waited: boolean;
}

const bucket: fc.Arbitrary<TokenBucketLimit> = fc.record({
  algorithm: fc.constant("token-bucket"),
  burst: fc.integer({ min: 1, max: 6 }),
  levelPerUnit: fc.integer({ min: 1, max: 12 }),
  levelPerMs: fc.integer({ min: 1, max: 3 }),
});
/** Of holds. */
const LEASE_MS = 200;

const turns = fc.record({
  advanceMs: fc.constantFrom(0, 0, 0, 0, 1, 2, 5, 9, 40),
  type: fc.constantFrom("call", "call", "call", "call", "leave", "hold", "hold", "settle", "settle", "keep"),
  units: fc.constantFrom(1, 1, 1, 2, 3),
  maxWaitMs: fc.constantFrom(0, 3, 20, 100, 1_000),
  buckets: fc.constantFrom<number[][]>([0], [0], [1], [0, 1], [1, 0]),
  which: fc.nat({ max: 9 }),
});

function play(
  limits: readonly TokenBucketLimit[],
  schedule: readonly (typeof turns extends fc.Arbitrary<infer T> ? T : never)[],
) {
  const quota: LimitSpec = { algorithm: "budget", quota: 1_000, ttlMs: 100_000, ttlFrom: "first" };
  const states = new Map<string, StoredState>();
  let nowMs = 1_000;
  let served: Served[] = [];
  let holds: { id: string; bucket: number }[] = [];
  const taken = new Set<string>();
  const apply = (
    events: readonly (readonly [bucket: number | "quota", StepEvent])[],
    wait?: { id: string; maxMs: number },
  ) => {
    const steps = events.map(
      ([of, event]): Step => ({
        bucket: `${of}`,
        limit: of === "quota" ? quota : (limits[of] as TokenBucketLimit),
        event,
      }),
    );
    const before = steps.map((step) => states.get(step.bucket));
    const { reply, next } = decide({ mode: "judge", steps, ...(wait === undefined ? {} : { wait }) }, before, nowMs);
    for (const [i, step] of steps.entries()) {
      const state = next?.[i];
      if (next !== null && state === undefined) states.delete(step.bucket);
      if (state !== undefined) states.set(step.bucket, state);
    }
    return reply ?? assert.fail("too many holds");
  };
  for (const [n, { advanceMs, type, units, maxWaitMs, buckets, which }] of schedule.entries()) {
    nowMs += advanceMs;
    const [first = 0] = buckets;
    const waiting = served.filter(({ atMs }) => atMs > nowMs);
    if (type === "call") {
      const id = `w${n}`;
      const events = [...buckets, "quota" as const].map((of) => [of, { type: "charge", cost: units }] as const);
      const { allowed, waitMs = 0 } = apply(events, maxWaitMs === 0 ? undefined : { id, maxMs: maxWaitMs });
      assert.ok(waitMs <= maxWaitMs);
      if (allowed) served.push({ id, atMs: nowMs + waitMs, units, buckets, waited: waitMs > 0 });
    } else if (type === "leave" && waiting.length > 0) {
      const leaving = waiting[which % waiting.length] as Served;
      apply(
        [...leaving.buckets, "quota" as const].map((of) => [of, { type: "settle", id: leaving.id, units: 0 }] as const),
      );
      served = served.filter(({ id }) => id !== leaving.id);
    } else if (type === "hold" || type === "keep") {
      const id = `${type}${n}`;
      const onExpiry = type === "keep" ? "charge" : "refund";
      const event = { type: "hold", id, units, leaseMs: LEASE_MS, onExpiry } as const;
      const wait = maxWaitMs === 0 ? undefined : { id: `w${n}`, maxMs: maxWaitMs };
      const { allowed, waitMs = 0 } = apply([[first, event]], wait);
      assert.ok(waitMs <= maxWaitMs);
      if (allowed) {
        if (type === "hold") holds.push({ id, bucket: first });
        served.push({ id, atMs: nowMs + waitMs, units, buckets: [first], waited: waitMs > 0 });
      }
    } else if (type === "settle" && holds.length > 0) {
      const hold = holds[which % holds.length] as { id: string; bucket: number };
      const of = served.find(({ id }) => id === hold.id);
      holds = holds.filter(({ id }) => id !== hold.id);
      // One whose turn has not come is not settled: its call has not begun.
      if (of === undefined || nowMs < of.atMs || nowMs >= of.atMs + LEASE_MS) continue;
      // A part of it, or all: it was let through when it was made.
      const actual = which === 9 ? 0 : Math.max(1, of.units - (which % 2));
      taken.add(hold.id);
      const { steps } = apply([[hold.bucket, { type: "settle", id: hold.id, units: actual }]]);
      assert.equal(steps[0]?.found, "live");
      served = served.map((each) => (each === of ? { ...of, units: actual } : each));
    }
  }
  // A hold that was not settled in time let nothing through.
  return served.filter(({ id }) => !id.startsWith("hold") || taken.has(id));
}

function assertBound(limit: TokenBucketLimit, served: readonly Served[]): void {
  const inOrder = [...served].sort((one, other) => one.atMs - other.atMs);
  for (const [i, from] of inOrder.entries()) {
    let units = 0;
    for (const to of inOrder.slice(i)) {
      units += to.units;
      const most = limit.burst + Math.floor(((to.atMs - from.atMs) * limit.levelPerMs) / limit.levelPerUnit);
      assert.ok(units <= most, `${units} units from ${from.atMs} to ${to.atMs}, at most ${most}`);
    }
  }
}

it(`lets through at most the limits' bounds, in ${SCHEDULES} schedules`, (context) => {
  let waited = 0;
  const settledAlways = fc.array(
    turns.map((turn) => ({
      ...turn,
      type: turn.type === "hold" || turn.type === "settle" ? ("call" as const) : turn.type,
    })),
    { minLength: 4, maxLength: 30 },
  );
  fc.assert(
    fc.property(fc.tuple(bucket, bucket), settledAlways, (limits, schedule) => {
      const served = play(limits, schedule);
      waited += served.filter((each) => each.waited).length;
      for (const [of, limit] of limits.entries()) {
        assertBound(
          limit,
          served.filter(({ buckets }) => buckets.includes(of)),
        );
      }
    }),
    { numRuns: SCHEDULES, seed: SEED },
  );
  context.diagnostic(`${waited} calls had to wait`);
  assert.ok(waited > SCHEDULES);
});

it("keeps the bound where holds wait in the queue, and are settled in part or as a whole, or given back", (context) => {
  let waited = 0;
  fc.assert(
    fc.property(bucket, fc.array(turns, { minLength: 4, maxLength: 30 }), (limit, schedule) => {
      const served = play(
        [limit],
        schedule.map((turn) => ({ ...turn, buckets: [0] })),
      );
      waited += served.filter((each) => each.waited && each.id.startsWith("hold")).length;
      assertBound(limit, served);
    }),
    { numRuns: SCHEDULES, seed: SEED },
  );
  context.diagnostic(`${waited} holds had to wait, and were settled`);
  assert.ok(waited > SCHEDULES / 20);
});

it("serves calls of one token bucket in their order", () => {
  fc.assert(
    fc.property(bucket, fc.array(turns, { minLength: 4, maxLength: 30 }), (limit, schedule) => {
      const calls = schedule.map((turn) => ({
        ...turn,
        buckets: [0],
        type: turn.type === "keep" ? turn.type : ("call" as const),
      }));
      const served = play([limit], calls);
      for (const [i, { atMs }] of served.entries()) assert.ok(atMs >= (served[i - 1]?.atMs ?? 0));
    }),
    { numRuns: SCHEDULES, seed: SEED },
  );
});

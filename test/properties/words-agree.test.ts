// Every store gives equal replies for equal schedules (invariant 5): what counts values, outcomes and time, windows of a
// calendar, grants, and limits in shadow, beside and upon everything else.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  decide,
  encodeState,
  keysOf,
  type LimitSpec,
  type Step,
  type Store,
  type StoredState,
  StoreError,
  type StoreReply,
  type StoreRequest,
} from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { type Clock, fakeClock } from "tollgate/testing";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? cases(300, 1_500));
const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_122);
const START_MS = Date.now() + 365 * 86_400_000;

const io = (await anyRedis()).ioredis();
const folder = temporaryFolder();
const stores: Record<string, (clock: Clock) => Store> = {
  memory: (clock) => memoryStore({ clock }),
  sqlite: (clock) => sqliteStore(join(folder, "words.db"), { clock }),
  redis: (clock) => redisStore(io, { clock }),
};

const quota = fc.constantFrom(0, 1, 2, 3, 5);
const span = fc.constantFrom(5, 10, 30);
/** Offsets from the start; the schedule's time makes them instants. */
const calendar = fc
  .tuple(fc.constantFrom(-20, 0, 5), fc.constantFrom(10, 30), fc.constantFrom(40, 90))
  .map(([start, middle, end]) => [START_MS + start, START_MS + middle, START_MS + end] as const);
const limit = fc.oneof(
  fc.record({ algorithm: fc.constant("elapsed"), quota: fc.constantFrom(0, 5, 20), ttlMs: span }),
  fc.record({ algorithm: fc.constant("streak"), quota, ttlMs: span }),
  fc.record({ algorithm: fc.constant("fixed-window"), quota, align: fc.constant("calendar"), boundaries: calendar }),
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
  fc.record({ algorithm: fc.constant("cooldown"), quota: fc.constantFrom(1, 1, 0), pauseMs: span }),
) as fc.Arbitrary<LimitSpec>;

const cost = fc.constantFrom(0, 1, 1, 1, 2, 4);
const id = fc.constantFrom("g1", "g2", "h1", "h2", "h3");
const leaseMs = fc.constantFrom(1, 5, 10, 40);
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("charge"), cost }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("charge"),
      cost: fc.constantFrom(1, 1, 0, 2),
      seen: fc.constantFrom("00000000000000aa", "00000000000000bb", "cc00000000000000"),
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("grant"), id, units: cost, leaseMs }) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("hold"),
      id,
      units: cost,
      leaseMs,
      onExpiry: fc.constantFrom("charge", "refund"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("settle"), id, units: cost }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("extend"), id, leaseMs }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("revoke"), id }) },
  { weight: 1, arbitrary: fc.constant({ type: "read" }) },
  { weight: 1, arbitrary: fc.constant({ type: "reset" }) },
) as fc.Arbitrary<Step["event"]>;

/** What limits of streaks are mostly told. */
const report = fc.record({
  type: fc.constant("report" as const),
  outcome: fc.constantFrom("error", "error", "error", "error", "r1", null),
});

interface Turn {
  readonly advanceMs: number;
  readonly requests: readonly StoreRequest[];
}

const schedule: fc.Arbitrary<readonly Turn[]> = fc.array(limit, { minLength: 3, maxLength: 3 }).chain((limits) => {
  const step = fc
    .record({ bucket: fc.nat(2), event, report, tells: fc.nat(9), shadow: fc.constantFrom(false, false, false, true) })
    .map(({ bucket, event, report, tells, shadow }): Step => {
      const limit = limits[bucket] as LimitSpec;
      const isTold = tells === 0 || (limit.algorithm === "streak" && tells < 7);
      const step = { bucket: String(bucket), limit, event: isTold ? report : event };
      return shadow ? { ...step, shadow } : step;
    });
  const request = fc
    .record({
      mode: fc.constantFrom<StoreRequest["mode"]>("judge", "judge", "judge", "judge", "peek", "force"),
      steps: fc.uniqueArray(step, { minLength: 1, maxLength: 3, selector: ({ bucket }) => bucket }),
      once: fc.constantFrom(undefined, undefined, undefined, { key: "k", request: "r" }),
    })
    .map(({ once, ...rest }): StoreRequest => (once === undefined ? rest : { ...rest, once }));
  const turn = fc.record({
    advanceMs: fc.constantFrom(0, 0, 1, 4, 5, 9, 10, 30),
    requests: fc.array(request, { minLength: 1, maxLength: 4 }),
  });
  return fc.array(turn, { minLength: 3, maxLength: 9 });
});

/** What happened, so that a test can tell that its schedules were worth running. */
interface Tally {
  stale: number;
  granted: number;
  counted: number;
  rows: number;
  overTime: number;
  shadowed: number;
}

/** The kernel on texts, as a store that keeps text would have it. */
function createModel(tally: Tally) {
  const states = new Map<string, StoredState>();
  return (request: StoreRequest, nowMs: number): StoreReply => {
    const keys = keysOf(request);
    const before = keys.map((key) => states.get(key));
    const { reply, next } = decide(request, before, nowMs);
    assert.ok(reply);
    for (const [i, key] of keys.entries()) {
      const state = next === null ? before[i] : next[i];
      if (state === undefined || nowMs >= state.expiresAtMs) states.delete(key);
      else states.set(key, state);
    }
    if (reply.stale === true) tally.stale++;
    for (const [i, step] of reply.steps.entries()) {
      const asked = request.steps[i];
      if (reply.replay !== undefined || asked === undefined) continue;
      if (step.granted !== undefined) tally.granted++;
      if (asked.shadow === true && !step.allowed && reply.allowed) tally.shadowed++;
      if (asked.limit.algorithm === "elapsed" && !step.allowed) tally.overTime++;
      const state = next?.[i];
      if (state === undefined || state === before[i]) continue;
      if (encodeState(state).includes("c1 ")) tally.counted++;
      if (state.kind === "streak" && state.count > 1) tally.rows++;
    }
    return reply;
  };
}

/** Grants and holds of one bucket have ids of their own, as callers give them. */
function named(turns: readonly Turn[], prefix: string): Turn[] {
  let made = 0;
  const name = (event: Step["event"]): Step["event"] => {
    if (event.type === "hold") return { ...event, id: `h${made++ % 4}-${made}` };
    if (event.type === "settle" || event.type === "extend") return { ...event, id: `h${(made + 3) % 4}-${made}` };
    return event;
  };
  return turns.map(({ advanceMs, requests }) => ({
    advanceMs,
    requests: requests.map((request) => ({
      ...request,
      steps: request.steps.map((step) => ({ ...step, bucket: `${prefix}${step.bucket}`, event: name(step.event) })),
      ...(request.once === undefined ? {} : { once: { ...request.once, key: `${prefix}${request.once.key}` } }),
    })),
  }));
}

for (const [name, open] of Object.entries(stores)) {
  describe(`${name} and the kernel, with every key`, () => {
    it(`agree on ${SCHEDULES} schedules`, async (context) => {
      const tally: Tally = { stale: 0, granted: 0, counted: 0, rows: 0, overTime: 0, shadowed: 0 };
      let schedules = 0;
      const play = async (turns: readonly Turn[]) => {
        const clock = fakeClock(START_MS);
        const store = open(clock);
        const model = createModel(tally);
        for (const { advanceMs, requests } of named(turns, `words-${schedules++}-`)) {
          clock.advance(advanceMs);
          const replies = (await store.apply(requests)).map((reply) => {
            if (StoreError.isInstance(reply)) throw reply;
            return reply;
          });
          assert.deepEqual(
            replies,
            requests.map((request) => model(request, clock.nowMs())),
          );
        }
        await store.close();
      };
      await fc.assert(fc.asyncProperty(schedule, play), { numRuns: SCHEDULES, seed: SEED });
      context.diagnostic(JSON.stringify(tally));
      for (const [thing, count] of Object.entries(tally)) assert.ok(count >= SCHEDULES / 10, `${thing}: ${count}`);
    });
  });
}

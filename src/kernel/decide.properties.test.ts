// Each algorithm against a log of what was admitted and when, which is all that its rule speaks of.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { algorithmOf, type LimitSpec } from "./algorithms/registry.ts";
import { decide } from "./decide.ts";
import { compiledPolicy } from "./policy/parse.ts";
import type { LimitInput } from "./policy/input.ts";
import type { StoreRequest } from "./request.ts";
import type { Outcome, StoredState } from "./state.ts";

const SEED = 20_251_121;

interface Admitted {
  readonly atMs: number;
  readonly units: number;
}

/** An algorithm's rule over the log, and the bound that it promises. */
interface Model {
  readonly spec: LimitSpec;
  readonly capacity: number;
  used(log: readonly Admitted[], nowMs: number): number;
  /** Most units admitted at instants that are at most `spanMs` apart. */
  most(spanMs: number): number;
  /** Whether the bound holds from the first admission only, not from each. */
  readonly fromFirst?: boolean;
}

const total = (log: readonly Admitted[]) => log.reduce((sum, { units }) => sum + units, 0);

/** Units of the life that `nowMs` is in, where a life ends `lengthMs` after its first or its last admission. */
function unitsOfLife(log: readonly Admitted[], nowMs: number, lengthMs: number, from: "first" | "last"): number {
  let life: Admitted[] = [];
  const over = (atMs: number) => atMs - (life.at(from === "first" ? 0 : -1)?.atMs ?? 0) >= lengthMs;
  for (const admitted of log) life = over(admitted.atMs) ? [admitted] : [...life, admitted];
  return over(nowMs) ? 0 : total(life);
}

const MODELS: Record<string, (quota: number, lengthMs: number, burst: number) => Model> = {
  "quota, ttl from last": (quota, ttlMs) => ({
    ...limitOf({ quota, resetAfterIdle: `${ttlMs}ms` }),
    used: (log, nowMs) => unitsOfLife(log, nowMs, ttlMs, "last"),
    most: (spanMs) => quota * (1 + Math.floor(spanMs / ttlMs)),
  }),
  "quota, ttl from first": (quota, ttlMs) => ({
    ...limitOf({ quota, resetAfter: `${ttlMs}ms` }),
    used: (log, nowMs) => unitsOfLife(log, nowMs, ttlMs, "first"),
    most: (spanMs) => quota * (1 + Math.floor(spanMs / ttlMs)),
    fromFirst: true,
  }),
  "fixed-window, epoch": (quota, windowMs) => ({
    ...limitOf({ algorithm: "fixed-window", quota, window: `${windowMs}ms` }),
    used: (log, nowMs) => total(log.filter(({ atMs }) => Math.floor(atMs / windowMs) === Math.floor(nowMs / windowMs))),
    most: (spanMs) => quota * (1 + Math.ceil(spanMs / windowMs)),
  }),
  "fixed-window, first use": (quota, windowMs) => ({
    ...limitOf({ algorithm: "fixed-window", quota, window: `${windowMs}ms`, align: "first-use" }),
    used: (log, nowMs) => unitsOfLife(log, nowMs, windowMs, "first"),
    most: (spanMs) => quota * (1 + Math.ceil(spanMs / windowMs)),
  }),
  "sliding-window": (quota, windowMs) => {
    const sub = Math.ceil(windowMs / 10);
    return {
      ...limitOf({ algorithm: "sliding-window", quota, window: `${windowMs}ms` }),
      used: (log, nowMs) => total(log.filter(({ atMs }) => atMs - (atMs % sub) + sub - 1 > nowMs - windowMs)),
      most: (spanMs) => quota * (1 + Math.floor(spanMs / windowMs)),
    };
  },
  "token-bucket": (quota, windowMs, burst) => ({
    ...limitOf({ algorithm: "token-bucket", quota, window: `${windowMs}ms`, burst }),
    capacity: burst,
    used(log, nowMs) {
      let level = 0; // units * windowMs, without the common divisor taken out
      let sinceMs = 0;
      for (const { atMs, units } of [...log, { atMs: nowMs, units: 0 }]) {
        level = Math.max(0, level - (atMs - sinceMs) * quota) + units * windowMs;
        sinceMs = atMs;
      }
      return Math.ceil(level / windowMs);
    },
    most: (spanMs) => burst + Math.floor((spanMs * quota) / windowMs),
  }),
};

function limitOf(input: { quota: number } & Record<string, unknown>): { spec: LimitSpec; capacity: number } {
  const limit = { name: "limit", per: [], ...input } as unknown as LimitInput;
  const spec = compiledPolicy({ version: 1, limits: [limit] }).limits[0]?.allotment?.spec;
  assert.ok(spec);
  return { spec, capacity: input.quota };
}

/** How long a schedule waits: some ms, or to (or to one ms before) what the last reply promised. */
const waits = fc.oneof(
  fc.nat({ max: 30 }),
  fc.nat({ max: 200 }),
  fc.constantFrom("retry", "retry - 1", "reset", "reset - 1"),
);
const steps = fc.array(fc.record({ wait: waits, cost: fc.nat({ max: 7 }) }), { minLength: 10, maxLength: 40 });

function waitMs(wait: number | string, last: { retryAfterMs: number | null; resetAfterMs: number }): number {
  if (typeof wait === "number") return wait;
  const promised = wait.startsWith("retry") ? (last.retryAfterMs ?? 0) : last.resetAfterMs;
  return wait.endsWith("1") ? Math.max(0, promised - 1) : promised;
}

function charge(
  spec: LimitSpec,
  state: StoredState | undefined,
  cost: number,
  nowMs: number,
  mode: StoreRequest["mode"] = "judge",
) {
  const step = { bucket: "b", limit: spec, event: { type: "charge", cost } } as const;
  const outcome: Outcome = decide({ mode, steps: [step] }, [state], nowMs);
  const reply = outcome.reply?.steps[0];
  assert.ok(reply);
  return { reply, next: outcome.next };
}

/** The promises of one reply that need no model: they are about the state alone. */
function checkPromises(spec: LimitSpec, before: StoredState | undefined, cost: number, nowMs: number) {
  const { reply, next } = charge(spec, before, cost, nowMs);
  const capacity = algorithmOf(spec).capacity(spec);
  const after = next === null ? before : next[0];
  const allowedAt = (atMs: number) => charge(spec, after, cost, atMs).reply.allowed;
  assert.equal(reply.retryAfterMs === 0, reply.allowed);
  assert.equal(reply.retryAfterMs === null, Math.max(1, cost) > capacity);
  // A denial writes at most what a clock that was set back has left ahead of it, and charges nothing.
  if (!reply.allowed) assert.deepEqual(charge(spec, after, cost, nowMs), { reply, next: null });
  if (reply.retryAfterMs) {
    assert.equal(allowedAt(nowMs + reply.retryAfterMs - 1), false);
    assert.equal(allowedAt(nowMs + reply.retryAfterMs), true);
  }
  const usedAt = (atMs: number) => charge(spec, after, capacity + 1, atMs).reply.used;
  assert.ok(reply.used >= 0 && usedAt(nowMs) === reply.used);
  assert.equal(usedAt(nowMs + reply.resetAfterMs), 0);
  if (reply.resetAfterMs > 0) assert.ok(usedAt(nowMs + reply.resetAfterMs - 1) > 0);
  return { reply, after };
}

describe("every algorithm", () => {
  for (const [name, modelOf] of Object.entries(MODELS)) {
    it(`${name}: equals its rule over the log, and is never over its bound`, () => {
      const counts = { admitted: 0, denied: 0, returned: 0, never: 0 };
      const models = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 120 }), fc.nat({ max: 5 }));
      const property = fc.property(
        models,
        fc.nat({ max: 500 }),
        steps,
        ([quota, lengthMs, more], offsetMs, schedule) => {
          const model = modelOf(quota, lengthMs, 1 + more);
          const log: Admitted[] = [];
          let nowMs = 1_000_000 + offsetMs;
          let state: StoredState | undefined;
          let last: { retryAfterMs: number | null; resetAfterMs: number } = { retryAfterMs: 0, resetAfterMs: 0 };
          for (const { wait, cost } of schedule) {
            nowMs += waitMs(wait, last);
            const used = model.used(log, nowMs);
            const { reply, after } = checkPromises(model.spec, state, cost, nowMs);
            assert.equal(reply.allowed, used + Math.max(1, cost) <= model.capacity);
            if (reply.allowed && cost > 0) log.push({ atMs: nowMs, units: cost });
            assert.equal(reply.used, model.used(log, nowMs));
            counts.admitted += reply.allowed ? 1 : 0;
            counts.denied += reply.retryAfterMs ? 1 : 0;
            counts.never += reply.retryAfterMs === null ? 1 : 0;
            counts.returned += state !== undefined && used === 0 ? 1 : 0;
            state = after;
            last = reply;
          }
          for (const [i, first] of log.slice(0, model.fromFirst ? 1 : log.length).entries()) {
            let units = 0;
            for (const { atMs, units: more } of log.slice(i)) {
              units += more;
              assert.ok(units <= model.most(atMs - first.atMs));
            }
          }
        },
      );
      fc.assert(property, { seed: SEED, numRuns: 200 });
      for (const [what, count] of Object.entries(counts)) assert.ok(count > 200, `${what}: ${count}`);
    });
  }

  for (const [name, modelOf] of Object.entries(MODELS)) {
    it(`${name}: equals its rule over the log, also with forced charges beyond its capacity`, () => {
      const counts = { forced: 0, inDebt: 0, denied: 0, returned: 0 };
      const models = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 120 }), fc.nat({ max: 5 }));
      const step = fc.record({ wait: waits, cost: fc.nat({ max: 7 }), forced: fc.boolean() });
      const schedules = fc.array(step, { minLength: 10, maxLength: 40 });
      const property = fc.property(models, fc.nat({ max: 500 }), schedules, ([quota, lengthMs, more], at, schedule) => {
        const model = modelOf(quota, lengthMs, 1 + more);
        const log: Admitted[] = [];
        let nowMs = 1_000_000 + at;
        let state: StoredState | undefined;
        let last: { retryAfterMs: number | null; resetAfterMs: number } = { retryAfterMs: 0, resetAfterMs: 0 };
        for (const { wait, cost, forced } of schedule) {
          nowMs += waitMs(wait, last);
          const used = model.used(log, nowMs);
          const { reply, next } = charge(model.spec, state, cost, nowMs, forced ? "force" : "judge");
          assert.equal(reply.allowed, used + Math.max(1, cost) <= model.capacity);
          if ((forced || reply.allowed) && cost > 0) log.push({ atMs: nowMs, units: cost });
          assert.equal(reply.used, model.used(log, nowMs));
          counts.forced += forced && !reply.allowed ? 1 : 0;
          counts.inDebt += reply.used > model.capacity ? 1 : 0;
          counts.returned += used === 0 && last.resetAfterMs > 0 ? 1 : 0;
          state = next === null ? state : next[0];
          last = checkPromises(model.spec, state, 1, nowMs).reply;
          counts.denied += last.retryAfterMs ? 1 : 0;
        }
      });
      fc.assert(property, { seed: SEED, numRuns: 200 });
      for (const [what, count] of Object.entries(counts)) assert.ok(count > 200, `${what}: ${count}`);
    });
  }

  it("keeps its promises when the clock is set back and the limit is changed while a state lives", () => {
    const counts = { admitted: 0, denied: 0, setBack: 0 };
    const limits = fc
      .tuple(fc.constantFrom(...Object.values(MODELS)), fc.nat({ max: 6 }), fc.integer({ min: 1, max: 120 }), fc.nat(5))
      .map(([modelOf, quota, lengthMs, more]) => modelOf(quota, lengthMs, 1 + more).spec);
    const change = fc.record({ limit: limits, stepMs: fc.integer({ min: -100, max: 150 }), cost: fc.nat({ max: 7 }) });
    const property = fc.property(limits, fc.array(change, { minLength: 10, maxLength: 40 }), (first, changes) => {
      let nowMs = 1_000_000;
      let state: StoredState | undefined;
      for (const { limit, stepMs, cost } of changes) {
        // A change within one algorithm: a state of another kind counts for nothing.
        const spec = limit.algorithm === first.algorithm ? limit : first;
        nowMs += stepMs;
        const { reply, after } = checkPromises(spec, state, cost, nowMs);
        counts.admitted += reply.allowed ? 1 : 0;
        counts.denied += reply.retryAfterMs ? 1 : 0;
        counts.setBack += stepMs < 0 && state !== undefined && reply.used > 0 ? 1 : 0;
        state = after;
      }
    });
    fc.assert(property, { seed: SEED, numRuns: 300 });
    for (const [what, count] of Object.entries(counts)) assert.ok(count > 200, `${what}: ${count}`);
  });
});

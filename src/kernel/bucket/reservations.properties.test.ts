// What holds promise under every algorithm, while the clock is set back and the limit is changed. What they do otherwise is
// compared with a model in ../model.properties.test.ts.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
import { decide } from "../decide.ts";
import type { StepEvent, StepReply, StoreRequest } from "../request.ts";
import type { StoredState } from "../state.ts";
import { decodeState, encodeState } from "../encoding/state.ts";

const SEED = 20_251_122;
const lengths = fc.integer({ min: 1, max: 120 });
const quotas = fc.integer({ min: 1, max: 12 });
const LIMITS: Record<string, fc.Arbitrary<LimitSpec>> = {
  "quota, ttl from last": limits((quota, ttlMs) => ({ algorithm: "budget", quota, ttlMs, ttlFrom: "last" })),
  "quota, ttl from first": limits((quota, ttlMs) => ({ algorithm: "budget", quota, ttlMs, ttlFrom: "first" })),
  "fixed-window, epoch": limits((quota, windowMs) => ({ algorithm: "fixed-window", quota, windowMs, align: "epoch" })),
  "fixed-window, first use": limits((quota, windowMs) => {
    return { algorithm: "fixed-window", quota, windowMs, align: "first-use" };
  }),
  "sliding-window": limits((quota, windowMs) => ({ algorithm: "sliding-window", quota, windowMs })),
  "token-bucket": limits((burst, lengthMs) => {
    return { algorithm: "token-bucket", burst, levelPerUnit: 1 + (lengthMs % 17), levelPerMs: 1 + (lengthMs % 4) };
  }),
  concurrency: limits((quota) => ({ algorithm: "concurrency", quota })),
};

function limits(make: (quota: number, lengthMs: number) => LimitSpec): fc.Arbitrary<LimitSpec> {
  return fc.tuple(quotas, lengths).map(([quota, lengthMs]) => make(quota, lengthMs));
}

const turns = fc.record({
  type: fc.constantFrom("charge", "hold", "hold", "hold", "settle", "settle", "extend"),
  units: fc.oneof({ weight: 7, arbitrary: fc.nat({ max: 4 }) }, fc.nat({ max: 13 })),
  leaseMs: fc.integer({ min: 1, max: 60 }),
  onExpiry: fc.constantFrom("charge", "refund"),
  /** Which hold, of those that there are. */
  which: fc.nat({ max: 20 }),
  isForced: fc.nat({ max: 9 }).map((n) => n === 0),
});
type Turn = typeof turns extends fc.Arbitrary<infer T> ? T : never;

function eventOf({ type, units, leaseMs, onExpiry, which }: Turn, ids: readonly string[], id: string): StepEvent {
  if (type === "charge") return { type: "charge", cost: units };
  const old = which === 0 ? "unknown" : ids[which % ids.length];
  if (type === "hold" || old === undefined)
    return { type: "hold", id, units, leaseMs, onExpiry: onExpiry as "charge" | "refund" };
  return type === "settle" ? { type: "settle", id: old, units } : { type: "extend", id: old, leaseMs };
}

function ask(
  limit: LimitSpec,
  state: StoredState | undefined,
  event: StepEvent,
  nowMs: number,
  mode: StoreRequest["mode"] = "judge",
): { reply: StepReply; next: readonly (StoredState | undefined)[] | null } {
  const { reply, next } = decide({ mode, steps: [{ bucket: "b", limit, event }] }, [state], nowMs);
  const step = reply?.steps[0];
  assert.ok(step);
  return { reply: step, next };
}

/** What a store that keeps text reads back. */
function stored(state: StoredState | undefined): StoredState | undefined {
  if (state === undefined) return undefined;
  const read = decodeState(encodeState(state), state.expiresAtMs);
  assert.deepEqual(read, state);
  return state;
}

/** What a bucket promises, a charge and a hold alike: about the state alone, whatever else was its history. */
function checkPromises(limit: LimitSpec, before: StoredState | undefined, cost: number, nowMs: number): StepReply {
  // A state that is ahead of a clock that was set back is corrected once, by any request but a peek.
  const state = ask(limit, before, { type: "read" }, nowMs).next?.[0] ?? before;
  const capacity = algorithmOf(limit).capacity(limit);
  const { reply, next } = ask(limit, state, { type: "charge", cost }, nowMs, "peek");
  const hold: StepEvent = { type: "hold", id: "new", units: cost, leaseMs: 5, onExpiry: "charge" };
  const asHold = ask(limit, state, hold, nowMs, "peek").reply;
  assert.equal(next, null);
  assert.equal(reply.retryAfterMs === 0, reply.allowed);
  assert.equal(reply.retryAfterMs === null, Math.max(1, cost) > capacity);
  assert.equal(asHold.allowed, reply.allowed);
  assert.equal(asHold.retryAfterMs, reply.retryAfterMs);
  if (!reply.allowed) {
    assert.deepEqual(asHold, reply);
    assert.equal(ask(limit, state, hold, nowMs).next, null);
  }
  const allowedAt = (atMs: number) => ask(limit, state, { type: "charge", cost }, atMs, "peek").reply.allowed;
  if (reply.retryAfterMs) {
    assert.equal(allowedAt(nowMs + reply.retryAfterMs - 1), false);
    assert.equal(allowedAt(nowMs + reply.retryAfterMs), true);
  }
  const read = (atMs: number) => ask(limit, state, { type: "read" }, atMs);
  const { reply: now, next: written } = read(nowMs);
  assert.equal(written, null);
  assert.equal(read(nowMs + now.resetAfterMs).reply.used, 0);
  if (now.resetAfterMs > 0) assert.ok(read(nowMs + now.resetAfterMs - 1).reply.used > 0);
  return reply.allowed ? now : reply;
}

describe("holds", () => {
  it("keep their promises when the clock is set back and the limit is changed while they live", () => {
    const counts = { live: 0, late: 0, setBack: 0, denied: 0, waiting: 0 };
    const limits = fc.constantFrom(...Object.values(LIMITS)).chain((limitOf) => fc.array(limitOf, { minLength: 3 }));
    const change = fc.record({ turn: turns, stepMs: fc.integer({ min: -40, max: 60 }), which: fc.nat({ max: 99 }) });
    const changes = fc.array(change, { minLength: 10, maxLength: 30 });
    const property = fc.property(limits, changes, (limits, changes) => {
      const ids: string[] = [];
      let nowMs = 1_000_000;
      let state: StoredState | undefined;
      for (const [i, { turn, stepMs, which }] of changes.entries()) {
        const limit = limits[which % limits.length] ?? assert.fail();
        nowMs += stepMs;
        const event = eventOf(turn, ids, `h${i}`);
        const { reply, next } = ask(limit, state, event, nowMs, turn.isForced ? "force" : "judge");
        if (event.type === "hold" && reply.allowed) ids.push(event.id);
        if (next !== null) state = stored(next[0]);
        const { retryAfterMs } = checkPromises(limit, state, 1 + turn.units, nowMs);
        counts.live += reply.found === "live" ? 1 : 0;
        counts.late += reply.found === "late" ? 1 : 0;
        counts.setBack += stepMs < 0 && state?.kind === "held" ? 1 : 0;
        counts.denied += reply.allowed ? 0 : 1;
        counts.waiting += retryAfterMs ? 1 : 0;
      }
    });
    fc.assert(property, { seed: SEED, numRuns: 400 });
    for (const [what, count] of Object.entries(counts)) assert.ok(count > 200, `${what}: ${count}`);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "../algorithms/registry.ts";
import { decide, keysOf } from "../decide.ts";
import { REMEMBERED_MS } from "./entries.ts";
import { onceOf, replayOf } from "./once.ts";
import type { StepEvent, StoreReply, StoreRequest } from "../request.ts";
import type { StoredState } from "../state.ts";
import { decodeState, encodeState } from "../encoding/state.ts";

const QUOTA: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 100, ttlFrom: "last" };
const ONCE = { key: "answer", request: "r1" };

function take(cost: number): StepEvent {
  return { type: "charge", cost };
}

function hold(id: string, units: number): StepEvent {
  return { type: "hold", id, units, leaseMs: 50, onExpiry: "refund" };
}

function ask(events: readonly StepEvent[], more: Partial<StoreRequest> = {}): StoreRequest {
  return {
    mode: "judge",
    steps: events.map((event, i) => ({ bucket: `b${i}`, limit: QUOTA, event })),
    once: ONCE,
    ...more,
  };
}

/** A store that keeps text. */
function store() {
  const kept = new Map<string, StoredState | undefined>();
  return {
    kept,
    apply(request: StoreRequest, nowMs: number): StoreReply {
      const keys = keysOf(request);
      const { reply, next } = decide(
        request,
        keys.map((key) => kept.get(key)),
        nowMs,
      );
      for (const [i, key] of keys.entries()) {
        const state = next === null ? kept.get(key) : next[i];
        kept.set(key, state);
        if (state !== undefined) assert.deepEqual(decodeState(encodeState(state), state.expiresAtMs), state);
      }
      return reply ?? assert.fail();
    },
  };
}

describe("a request that is sent again", () => {
  it("has the key of its answer behind those of its buckets, unless it only peeks", () => {
    const events = [take(1), take(1)];
    assert.deepEqual(keysOf(ask(events)), ["b0", "b1", "answer"]);
    assert.deepEqual(keysOf(ask(events, { mode: "force" })), ["b0", "b1", "answer"]);
    assert.deepEqual(keysOf(ask(events, { mode: "peek" })), ["b0", "b1"]);
    const { mode, steps } = ask(events);
    assert.deepEqual(keysOf({ mode, steps }), ["b0", "b1"]);
    assert.deepEqual(keysOf(ask([])), ["answer"]);
  });

  it("gets the first answer again, and is booked once", () => {
    const { apply, kept } = store();
    const first = apply(ask([take(2), hold("h", 3)]), 1000);
    assert.equal(first.replay, undefined);
    const again = apply(ask([take(2), hold("h", 3)]), 1090);
    assert.deepEqual(again, { ...first, replay: { request: "r1", hold: "h", units: [2, 3] } });
    assert.equal(again.nowMs, 1000);
    const { steps } = apply({ mode: "judge", steps: ask([{ type: "read" }]).steps }, 1090);
    assert.equal(steps[0]?.used, 2);
    assert.equal(kept.get("b1")?.kind, "held");
  });

  it("is answered as the first was, also when it asks something else", () => {
    const { apply } = store();
    const first = apply(ask([take(2), hold("h", 3)]), 1000);
    const other = apply(ask([take(4)], { mode: "force", once: { key: "answer", request: "r2" } }), 1000);
    assert.deepEqual(other, { ...first, replay: { request: "r1", hold: "h", units: [2, 3] } });
    const elsewhere = apply(ask([take(1)], { once: { key: "another", request: "r1" } }), 1000);
    assert.equal(elsewhere.replay, undefined);
  });

  it("is known for ten minutes from the first answer, for any number of retries", () => {
    const { apply, kept } = store();
    apply(ask([take(1)]), 1000);
    const answer = kept.get("answer");
    assert.equal(answer?.expiresAtMs, 1000 + REMEMBERED_MS);
    for (const nowMs of [1000, 1001, 500_000, 999 + REMEMBERED_MS]) {
      assert.equal(apply(ask([take(1)]), nowMs).nowMs, 1000);
      assert.deepEqual(kept.get("answer"), { ...answer, isTold: true });
    }
    const fresh = apply(ask([take(1)]), 1000 + REMEMBERED_MS);
    assert.equal(fresh.nowMs, 1000 + REMEMBERED_MS);
    assert.equal(fresh.replay, undefined);
    assert.equal(kept.get("answer")?.expiresAtMs, 1000 + 2 * REMEMBERED_MS);
  });

  it("is judged again when it was denied", () => {
    const { apply, kept } = store();
    apply({ mode: "judge", steps: ask([take(5)]).steps }, 1000);
    const denied = apply(ask([take(1)]), 1000);
    assert.equal(denied.allowed, false);
    assert.equal(kept.get("answer"), undefined);
    assert.equal(apply(ask([take(1)]), 1099).allowed, false);
    const allowed = apply(ask([take(1)]), 1100);
    assert.deepEqual([allowed.allowed, allowed.replay], [true, undefined]);
    assert.deepEqual(apply(ask([take(1)]), 1101).replay, { request: "r1", hold: null, units: [1] });
  });

  it("repeats a forced answer, also one that would have been a denial", () => {
    const { apply, kept } = store();
    const request = ask([take(7), take(1)], { mode: "force" });
    const first = apply(request, 1000);
    assert.equal(first.allowed, false);
    assert.deepEqual(apply(request, 1050), { ...first, replay: { request: "r1", hold: null, units: [7, 1] } });
    assert.deepEqual(kept.get("b0"), { kind: "counter", spent: 7, expiresAtMs: 1100 });
  });

  it("is neither looked up nor kept by a peek", () => {
    const { apply, kept } = store();
    const peek = ask([take(1)], { mode: "peek" });
    assert.equal(apply(peek, 1000).replay, undefined);
    assert.deepEqual([...kept.values()], [undefined]);
    apply(ask([take(1)]), 1000);
    const { steps, replay } = apply(peek, 1000);
    assert.deepEqual([steps[0]?.used, replay], [2, undefined]);
  });

  it("is kept where nothing is charged, too", () => {
    for (const events of [[], [take(0)], [{ type: "read" }], [hold("h", 0)]] satisfies StepEvent[][]) {
      const { apply, kept } = store();
      const first = apply(ask(events), 1000);
      assert.equal(kept.get("answer")?.kind, "once");
      const { nowMs, replay } = apply(ask(events), 1001);
      const held = events.length > 0 && "id" in (events[0] ?? {}) ? "h" : null;
      assert.deepEqual([nowMs, replay], [first.nowMs, { request: "r1", hold: held, units: events.map(() => 0) }]);
    }
  });

  it("is not kept when a bucket has too many holds", () => {
    const common = { kind: "reservation", units: 1, expiresAtMs: 9000, onExpiry: "charge" } as const;
    const live = { ...common, expired: false, levelAfter: null };
    const entries = Array.from({ length: 1000 }, (_, i) => ({ id: `h${i}`, ...live }));
    const full: StoredState = { kind: "held", expiresAtMs: 700_000, of: "counter", spent: undefined, entries };
    const request = ask([hold("h", 1)], { mode: "force" });
    assert.deepEqual(decide(request, [full, undefined], 1000), { reply: null, next: null });
  });

  it("accepts only an answer as an answer", () => {
    const state: StoredState = { kind: "counter", spent: 1, expiresAtMs: 9000 };
    const { reply, next } = decide(ask([take(1)]), [undefined, state], 1000);
    assert.deepEqual([reply?.allowed, reply?.replay, next?.[1]?.kind], [true, undefined, "once"]);
  });
});

describe("a kept answer", () => {
  it("has what each step took, and the hold", () => {
    const events: StepEvent[] = [
      take(4),
      { type: "settle", id: "s", units: 9 },
      { type: "extend", id: "e", leaseMs: 50 },
      hold("h", 3),
      { type: "read" },
      { type: "reset" },
    ];
    const steps = events.map((_, used) => ({ allowed: true, used, resetAfterMs: 7, retryAfterMs: 0 }));
    const state = onceOf(ask(events), "r1", { allowed: true, nowMs: 1000, steps });
    assert.deepEqual(state, {
      kind: "once",
      expiresAtMs: 601_000,
      nowMs: 1000,
      allowed: true,
      waitMs: 0,
      request: "r1",
      hold: "h",
      units: [4, 9, 0, 3, 0, 0],
      steps,
      isTold: false,
    });
    const replay = { request: "r1", hold: "h", units: [4, 9, 0, 3, 0, 0] };
    assert.deepEqual(replayOf(state), { allowed: true, nowMs: 1000, steps, replay });
    assert.equal(onceOf(ask(events.slice(0, 3)), "r1", { allowed: true, nowMs: 1000, steps }).hold, null);
  });
});

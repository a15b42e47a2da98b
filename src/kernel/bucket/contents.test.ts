import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CounterState } from "../algorithms/rules/counter.ts";
import type { LimitSpec } from "../algorithms/registry.ts";
import { decide } from "../decide.ts";
import { MAX_ENTRIES, REMEMBERED_MS } from "./entries.ts";
import type { StepEvent, StepReply, StoreRequest } from "../request.ts";
import type { Entry, HeldState, Reservation, StoredState } from "../state.ts";
import { decodeState, encodeState } from "../encoding/state.ts";

const QUOTA: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 100, ttlFrom: "last" };
const FIRST: LimitSpec = { ...QUOTA, ttlFrom: "first" };
const EPOCH: LimitSpec = { algorithm: "fixed-window", quota: 5, windowMs: 100, align: "epoch" };
const FIRST_USE: LimitSpec = { ...EPOCH, align: "first-use" };
const SLIDING: LimitSpec = { algorithm: "sliding-window", quota: 5, windowMs: 100 };
// A unit raises the level by 10, each ms lowers it by 3.
const TOKEN_BUCKET: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 10, levelPerMs: 3 };
const CONCURRENCY: LimitSpec = { algorithm: "concurrency", quota: 5 };
const ALL = [QUOTA, FIRST, EPOCH, FIRST_USE, SLIDING, TOKEN_BUCKET, CONCURRENCY];
const MAX = Number.MAX_SAFE_INTEGER;

const READ: StepEvent = { type: "read" };

function take(cost: number): StepEvent {
  return { type: "charge", cost };
}

function hold(id: string, units: number, leaseMs: number, onExpiry: "charge" | "refund"): StepEvent {
  return { type: "hold", id, units, leaseMs, onExpiry };
}

function settle(id: string, units: number): StepEvent {
  return { type: "settle", id, units };
}

function extend(id: string, leaseMs: number): StepEvent {
  return { type: "extend", id, leaseMs };
}

function counter(spent: number, expiresAtMs: number): CounterState {
  return { kind: "counter", spent, expiresAtMs };
}

function reply(allowed: boolean, used: number, resetAfterMs: number, retryAfterMs: number | null): StepReply {
  return { allowed, used, resetAfterMs, retryAfterMs };
}

/** One bucket in a store that keeps text. */
function bucket(limit: LimitSpec, state?: StoredState) {
  const its = {
    state,
    limit,
    outcome(nowMs: number, event: StepEvent, mode: StoreRequest["mode"] = "judge") {
      return decide({ mode, steps: [{ bucket: "b", limit: its.limit, event }] }, [its.state], nowMs);
    },
    ask(nowMs: number, event: StepEvent, mode: StoreRequest["mode"] = "judge"): StepReply {
      const { reply, next } = its.outcome(nowMs, event, mode);
      const written = next === null ? its.state : next[0];
      its.state = written;
      if (written !== undefined) assert.deepEqual(decodeState(encodeState(written), written.expiresAtMs), written);
      return reply?.steps[0] ?? assert.fail();
    },
    used: (nowMs: number) => its.ask(nowMs, READ).used,
    entries: (): readonly Entry[] => (its.state?.kind === "held" ? its.state.entries : []),
  };
  return its;
}

describe("a bucket with entries", () => {
  const held = (spent: HeldState["spent"], expiresAtMs: number, ...entries: Entry[]): HeldState => {
    return { kind: "held", expiresAtMs, of: "counter", spent, entries };
  };
  const live = (id: string, expiresAtMs: number, more: Partial<Reservation> = {}): Reservation => {
    const common = { kind: "reservation", id, units: 1, onExpiry: "charge" } as const;
    return { ...common, expiresAtMs, expired: false, levelAfter: null, ...more };
  };

  it("is kept until its holds have ended and are forgotten", () => {
    const ttlMs = 1_000_000;
    const cases: [string, LimitSpec, "charge" | "refund", expiresAtMs: number][] = [
      ["remembered", QUOTA, "charge", 1050 + REMEMBERED_MS],
      ["spent for longer", { ...QUOTA, ttlMs }, "charge", 1050 + ttlMs],
      ["refunded", { ...QUOTA, ttlMs }, "refund", 1050 + REMEMBERED_MS],
      ["no state of its own", CONCURRENCY, "charge", 1050 + REMEMBERED_MS],
    ];
    for (const [name, limit, onExpiry, expiresAtMs] of cases) {
      const a = bucket(limit);
      a.ask(1000, hold("a", 1, 50, onExpiry));
      assert.equal(a.state?.expiresAtMs, expiresAtMs, name);
    }
    const a = bucket({ ...QUOTA, ttlMs });
    a.ask(1000, take(1));
    a.ask(1000, hold("a", 1, 50, "refund"));
    assert.deepEqual(
      a.state,
      held(counter(1, 1000 + ttlMs), 1000 + ttlMs, live("a", 1050, { leaseMs: 50, onExpiry: "refund" })),
    );
    a.ask(1060, take(1));
    const remembered = live("a", 1050, { leaseMs: 50, onExpiry: "refund", expired: true });
    assert.deepEqual(a.state, held(counter(2, 1060 + ttlMs), 1060 + ttlMs, remembered));
    a.ask(1050 + REMEMBERED_MS, take(1));
    assert.deepEqual(a.state, counter(3, 1050 + REMEMBERED_MS + ttlMs));
  });

  it("keeps no state that has ended beside them", () => {
    const a = bucket(CONCURRENCY);
    a.ask(1000, hold("a", 1, 50, "charge"));
    a.ask(1000, hold("b", 1, 60, "charge"));
    a.ask(1000, settle("a", 1));
    assert.deepEqual(a.state, {
      ...held(undefined, 1060 + REMEMBERED_MS, live("b", 1060, { leaseMs: 60 })),
      of: "concurrency",
    });
    a.ask(1000, take(1));
    assert.equal(a.used(1000), 1);
    const b = bucket(QUOTA, counter(3, 1020));
    b.ask(1000, hold("a", 1, 50, "charge"));
    b.ask(1020, hold("b", 1, 50, "charge"));
    assert.deepEqual(
      b.state,
      held(undefined, 1070 + REMEMBERED_MS, live("a", 1050, { leaseMs: 50 }), live("b", 1070, { leaseMs: 50 })),
    );
  });

  it("is not written by a request that books nothing, also when a hold has expired", () => {
    for (const limit of ALL) {
      for (const onExpiry of ["charge", "refund"] as const) {
        const a = bucket(limit);
        a.ask(1000, hold("a", 1, 50, onExpiry));
        a.ask(1000, hold("b", 3, 90, onExpiry));
        const written = a.state;
        const nothing: [StepEvent, StoreRequest["mode"]][] = [
          [READ, "judge"],
          [READ, "force"],
          [take(0), "judge"],
          [take(6), "judge"],
          [hold("c", 6, 50, "charge"), "judge"],
          [hold("c", 0, 50, "charge"), "judge"],
          [settle("unknown", 0), "judge"],
          [extend("a", 50), "judge"],
          [extend("a", 50), "force"],
          [extend("unknown", 50), "force"],
          [take(1), "peek"],
          [hold("c", 1, 50, "charge"), "peek"],
          [settle("a", 9), "peek"],
          [settle("b", 1), "peek"],
          [extend("b", 90), "peek"],
          [{ type: "reset" }, "peek"],
        ];
        for (const [event, mode] of nothing) {
          const title = `${limit.algorithm}, ${onExpiry}: ${event.type} in mode ${mode}`;
          assert.equal(a.outcome(1050, event, mode).next, null, title);
        }
        const beside: StoreRequest = {
          mode: "judge",
          steps: [
            { bucket: "b", limit, event: READ },
            { bucket: "c", limit, event: hold("d", 1, 50, "charge") },
          ],
        };
        assert.equal(decide(beside, [written, undefined], 1050).next?.[0], written);
      }
    }
  });

  it("is emptied by a reset, remembered holds included", () => {
    const a = bucket(QUOTA);
    a.ask(1000, take(1));
    a.ask(1000, hold("a", 1, 20, "charge"));
    a.ask(1000, hold("b", 1, 50, "charge"));
    assert.deepEqual(a.ask(1030, { type: "reset" }), reply(true, 3, 120, 0));
    assert.equal(a.state, undefined);
    assert.equal(a.ask(1030, settle("a", 0)).found, "unknown");
  });

  it("refuses the 1,001st hold with an error, unless an expired one can be dropped", () => {
    const limit: LimitSpec = { ...QUOTA, quota: MAX };
    const full = (...first: Entry[]) => {
      const rest = Array.from({ length: MAX_ENTRIES - first.length }, (_, i) => live(`h${i}`, 5000 + i));
      return bucket(limit, held(undefined, 9000 + REMEMBERED_MS, ...first, ...rest));
    };
    const next = hold("next", 1, 50, "refund");

    const a = full();
    for (const mode of ["judge", "peek", "force"] as const) {
      assert.deepEqual(a.outcome(1000, next, mode), { reply: null, next: null }, mode);
    }
    assert.equal(a.ask(1000, take(1)).used, MAX_ENTRIES + 1);
    assert.equal(a.ask(1000, hold("next", 0, 50, "refund")).allowed, true);
    assert.equal(a.ask(1000, extend("h7", 9000)).found, "live");
    assert.equal(a.outcome(1000, next).reply, null);
    a.limit = { ...limit, quota: 1000 };
    assert.equal(a.outcome(1000, next).reply?.allowed, false, "a denial comes first");
    a.limit = limit;
    assert.equal(a.ask(1000, settle("h7", 0)).found, "live");
    assert.equal(a.ask(1000, next).allowed, true);
    assert.equal(a.entries().length, MAX_ENTRIES);
    assert.equal(a.outcome(1000, hold("more", 1, 50, "refund")).reply, null);

    const b = full(live("old", 900, { expired: true }), live("ends", 1000));
    assert.equal(b.outcome(999, settle("old", 1)).reply?.steps[0]?.found, "late");
    assert.equal(b.ask(999, next).allowed, true);
    assert.equal(b.ask(999, settle("old", 0)).found, "unknown");
    assert.equal(b.outcome(999, hold("more", 1, 50, "refund")).reply, null);
    assert.equal(b.ask(1000, hold("more", 1, 50, "refund")).used, MAX_ENTRIES + 1, "what it was charged stays spent");
    assert.equal(b.ask(1000, settle("ends", 0)).found, "unknown");
    assert.equal(b.entries().length, MAX_ENTRIES);
  });

  it("is empty under an algorithm of another kind, and stays as it is until the first booking", () => {
    const a = bucket(QUOTA);
    a.ask(1000, take(1));
    a.ask(1000, hold("a", 2, 50, "charge"));
    const before = a.state;
    a.limit = EPOCH;
    assert.equal(a.used(1000), 3, "a counter is a counter");
    for (const limit of [SLIDING, TOKEN_BUCKET, CONCURRENCY]) {
      a.limit = limit;
      assert.deepEqual(a.ask(1000, READ), reply(true, 0, 0, 0));
      assert.equal(a.ask(1000, extend("a", 50)).found, "unknown");
      assert.equal(a.state, before);
    }
    a.limit = TOKEN_BUCKET;
    a.ask(1000, take(1));
    assert.deepEqual(a.state, { kind: "token-bucket", expiresAtMs: 1004, baseMs: 1000, level: 10, levelPerUnit: 10 });
  });

  it("is empty under a key that keeps an answer", () => {
    const answer: StoredState = {
      kind: "once",
      expiresAtMs: 9000,
      nowMs: 1000,
      allowed: true,
      waitMs: 0,
      request: "r",
      hold: null,
      units: [],
      steps: [],
      isTold: false,
    };
    assert.equal(bucket(QUOTA, answer).used(1000), 0);
  });

  it("counts holds beyond a lowered capacity, until they end", () => {
    const a = bucket(QUOTA);
    a.ask(1000, hold("a", 2, 50, "refund"));
    a.ask(1000, hold("b", 2, 80, "refund"));
    a.limit = { ...QUOTA, quota: 1 };
    assert.deepEqual(a.ask(1000, take(1)), reply(false, 4, 80, 80));
    a.limit = { ...QUOTA, quota: 3 };
    assert.deepEqual(a.ask(1000, take(1)), reply(false, 4, 80, 50));
  });
});

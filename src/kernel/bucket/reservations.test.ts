import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CounterState } from "../algorithms/rules/counter.ts";
import type { LimitSpec } from "../algorithms/registry.ts";
import type { TokenBucketState } from "../algorithms/token-bucket.ts";
import { decide } from "../decide.ts";
import { REMEMBERED_MS } from "./entries.ts";
import type { StepEvent, StepReply, StoreRequest } from "../request.ts";
import type { Entry, StoredState } from "../state.ts";
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

function level(baseMs: number, level: number, expiresAtMs: number): TokenBucketState {
  return { kind: "token-bucket", expiresAtMs, baseMs, level, levelPerUnit: 10 };
}

function reply(
  allowed: boolean,
  used: number,
  resetAfterMs: number,
  retryAfterMs: number | null,
  found?: StepReply["found"],
): StepReply {
  const step = { allowed, used, resetAfterMs, retryAfterMs };
  return found === undefined ? step : { ...step, found };
}

/** One bucket in a store that keeps text. */
function bucket(limit: LimitSpec, state?: StoredState) {
  const its = {
    state,
    ask(nowMs: number, event: StepEvent, mode: StoreRequest["mode"] = "judge"): StepReply {
      const { reply, next } = decide({ mode, steps: [{ bucket: "b", limit, event }] }, [its.state], nowMs);
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

describe("a hold", () => {
  it("is denied like a charge of its units, else keeps them from other calls", () => {
    for (const limit of ALL) {
      const a = bucket(limit);
      const name = JSON.stringify(limit);
      assert.equal(a.ask(1000, hold("a", 6, 50, "charge")).retryAfterMs, null, name);
      assert.equal(a.state, undefined);
      assert.deepEqual({ ...a.ask(1000, hold("a", 3, 2, "refund")), resetAfterMs: 0 }, reply(true, 3, 0, 0), name);
      assert.equal(a.ask(1000, take(3)).allowed, false);
      const denied = a.ask(1000, hold("b", 3, 50, "charge"));
      assert.deepEqual(denied, a.ask(1000, take(3), "peek"), name);
      assert.deepEqual(denied, reply(false, 3, 2, 2), name);
      assert.equal(a.ask(1000, hold("b", 2, 50, "charge")).allowed, true, name);
      assert.equal(a.ask(1000, hold("c", 0, 50, "charge")).allowed, false, "nothing is left");
    }
  });

  it("counts while it lives, and then is charged or refunded at the instant of its end", () => {
    const cases: [string, LimitSpec, "charge" | "refund", madeAtMs: number, usedAt: Record<number, number>][] = [
      ["ttl from last", QUOTA, "charge", 1000, { 1049: 3, 1050: 3, 1149: 3, 1150: 0 }],
      ["ttl from last", QUOTA, "refund", 1000, { 1049: 3, 1050: 0 }],
      ["ttl from first", FIRST, "charge", 1000, { 1149: 3, 1150: 0 }],
      ["into the next window", EPOCH, "charge", 1060, { 1109: 3, 1110: 3, 1199: 3, 1200: 0 }],
      ["into the window of its end, touched late", EPOCH, "charge", 1060, { 1199: 3, 1200: 0 }],
      ["into a window that is over when it is touched", EPOCH, "charge", 1010, { 1059: 3, 1100: 0 }],
      ["back", EPOCH, "refund", 1060, { 1109: 3, 1110: 0 }],
      ["into a window that begins with its end", FIRST_USE, "charge", 1060, { 1209: 3, 1210: 0 }],
      ["into its sub-window", SLIDING, "charge", 1000, { 1050: 3, 1158: 3, 1159: 0 }],
      ["back", SLIDING, "refund", 1000, { 1049: 3, 1050: 0 }],
      ["flows back from the start", TOKEN_BUCKET, "charge", 1000, { 1003: 3, 1004: 2, 1009: 1, 1010: 0 }],
      ["flows back from the start", TOKEN_BUCKET, "refund", 1000, { 1003: 3, 1004: 2, 1009: 1, 1010: 0 }],
      ["nothing to spend", CONCURRENCY, "charge", 1000, { 1049: 3, 1050: 0 }],
      ["back", CONCURRENCY, "refund", 1000, { 1049: 3, 1050: 0 }],
    ];
    for (const [name, limit, onExpiry, madeAtMs, usedAt] of cases) {
      const a = bucket(limit);
      const { resetAfterMs } = a.ask(madeAtMs, hold("a", 3, 50, onExpiry));
      assert.equal(madeAtMs + resetAfterMs, Math.max(...Object.keys(usedAt).map(Number)), name);
      for (const [nowMs, used] of Object.entries(usedAt))
        assert.equal(a.used(Number(nowMs)), used, `${name}: ${nowMs}`);
    }
  });

  it("is settled: the used units are spent at that time, also beyond the capacity", () => {
    const end = 1050 + REMEMBERED_MS;
    const cases: [
      string,
      LimitSpec,
      "charge" | "refund",
      actual: number,
      nowMs: number,
      StepReply,
      StoredState | undefined,
    ][] = [
      ["less", QUOTA, "charge", 1, 1020, reply(true, 1, 100, 0, "live"), counter(1, 1120)],
      ["all", QUOTA, "refund", 3, 1020, reply(true, 3, 100, 0, "live"), counter(3, 1120)],
      ["more", QUOTA, "charge", 9, 1049, reply(true, 9, 100, 0, "live"), counter(9, 1149)],
      ["nothing", QUOTA, "charge", 0, 1020, reply(true, 0, 0, 0, "live"), undefined],
      ["less than was charged", QUOTA, "charge", 1, 1060, reply(true, 3, 90, 0, "late"), counter(3, 1150)],
      ["more than was charged", QUOTA, "charge", 5, 1060, reply(true, 5, 100, 0, "late"), counter(5, 1160)],
      ["what was refunded", QUOTA, "refund", 1, 1050, reply(true, 1, 100, 0, "late"), counter(1, 1150)],
      ["what was charged long ago", QUOTA, "charge", 5, end - 1, reply(true, 2, 100, 0, "late"), counter(2, end + 99)],
      ["no more than that", QUOTA, "charge", 3, end - 1, reply(true, 0, 0, 0, "late"), undefined],
      ["what is forgotten", QUOTA, "charge", 5, end, reply(true, 5, 100, 0, "unknown"), counter(5, end + 100)],
      ["in another window", EPOCH, "refund", 4, 1101, reply(true, 4, 99, 0, "late"), counter(4, 1200)],
      ["in the window of the settle", EPOCH, "charge", 5, 1101, reply(true, 2, 99, 0, "late"), counter(2, 1200)],
      ["all that was held", TOKEN_BUCKET, "charge", 0, 1000, reply(true, 0, 0, 0, "live"), undefined],
      ["some", TOKEN_BUCKET, "refund", 1, 1000, reply(true, 1, 4, 0, "live"), level(1000, 10, 1004)],
      ["what has not flowed back", TOKEN_BUCKET, "charge", 1, 1005, reply(true, 0, 0, 0, "live"), undefined],
      ["some of that", TOKEN_BUCKET, "charge", 2, 1005, reply(true, 1, 2, 0, "live"), level(1000, 20, 1007)],
      ["all of it is gone", TOKEN_BUCKET, "charge", 3, 1005, reply(true, 2, 5, 0, "live"), level(1000, 30, 1010)],
      ["beyond it", TOKEN_BUCKET, "charge", 5, 1005, reply(true, 4, 12, 0, "live"), level(1005, 35, 1017)],
      ["beyond what was charged", TOKEN_BUCKET, "charge", 5, 1060, reply(true, 2, 7, 0, "late"), level(1060, 20, 1067)],
      ["what was refunded", TOKEN_BUCKET, "refund", 2, 1060, reply(true, 2, 7, 0, "late"), level(1060, 20, 1067)],
      ["a slot", CONCURRENCY, "refund", 2, 1020, reply(true, 0, 0, 0, "live"), undefined],
      ["a slot that was free again", CONCURRENCY, "charge", 9, 1060, reply(true, 0, 0, 0, "late"), undefined],
    ];
    for (const [name, limit, onExpiry, actual, nowMs, expected, next] of cases) {
      const a = bucket(limit);
      a.ask(1000, hold("a", 3, 50, onExpiry));
      const title = `${limit.algorithm}: ${name}`;
      assert.deepEqual(a.ask(nowMs, settle("a", actual), "peek"), expected, `${title}, peeked`);
      assert.deepEqual(a.ask(nowMs, settle("a", actual)), expected, title);
      assert.deepEqual(a.state, next, title);
    }
  });

  it("is settled once: then it is unknown, and a second settle spends its units", () => {
    for (const limit of [QUOTA, TOKEN_BUCKET]) {
      const a = bucket(limit);
      a.ask(1000, hold("a", 3, 50, "refund"));
      a.ask(1000, hold("b", 1, 50, "refund"));
      assert.equal(a.ask(1000, settle("a", 2)).found, "live");
      assert.equal(a.used(1000), 3);
      const { found, used } = a.ask(1000, settle("a", 2));
      assert.deepEqual([found, used], ["unknown", 5]);
      assert.deepEqual(
        a.entries().map(({ id }) => id),
        ["b"],
      );
      assert.equal(a.ask(1000, settle("a", 0)).used, 5);
    }
  });

  it("is settled for far more than was held, and later calls are denied until the overshoot has drained", () => {
    const cases: [string, LimitSpec, retryAfterMs: number][] = [
      ["ttl from last", { ...QUOTA, quota: 1100, ttlMs: 1000 }, 1000],
      ["ttl from first", { ...FIRST, quota: 1100, ttlMs: 1000 }, 1000],
      ["epoch", { ...EPOCH, quota: 1100, windowMs: 1000 }, 800],
      ["first use", { ...FIRST_USE, quota: 1100, windowMs: 1000 }, 1000],
      ["sliding-window", { ...SLIDING, quota: 1100, windowMs: 1000 }, 1099],
      // 5,000 units less 1,099 are 39,010 of level.
      ["token-bucket", { ...TOKEN_BUCKET, burst: 1100 }, 13_004],
    ];
    for (const [name, limit, retryAfterMs] of cases) {
      const a = bucket(limit);
      const nowMs = 1_000_200;
      assert.equal(a.ask(nowMs, hold("a", 100, 60_000, "charge")).used, 100, name);
      assert.equal(a.ask(nowMs, take(1000), "peek").allowed, true, name);
      assert.equal(a.ask(nowMs, settle("a", 5000)).used, 5000, name);
      assert.deepEqual(a.ask(nowMs, take(1)), { ...a.ask(nowMs, READ), allowed: false, retryAfterMs }, name);
      assert.equal(a.ask(nowMs + retryAfterMs - 1, take(1)).allowed, false, name);
      assert.equal(a.ask(nowMs + retryAfterMs, take(1)).allowed, true, name);
    }
  });

  it("is extended from now, and never cut short", () => {
    const cases: [string, leaseMs: number, nowMs: number, mode: StoreRequest["mode"], StepReply, endMs: number][] = [
      ["longer", 50, 1020, "judge", reply(true, 3, 50, 0, "live"), 1070],
      ["as long", 30, 1020, "judge", reply(true, 3, 30, 0, "live"), 1050],
      ["shorter", 10, 1020, "judge", reply(true, 3, 30, 0, "live"), 1050],
      ["in its last ms", 50, 1049, "judge", reply(true, 3, 50, 0, "live"), 1099],
      ["only asked", 50, 1020, "peek", reply(true, 3, 50, 0, "live"), 1050],
      ["too late", 50, 1050, "judge", reply(false, 0, 0, null, "late"), 1050],
      ["too late, forced", 50, 1050, "force", reply(false, 0, 0, null, "late"), 1050],
      ["forgotten", 50, 1050 + REMEMBERED_MS, "judge", reply(false, 0, 0, null, "unknown"), 1050],
      ["forgotten, forced", 50, 1050 + REMEMBERED_MS, "force", reply(false, 0, 0, null, "unknown"), 1050],
    ];
    for (const [name, leaseMs, nowMs, mode, expected, endMs] of cases) {
      const a = bucket(QUOTA);
      a.ask(1000, hold("a", 3, 50, "refund"));
      const before = a.state;
      assert.deepEqual(a.ask(nowMs, extend("a", leaseMs), mode), expected, name);
      assert.equal(a.entries()[0]?.expiresAtMs, endMs, name);
      if (!expected.allowed || mode === "peek") assert.equal(a.state, before, name);
    }
  });

  it("expires in the order of ends, not of creation", () => {
    const a = bucket(FIRST);
    a.ask(1000, hold("late", 1, 80, "charge"));
    a.ask(1000, hold("early", 1, 30, "charge"));
    a.ask(1000, hold("late-too", 1, 80, "charge"));
    assert.deepEqual(
      a.entries().map(({ id }) => id),
      ["early", "late", "late-too"],
    );
    const b = bucket(FIRST, a.state);
    assert.equal(a.ask(1000, READ).resetAfterMs, 130, "the life begins with the first that is charged");
    assert.equal(a.used(1129), 3);
    assert.equal(b.ask(1010, extend("early", 90)).resetAfterMs, 170);
    assert.deepEqual(
      b.entries().map(({ id }) => id),
      ["late", "late-too", "early"],
    );
    assert.equal(b.used(1179), 3);
    assert.equal(b.used(1180), 0);
  });

  it("of no units needs a free unit, and then is empty", () => {
    for (const limit of ALL) {
      const a = bucket(limit);
      assert.deepEqual(a.ask(1000, hold("a", 0, 50, "charge")), reply(true, 0, 0, 0));
      assert.equal(a.state, undefined);
      assert.equal(a.ask(1000, settle("a", 0)).found, "unknown");
      assert.equal(a.state, undefined);
    }
  });

  it("is forced beyond the capacity, up to 2^53 - 1 used", () => {
    const a = bucket(QUOTA, counter(4, 1100));
    assert.deepEqual(a.ask(1000, hold("a", 3, 50, "refund"), "force"), reply(false, 7, 100, 100));
    assert.deepEqual(a.ask(1000, hold("b", MAX, 20, "refund"), "force"), reply(false, MAX, 100, null));
    assert.deepEqual(a.ask(1020, take(1)), reply(false, 7, 80, 30));
  });

  it("waits to the unit also where sums are past 2^53", () => {
    const a = bucket({ ...FIRST, quota: MAX, ttlMs: 300 });
    a.ask(1000, take(2 ** 52 - 4));
    a.ask(1000, hold("a", 2 ** 52 + 1, 100, "refund"));
    a.ask(1000, hold("b", 2, 200, "refund"));
    // With the second hold: a unit too many, or just enough.
    assert.equal(a.ask(1000, take(2 ** 52 + 2)).retryAfterMs, 200);
    assert.equal(a.ask(1000, take(2 ** 52 + 1)).retryAfterMs, 100);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "./registry.ts";
import type { TokenBucketState } from "./token-bucket.ts";
import { decide } from "../decide.ts";
import { REMEMBERED_MS } from "../bucket/entries.ts";
import type { StepEvent, StepReply, StoreRequest } from "../request.ts";
import type { Reservation, StoredState } from "../state.ts";

// A unit raises the level by 10, each ms lowers it by 3.
const TOKEN_BUCKET: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 10, levelPerMs: 3 };

function take(cost: number): StepEvent {
  return { type: "charge", cost };
}

function hold(id: string, units: number, leaseMs: number, onExpiry: "charge" | "refund"): StepEvent {
  return { type: "hold", id, units, leaseMs, onExpiry };
}

function settle(id: string, units: number): StepEvent {
  return { type: "settle", id, units };
}

function level(baseMs: number, level: number, expiresAtMs: number): TokenBucketState {
  return { kind: "token-bucket", expiresAtMs, baseMs, level, levelPerUnit: 10 };
}

function levelAt(baseMs: number, level: number): Reservation["levelAfter"] {
  return { baseMs, level, levelPerUnit: 10 };
}

function denied(used: number, resetAfterMs: number, retryAfterMs: number): StepReply {
  return { allowed: false, used, resetAfterMs, retryAfterMs };
}

/** One bucket, whose limit may be changed. */
function bucket(limit: LimitSpec) {
  const its = {
    limit,
    state: undefined as StoredState | undefined,
    ask(nowMs: number, event: StepEvent, mode: StoreRequest["mode"] = "judge"): StepReply {
      const { reply, next } = decide({ mode, steps: [{ bucket: "b", limit: its.limit, event }] }, [its.state], nowMs);
      if (next !== null) its.state = next[0];
      return reply?.steps[0] ?? assert.fail();
    },
    used: (nowMs: number) => its.ask(nowMs, { type: "read" }).used,
    holds: (): readonly Reservation[] =>
      its.state?.kind === "held" ? its.state.entries.filter((entry) => entry.kind === "reservation") : [],
  };
  return its;
}

describe("holds on a token bucket", () => {
  const levels = (holds: readonly Reservation[]) =>
    Object.fromEntries(holds.map(({ id, levelAfter }) => [id, levelAfter?.level]));

  it("remember the level right after each", () => {
    const a = bucket(TOKEN_BUCKET);
    a.ask(1000, hold("a", 1, 50, "charge"));
    a.ask(1000, take(1));
    a.ask(1001, hold("b", 2, 50, "charge"));
    assert.deepEqual(a.state, {
      kind: "held",
      expiresAtMs: 1051 + REMEMBERED_MS,
      of: "token-bucket",
      spent: level(1001, 37, 1014),
      entries: [
        {
          kind: "reservation",
          id: "a",
          units: 1,
          expiresAtMs: 1050,
          leaseMs: 50,
          onExpiry: "charge",
          expired: false,
          levelAfter: levelAt(1000, 10),
        },
        {
          kind: "reservation",
          id: "b",
          units: 2,
          expiresAtMs: 1051,
          leaseMs: 50,
          onExpiry: "charge",
          expired: false,
          levelAfter: levelAt(1001, 37),
        },
      ],
    });
  });

  it("sink with what is given back below them, and stay when it is above", () => {
    const make = () => {
      const a = bucket({ ...TOKEN_BUCKET, burst: 9 });
      a.ask(1000, hold("low", 2, 50, "refund"));
      a.ask(1000, hold("middle", 3, 50, "charge"));
      a.ask(1000, hold("high", 1, 50, "refund"));
      a.ask(1001, hold("later", 1, 50, "refund"));
      assert.deepEqual(levels(a.holds()), { low: 20, middle: 50, high: 60, later: 67 });
      return a;
    };
    const cases: [id: string, actual: number, nowMs: number, level: number, Record<string, number>][] = [
      ["low", 1, 1001, 57, { middle: 40, high: 50, later: 57 }],
      ["middle", 0, 1001, 37, { low: 20, high: 30, later: 37 }],
      ["high", 0, 1001, 57, { low: 20, middle: 50, later: 57 }],
      ["later", 0, 1001, 57, { low: 20, middle: 50, high: 60 }],
      ["low", 0, 1004, 59, { middle: 42, high: 52, later: 59 }],
      ["low", 0, 1007, 67, { middle: 50, high: 60, later: 67 }],
      ["middle", 4, 1001, 77, { low: 20, high: 60, later: 67 }],
    ];
    for (const [id, actual, nowMs, expected, left] of cases) {
      const a = make();
      a.ask(nowMs, settle(id, actual));
      assert.deepEqual(levels(a.holds()), left, `${id} at ${nowMs}`);
      assert.equal(a.state?.kind === "held" && a.state.spent?.kind === "token-bucket" && a.state.spent.level, expected);
    }
  });

  it("give back no unit twice: neither what has flowed back, nor what another hold gave back", () => {
    const a = bucket(TOKEN_BUCKET);
    a.ask(1000, hold("a", 3, 100, "charge"));
    a.ask(1000, hold("b", 2, 100, "charge"));
    assert.equal(a.ask(1000, settle("a", 0)).used, 2);
    assert.equal(a.ask(1007, take(5)).used, 5, "what b holds has flowed off");
    assert.equal(a.ask(1007, settle("b", 0)).used, 5, "so b gives nothing back");
  });

  it("stay at an equal level, like those that were forced onto a full level", () => {
    const a = bucket(TOKEN_BUCKET);
    const room = Math.floor(2 ** 52 / 10);
    a.ask(1000, hold("a", room, 100, "charge"), "force");
    a.ask(1000, hold("b", 1, 100, "charge"), "force");
    assert.deepEqual(levels(a.holds()), { a: room * 10, b: room * 10 });
    assert.equal(a.ask(1000, settle("a", 3)).used, 3);
    assert.deepEqual(levels(a.holds()), { b: room * 10 });
  });

  it("give back at their end what is left then, whenever the next request comes", () => {
    const make = () => {
      const a = bucket(TOKEN_BUCKET);
      a.ask(1000, hold("a", 3, 5, "refund"));
      a.ask(1000, hold("b", 2, 8, "refund"));
      return a;
    };
    const a = make();
    const used = [1000, 1004, 1005, 1006, 1007, 1008].map((nowMs) => a.used(nowMs));
    // 50 of level at first; at 1005 35 are left, 15 of them a's.
    assert.deepEqual(used, [5, 4, 2, 2, 2, 0]);
    assert.deepEqual(a.ask(1000, take(5)), denied(5, 8, 8));
    assert.deepEqual(a.ask(1001, take(1)), denied(5, 7, 3));
    a.ask(1006, take(1));
    assert.deepEqual(levels(a.holds()), { a: 30, b: 35 });
    assert.equal(a.used(1006), 3);
    const early = make();
    assert.equal(early.ask(1004, settle("b", 0)).used, 2);
    assert.deepEqual(levels(early.holds()), { a: 30 });
    assert.equal(early.used(1005), 0);
  });

  it("give nothing back when the unit of the level has changed, and leave the level and its end", () => {
    for (const [levelPerUnit, levelPerMs] of [
      [1, 1],
      [1000, 30],
    ] as const) {
      const a = bucket(TOKEN_BUCKET);
      a.ask(1000, hold("a", 5, 50, "refund"));
      a.limit = { ...TOKEN_BUCKET, levelPerUnit, levelPerMs };
      a.ask(1001, settle("a", 0));
      assert.deepEqual(a.state, level(1000, 50, 1017));
    }
  });

  it("give back at the present pace, and lower no level below zero", () => {
    const a = bucket({ ...TOKEN_BUCKET, burst: 9 });
    a.ask(1000, hold("a", 5, 50, "charge"));
    a.ask(1015, hold("b", 1, 50, "charge"));
    assert.deepEqual(a.state?.kind === "held" && a.state.spent, level(1015, 15, 1020));
    a.limit = { ...TOKEN_BUCKET, levelPerMs: 1 };
    a.ask(1015, settle("a", 0));
    assert.deepEqual(a.holds()[0]?.levelAfter, levelAt(1015, 0));
    assert.equal(a.used(1015), 0);
  });
});

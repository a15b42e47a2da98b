import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CounterState,
  decodeCounter,
  encodeCounter,
  counterHasSeen,
  MAX_SEEN,
  counterWithSeen,
  withSpent,
} from "./rules/counter.ts";

const A = "00000000000000aa";
const B = "bb00000000000000";
const MAX = Number.MAX_SAFE_INTEGER;

function state(spent: number, ...marks: string[]): CounterState {
  const rest = { kind: "counter", spent, expiresAtMs: 1100 } as const;
  return marks.length === 0 ? rest : { ...rest, seen: marks.join(",") };
}

function markOf(i: number): string {
  return i.toString(16).padStart(16, "0");
}

describe("a counter that has seen values", () => {
  it("knows the values that it has seen, and no others", () => {
    assert.equal(counterHasSeen(state(5), A), false);
    assert.equal(counterHasSeen(state(5, A), A), true);
    assert.equal(counterHasSeen(state(5, A), B), false);
    assert.deepEqual([counterHasSeen(state(5, B, A), A), counterHasSeen(state(5, B, A), B)], [true, true]);
    // The end of one mark and the beginning of the next are no mark.
    assert.equal(counterHasSeen(state(5, A, B), "000000000000aabb"), false);
  });

  it("remembers 1,000 values, and no more", () => {
    assert.deepEqual(counterWithSeen(state(5), A), state(5, A));
    assert.deepEqual(counterWithSeen(state(5, A), B), state(5, A, B));
    const marks = Array.from({ length: MAX_SEEN }, (_, i) => markOf(i));
    const last = marks.at(-1) ?? "";
    const full = counterWithSeen(state(5, ...marks.slice(0, -1)), last);
    assert.deepEqual(full, state(5, ...marks));
    assert.equal(counterWithSeen(full, markOf(MAX_SEEN)), full);
    assert.equal(MAX_SEEN, 1_000);
  });

  it("keeps what it has seen when units are spent", () => {
    assert.deepEqual(withSpent(state(5, A), 2, 90, undefined), { ...state(7, A), expiresAtMs: 90 });
    assert.deepEqual(withSpent(state(MAX - 1, A), 2, 90, undefined), { ...state(MAX, A), expiresAtMs: 90 });
  });

  it("is written as text and read back", () => {
    const cases: [CounterState, text: string][] = [
      [state(0), "0"],
      [state(MAX), String(MAX)],
      [state(0, A), `c1 0 ${A}`],
      [state(12, A, B), `c1 12 ${A},${B}`],
    ];
    for (const [made, text] of cases) {
      assert.equal(encodeCounter(made), text);
      assert.deepEqual(decodeCounter(text, 1100), made);
    }
  });

  it("is null when any of its text is damaged", () => {
    const damaged = [
      "",
      " ",
      "c1",
      "c1 ",
      "c1 5",
      "c1 5 ",
      `c1 ${A}`,
      `5 ${A}`,
      `c1  ${A}`,
      `c1 05 ${A}`,
      "05",
      "5 ",
      "c5",
    ];
    const marks = [
      `${A},`,
      `,${A}`,
      `${A},,${B}`,
      `${A} ${B}`,
      A.slice(1),
      `${A}0`,
      A.toUpperCase(),
      `${A}\n`,
      `g${A.slice(1)}`,
    ];
    const texts = [...damaged, ...marks.map((mark) => `c1 5 ${mark}`), `c2 5 ${A}`, `c1 -1 ${A}`, `c1 1.5 ${A}`];
    for (const text of [...texts, ` c1 5 ${A}`, `c1 9007199254740992 ${A}`, "9007199254740992"]) {
      assert.equal(decodeCounter(text, 1100), null, JSON.stringify(text));
    }
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { concurrency } from "./concurrency.ts";
import { cooldown } from "./cooldown.ts";
import { elapsed } from "./elapsed.ts";
import { fixedWindow } from "./fixed-window.ts";
import { tokenBucket } from "./token-bucket.ts";
import { budget } from "./budget.ts";
import { ALGORITHMS, algorithmOf, algorithmOfKind, decodeSpent, encodeSpent, type SpentState } from "./registry.ts";
import { rulesOfKind, rulesOfLetter } from "./rules/registry.ts";
import { slidingWindow } from "./sliding-window.ts";
import { streak } from "./streak.ts";

const STATES: [SpentState, text: string][] = [
  [{ kind: "counter", spent: 3, expiresAtMs: 7 }, "3"],
  [{ kind: "sliding-window", expiresAtMs: 7, subWindowMs: 3, newest: 2, counts: [1, 0, 2] }, "s1 3 2 1,0,2"],
  [{ kind: "token-bucket", expiresAtMs: 7, baseMs: 5, level: 30, levelPerUnit: 10 }, "g1 5 30 10"],
  [{ kind: "counter", spent: 3, expiresAtMs: 7, seen: "00000000000000aa" }, "c1 3 00000000000000aa"],
  [{ kind: "elapsed", firstMs: 5, expiresAtMs: 7 }, "e1 5"],
  [{ kind: "streak", outcome: "error", count: 2, expiresAtMs: 7 }, "k1 error 2"],
  [{ kind: "cooldown", beganMs: 5, expiresAtMs: 7 }, "p1 5"],
];

describe("registry", () => {
  it("knows the algorithm of each limit", () => {
    assert.equal(algorithmOf({ algorithm: "budget", quota: 1, ttlMs: 1, ttlFrom: "last" }), budget);
    assert.equal(algorithmOf({ algorithm: "fixed-window", quota: 1, windowMs: 1, align: "epoch" }), fixedWindow);
    assert.equal(algorithmOf({ algorithm: "sliding-window", quota: 1, windowMs: 1 }), slidingWindow);
    assert.equal(algorithmOf({ algorithm: "token-bucket", burst: 1, levelPerUnit: 1, levelPerMs: 1 }), tokenBucket);
    assert.equal(algorithmOf({ algorithm: "concurrency", quota: 1 }), concurrency);
    assert.equal(algorithmOf({ algorithm: "elapsed", quota: 1, ttlMs: 1 }), elapsed);
    assert.equal(algorithmOf({ algorithm: "streak", quota: 1, ttlMs: 1 }), streak);
    assert.equal(algorithmOf({ algorithm: "cooldown", quota: 1, pauseMs: 1 }), cooldown);
  });

  it("knows an algorithm and its rules by the kind and the letter of its states", () => {
    for (const algorithm of Object.values(ALGORITHMS)) {
      const { kind, letter } = algorithm;
      assert.equal(algorithmOfKind(kind).kind, kind);
      assert.equal(rulesOfKind(kind).kind, kind);
      assert.equal(rulesOfLetter(letter.charCodeAt(0))?.kind, kind);
    }
    assert.equal(algorithmOfKind("held"), undefined);
    assert.equal(rulesOfLetter("h".charCodeAt(0)), null);
  });

  it("has one letter for each kind of states, and one code and name for each form on the wire", () => {
    const all = Object.values(ALGORITHMS);
    const letters = new Map(all.map(({ kind, letter }) => [kind as string, letter]));
    assert.ok(all.every(({ kind, letter }) => letters.get(kind) === letter));
    // Buckets with entries, kept answers, receipts and marks begin with these.
    const taken = [...letters.values(), ..."horm"];
    assert.equal(new Set(taken).size, taken.length, String(taken));
    const forms = all.flatMap(({ wire }) => Object.entries<{ readonly code: number }>(wire.forms));
    assert.equal(new Set(forms.map(([name]) => name)).size, forms.length);
    assert.equal(new Set(forms.map(([, { code }]) => code)).size, forms.length);
  });

  it("writes each state as text and reads it back", () => {
    for (const [state, text] of STATES) {
      assert.equal(encodeSpent(state), text);
      assert.deepEqual(decodeSpent(text, 7), state);
    }
  });

  it("writes nothing for an algorithm that spends nothing", () => {
    assert.equal(encodeSpent({ kind: "concurrency", expiresAtMs: 7 }), "");
  });

  it("reads damaged text as null", () => {
    for (const text of [
      "",
      "x",
      "s",
      "g",
      "s1",
      "g1",
      "s1 5 30 10,",
      "g1 10 100 1,0,2",
      "x1 5 30 10",
      "3 3",
      "[3]",
      "n1",
      "e",
      "k",
      "c",
      "e1 error 2",
      "k1 5",
      "c1 3",
    ]) {
      assert.equal(decodeSpent(text, 7), null, JSON.stringify(text));
    }
  });
});

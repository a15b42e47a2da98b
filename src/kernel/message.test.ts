import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DIMENSIONS, type Dimension } from "./call.ts";
import type { Verdict } from "./decision.ts";
import { MAX_DURATION_MS } from "./duration.ts";
import { denialMessage } from "./message.ts";

const MAX = Number.MAX_SAFE_INTEGER;

const DENIED: Verdict = {
  limit: "tool-per-turn",
  allowed: false,
  shadow: false,
  unit: "calls",
  cost: 1,
  quota: 5,
  remaining: 0,
  resetAfterMs: 90_000,
  retryAfterMs: 90_000,
  retryable: true,
};

describe("denialMessage", () => {
  it("says why, whether waiting helps and what to do instead", () => {
    const stop = "Waiting does not help: go on without this tool, or finish with what you have.";
    const cases: [per: Dimension[], verdict: Partial<Verdict>, text: string][] = [
      [
        ["session"],
        {},
        "Denied by tool-per-turn: no calls per session left. Try again in 1 min 30 s, or go on without this tool.",
      ],
      [
        ["session", "turn", "tool"],
        { retryable: false },
        `Denied by tool-per-turn: no calls per session, turn and tool left. ${stop}`,
      ],
      [
        ["user", "tool"],
        { unit: "tokens", cost: 7, remaining: 2, retryAfterMs: 250 },
        "Denied by tool-per-turn: 2 tokens per user and tool left, and this call takes 7. " +
          "Try again in 250 ms, or go on without this tool.",
      ],
      [
        [],
        { remaining: 1, cost: 2, retryable: false },
        `Denied by tool-per-turn: 1 calls left, and this call takes 2. ${stop}`,
      ],
      [
        ["session"],
        { cost: 6, retryAfterMs: null, retryable: false },
        "Denied: this call takes 6 calls, more than tool-per-turn ever has free at once. Ask for less.",
      ],
      [
        ["tool"],
        { quota: 0, retryAfterMs: null, retryable: false },
        "Denied: tool-per-turn allows no calls per tool. Do not try again; go on without this tool.",
      ],
      [
        [],
        { quota: 0, retryAfterMs: null, retryable: false },
        "Denied: tool-per-turn allows no calls. Do not try again; go on without this tool.",
      ],
    ];
    for (const [per, verdict, text] of cases) assert.equal(denialMessage(per, { ...DENIED, ...verdict }), text);
  });

  it("takes at most 300 characters, whatever the names and the numbers", () => {
    const longest = fc.constantFrom("a".repeat(64));
    const numbers = fc.constantFrom(0, 1, MAX - 1, MAX);
    const verdicts = fc.record({
      limit: longest,
      unit: fc.constantFrom("u".repeat(32)),
      cost: numbers,
      quota: numbers,
      remaining: numbers,
      retryAfterMs: fc.constantFrom(null, 0, 999, 59_001, 599_001, MAX_DURATION_MS - 1, MAX),
      retryable: fc.boolean(),
    });
    let longestSeen = 0;
    const property = fc.property(fc.shuffledSubarray([...DIMENSIONS]), verdicts, (per, verdict) => {
      const text = denialMessage(per, { ...DENIED, ...verdict });
      assert.ok(text.length <= 300, text);
      assert.match(text, /^Denied[ :].*\.$/);
      longestSeen = Math.max(longestSeen, text.length);
    });
    fc.assert(property, { seed: 20_251_121, numRuns: 1_000 });
    assert.ok(longestSeen > 290, String(longestSeen));
  });
});

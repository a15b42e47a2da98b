import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { LimitSpec } from "./algorithms/registry.ts";
import { DIMENSIONS, type Dimension } from "./call.ts";
import type { Verdict } from "./decision.ts";
import { MAX_DURATION_MS } from "./duration.ts";
import { awayMessage, denialMessage, nearMessage, warning } from "./message.ts";

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

function denial(
  per: readonly Dimension[],
  verdict: Verdict,
  rest: { message?: string; algorithm?: LimitSpec["algorithm"] } = {},
) {
  const { message = null, algorithm = "quota" } = rest;
  return denialMessage({ limit: { per, message }, verdict, algorithm, capacity: verdict.quota });
}

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
    for (const [per, verdict, text] of cases) assert.equal(denial(per, { ...DENIED, ...verdict }), text);
  });

  it("says of calls that run what they wait for", () => {
    assert.equal(
      denial(["session"], DENIED, { algorithm: "concurrency" }),
      "Denied by tool-per-turn: 5 calls per session are under way, as many as may be at once. " +
        "Try again when one has ended, in 1 min 30 s at the latest, or go on without this tool.",
    );
    const some = { ...DENIED, remaining: 2, cost: 3 };
    assert.match(
      denial(["session"], some, { algorithm: "concurrency" }),
      /2 calls per session left, and this call takes 3/,
    );
  });

  it("says that time is over", () => {
    const verdict = { ...DENIED, limit: "half-an-hour", unit: "ms", cost: 0, quota: 1_800_000, retryAfterMs: null };
    const over = "Denied by half-an-hour: the 30 min";
    assert.equal(
      denial(["session"], verdict, { algorithm: "elapsed" }),
      `${over} per session are over. Finish with what you have.`,
    );
    assert.equal(denial([], verdict, { algorithm: "elapsed" }), `${over} are over. Finish with what you have.`);
    assert.equal(
      denial(["session"], { ...verdict, quota: 0 }, { algorithm: "elapsed" }),
      "Denied: half-an-hour allows no ms per session. Do not try again; go on without this tool.",
    );
  });

  it("says what did not get on", () => {
    const verdict = { ...DENIED, limit: "stuck", unit: "errors", quota: 3, retryable: false };
    const advice = "Do something else, or finish.";
    assert.equal(
      denial(["session", "tool"], verdict, { algorithm: "streak" }),
      `Denied by stuck: the last 3 calls per session and tool failed. ${advice}`,
    );
    assert.equal(
      denial([], { ...verdict, unit: "results" }, { algorithm: "streak" }),
      `Denied by stuck: the last 3 calls had the same result. ${advice}`,
    );
    assert.equal(denial([], verdict, { algorithm: "streak", message: "Stop: {limit}." }), "Stop: stuck.");
  });

  it("says what the policy says instead, with the numbers filled in", () => {
    const message = "{limit}: {remaining} of {quota} {unit} left, {cost} asked. Again in {retryAfter}.";
    assert.equal(denial([], DENIED, { message }), "tool-per-turn: 0 of 5 calls left, 1 asked. Again in 1 min 30 s.");
    const never = { ...DENIED, quota: 0, retryAfterMs: null };
    assert.equal(denial([], never, { message: "Again: {retryAfter}" }), "Again: never");
    const long = denial([], { ...DENIED, limit: "a".repeat(64) }, { message: "{limit}".repeat(25) });
    assert.deepEqual([long.length, long.at(-1)], [300, "…"]);
  });

  it("leaves out whose it is where that would be long", () => {
    const long = ["a".repeat(18), "b".repeat(18), "c".repeat(5)];
    assert.match(denial(long, DENIED), /^Denied by tool-per-turn: no calls left\. /);
    assert.match(denial(long.slice(0, 2), DENIED), /no calls per a+ and b+ left/);
  });

  it("takes at most 300 characters, whatever the names and the numbers", () => {
    const longest = fc.constantFrom("a".repeat(64));
    const numbers = fc.constantFrom(0, 1, MAX - 1, MAX);
    const verdicts = fc.record({
      limit: longest,
      unit: fc.constantFrom("u".repeat(32), "errors", "results"),
      cost: numbers,
      quota: numbers,
      remaining: numbers,
      retryAfterMs: fc.constantFrom(null, 0, 999, 59_001, 599_001, MAX_DURATION_MS - 1, MAX),
      retryable: fc.boolean(),
    });
    let longestSeen = 0;
    const algorithms = fc.constantFrom<LimitSpec["algorithm"]>("quota", "concurrency", "elapsed", "streak");
    const dimensions = fc.shuffledSubarray([...DIMENSIONS, "a".repeat(32), "b".repeat(32)]);
    const property = fc.property(dimensions, verdicts, algorithms, (per, verdict, algorithm) => {
      const text = denial(per, { ...DENIED, ...verdict }, { algorithm });
      assert.ok(text.length <= 300, text);
      const near = { limit: { per, message: null }, verdict: { ...DENIED, ...verdict }, algorithm, capacity: MAX };
      assert.ok(nearMessage(near).length <= 300, nearMessage(near));
      assert.ok(warning(near).length <= 300, warning(near));
      assert.match(text, /^Denied[ :].*\.$/);
      longestSeen = Math.max(longestSeen, text.length);
    });
    fc.assert(property, { seed: 20_251_121, numRuns: 1_000 });
    assert.ok(longestSeen > 280, String(longestSeen));
  });
});

describe("nearMessage", () => {
  it("says what is left, and when that is nothing", () => {
    const near = (remaining: number) =>
      nearMessage({
        limit: { per: ["session", "turn"], message: null },
        verdict: { ...DENIED, remaining },
        algorithm: "quota",
        capacity: 5,
      });
    assert.equal(near(1), "Only 1 of 5 calls per session and turn left (tool-per-turn).");
    assert.equal(
      near(0),
      "This was the last of 5 calls per session and turn (tool-per-turn). Finish with what you have.",
    );
  });

  it("says how much time is left", () => {
    const near = (remaining: number, per: Dimension[] = ["session"]) => {
      const verdict = { ...DENIED, limit: "half-an-hour", unit: "ms", remaining };
      return nearMessage({ limit: { per, message: null }, verdict, algorithm: "elapsed", capacity: 1_800_000 });
    };
    assert.equal(near(300_000), "Only 5 min per session left (half-an-hour).");
    assert.equal(near(1, []), "Only 1 ms left (half-an-hour).");
  });
});

describe("warning", () => {
  it("says what did not get on, or what the policy says instead", () => {
    const warn = (unit: string, message: string | null = null) =>
      warning({
        limit: { per: ["session", "tool", "args"], message },
        verdict: { ...DENIED, limit: "stuck", unit, quota: 3 },
        algorithm: "streak",
        capacity: 3,
      });
    const row = "Careful (stuck): the last 3 calls per session, tool and args";
    assert.equal(warn("errors"), `${row} failed. Do something else.`);
    assert.equal(warn("results"), `${row} had the same result. Do something else.`);
    assert.equal(warn("errors", "{limit}: {quota} {unit} in a row."), "stuck: 3 errors in a row.");
    assert.equal(warn("errors", "{limit}".repeat(100)).length, 300);
  });
});

describe("awayMessage", () => {
  it("says that nobody could check, and when to try again", () => {
    const verdict = { limit: "tool-per-session", retryAfterMs: 1_000 } as Verdict;
    assert.equal(
      awayMessage(verdict),
      "Denied for now: tool-per-session cannot be checked at the moment. Try again in 1 s, or go on without this tool.",
    );
  });
});

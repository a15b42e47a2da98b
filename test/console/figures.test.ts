// What the overview says about now.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DecisionEntry, EventEntry, SeriesPoint } from "../../console/answers.ts";
import { bucketsAsked } from "../../console/buckets.ts";
import { eachMinute, latencyOf, suddenDenials, troubles } from "../../console/figures.ts";
import { withTimes } from "../../console/format.ts";

const MINUTE_MS = 60_000;
const NOW_MS = 100 * MINUTE_MS + 30_000;
const point = (minute: number, calls: number, denied: number, of = ""): SeriesPoint => {
  return { atMs: minute * MINUTE_MS, of, calls, denied, units: 0 };
};
const event = (type: string, data: object = {}): EventEntry => {
  const where = { id: type, atMs: 0, instance: "i", policy: "p", limit: null, dimensions: {} };
  return { kind: "event", ...where, type, data: { ...data }, actor: null, reason: null };
};
const READY = { status: "ready", reason: null, awayMs: null } as const;

describe("minutes", () => {
  it("are there also without calls", () => {
    const minutes = eachMinute([point(99, 4, 1)], NOW_MS, 3);
    assert.deepEqual(minutes, [
      { atMs: 98 * MINUTE_MS, calls: 0, denied: 0 },
      { atMs: 99 * MINUTE_MS, calls: 4, denied: 1 },
      { atMs: 100 * MINUTE_MS, calls: 0, denied: 0 },
    ]);
  });
});

describe("an alarm", () => {
  it("is a limit that denies much more than before", () => {
    const alarms = suddenDenials([point(50, 1_000, 10, "a"), point(99, 100, 40, "a"), point(50, 90, 40, "b")], NOW_MS);
    assert.deepEqual(
      alarms.map(({ text, params }) => [text, params]),
      [
        [
          "a denied 40 calls in the last 5 minutes, much more than before.",
          { outcome: "denied", limit: "a", last: "15m" },
        ],
      ],
    );
  });

  it("is not a limit that denies few, as much as before, or was not called before", () => {
    for (const points of [
      [point(50, 1_000, 0, "a"), point(99, 100, 19, "a")],
      [point(50, 1_000, 300, "a"), point(99, 100, 40, "a")],
      [point(99, 100, 40, "a")],
    ]) {
      assert.deepEqual(suddenDenials(points, NOW_MS), []);
    }
  });

  it("is a store that is away, a policy that was refused, and entries that were lost", () => {
    assert.deepEqual(troubles(READY, [], "v1"), []);
    const away = troubles({ status: "away", reason: "unavailable", awayMs: 5_000 }, [], "v1");
    assert.deepEqual(away[0]?.text, "The store does not answer for 5 s (unavailable), and calls fail.");
    const degraded = troubles({ status: "degraded", reason: "unavailable", awayMs: null }, [], "v1");
    assert.match(degraded[0]?.text ?? "", /decides by its share\.$/);
    const refused = event("policy.refused", { error: { code: "invalid-policy", message: "p.yaml:4:5: wrong\nmore" } });
    assert.deepEqual(
      troubles(READY, [refused, event("log.dropped")], "0123456789").map(({ text }) => text),
      [
        "The policy file is wrong, and version 01234567 stays in force: p.yaml:4:5: wrong",
        "The decision log could not be written, and lost entries. Counts are exact.",
      ],
    );
    assert.deepEqual(troubles(READY, [event("policy.reloaded"), refused], "v1"), []);
  });
});

describe("latency", () => {
  const entry = (durationMs: number | null) => ({ durationMs }) as DecisionEntry;
  it("is the middle and the slowest of what was measured", () => {
    assert.deepEqual(latencyOf([3, 1, null, 2].map(entry)), { middle: 2, slow: 3 });
    assert.equal(latencyOf([entry(null)]), null);
  });
});

describe("the buckets of a session", () => {
  const call = (tool: string, turn: string) =>
    ({ tool, dimensions: { session: "s1", turn } }) as unknown as DecisionEntry;
  it("are those of its last calls, each once", () => {
    const asked = bucketsAsked("session", "s1", [call("a", "t2"), call("b", "t2"), call("a", "t2"), call("a", "t1")]);
    assert.deepEqual(asked, [
      { session: "s1", turn: "t2", tool: "a" },
      { session: "s1", turn: "t2", tool: "b" },
      { session: "s1", turn: "t1", tool: "a" },
    ]);
    assert.deepEqual(bucketsAsked("user", "u1", []), [{ user: "u1" }]);
    const many = Array.from({ length: 50 }, (_, i) => call("a", `t${i}`));
    assert.equal(bucketsAsked("session", "s1", many).length, 6);
  });
});

describe("texts", () => {
  it("have instants as times of day", () => {
    const text = withTimes("at 2026-11-30T16:58:11.099Z (id)", Date.parse("2026-11-30T17:00:00Z"));
    assert.match(text, /^at \d\d:\d\d:11 \(id\)$/);
  });
});

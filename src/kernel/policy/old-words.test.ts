import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { changedMeanings, oldWordsIn } from "./old-words.ts";

const LIMIT = { name: "a", per: ["session", "tool"], quota: 5 };

/** What is said of the old words of one limit: `key: hint`. */
function saidOf(limit: object, more: object = {}): string[] {
  return oldWordsIn({ version: 1, limits: [{ ...LIMIT, ...limit }], ...more }).map(
    ({ keys, hint }) => `${keys.slice(keys[0] === "limits" ? 2 : 1).join(".")}: ${hint}`,
  );
}

describe("an old word", () => {
  const CALENDAR = "windows of a day, a week or a month are a calendar's";
  const cases: readonly [written: object, ...said: string[]][] = [
    [{ match: ["a"] }, "match: Write when: { tool: [a] }."],
    [{ match: ["a", "b*", "*"] }, 'match: Write when: { tool: [a, b*, "*"] }.'],
    [{ match: ["a", "b", "c", "d"] }, "match: Write when: { tool: [a, b, c, …] }."],
    [{ quotas: { send_email: 1 } }, "quotas: Write quotas: { tool: { send_email: 1 } }."],
    [{ quotas: { "a b": 1, c: "unlimited" } }, 'quotas: Write quotas: { tool: { "a b": 1, c: unlimited } }.'],
    [{ quotas: { x: 1, tool: { y: 2 } } }, "quotas: Put each quota under its dimension: quotas: { tool: { … } }."],
    [{ quota: undefined, otherwise: "allow" }, "otherwise: Write quota: unlimited."],
    [{ quota: undefined, otherwise: "deny" }, "otherwise: Write quota: 0."],
    [{ otherwise: "deny" }, "otherwise: Remove it: quota is for all values that quotas does not name."],
    [
      { quota: undefined, algorithm: "elapsed", otherwise: "deny" },
      "otherwise: Write a quota for all other values. No time at all is a limit of its own with quota: 0.",
    ],
    [{ optional: true }, "optional: Write onMissing: skip."],
    [{ optional: false }, "optional: Write onMissing: error."],
    [{ optional: true, onMissing: "skip" }, 'optional: Remove it: "onMissing" is there already.'],
    [{ ttl: "24h" }, "ttl: Write resetAfterIdle: 24h."],
    [{ ttl: 30 }, "ttl: Write resetAfterIdle: 30."],
    [{ ttl: { fromFirst: "14d" } }, "ttl: Write resetAfter: 14d."],
    [{ noticeAt: 0.8 }, "noticeAt: Write notice: { at: 0.8 }."],
    [{ noticeAt: "never" }, "noticeAt: Write notice: { at: never }."],
    [{ noticeAt: 0.8, notice: { message: "x" } }, 'noticeAt: Remove it: write at: 0.8 in "notice".'],
    [{ algorithm: "streak", action: "warn" }, "action: Write mode: warn."],
    [{ algorithm: "streak", action: "deny" }, "action: Remove it: a limit denies unless its mode is warn or shadow."],
    [{ algorithm: "streak", action: "warn", mode: "shadow" }, "action: Remove it: the mode is shadow already."],
    [{ align: "calendar", window: "day" }, `align: Remove it: ${CALENDAR}.`],
    [{ align: "calendar", window: "1d" }, `align: Remove it: ${CALENDAR}; write window: day, week or month.`],
    [{ count: "session" }, "count: Write distinct: session."],
    [{ lease: "auto" }, "lease: Write borrow: auto."],
    [{ algorithm: "concurrency", lease: "2m" }, "lease: Write hold: { lease: 2m }."],
    [{ algorithm: "gcra" }, "algorithm: Write algorithm: token-bucket."],
    [{ algorithm: "quota" }, "algorithm: Write algorithm: budget."],
  ];
  for (const [written, ...said] of cases) {
    it(`is recognised: ${JSON.stringify(written)}`, () => assert.deepEqual(saidOf(written), said));
  }

  it("is no old word with a value that the word never took", () => {
    for (const written of [
      { match: [] },
      { match: "a b" },
      { match: [1] },
      { quotas: {} },
      { quotas: { x: 1 }, per: [] },
      { quotas: { x: 1 }, per: "tool" },
      { otherwise: "ask" },
      { optional: "yes" },
      { ttl: { fromLast: "1h" } },
      { ttl: "a b" },
      { noticeAt: [] },
      { action: "warn" },
      { algorithm: "streak", action: "log" },
      { align: "epoch" },
      { count: [] },
      { lease: {} },
      { constructor: 1 },
    ]) {
      assert.deepEqual(saidOf(written), [], JSON.stringify(written));
    }
  });

  it("is not found in present words", () => {
    const limit = { when: { tool: ["a"], tier: "gold" }, quotas: { tool: { a: 1 } }, distinct: "tier", per: ["tier"] };
    assert.deepEqual(saidOf({ ...limit, overrides: [{ when: { tier: "gold" }, quota: 1 }], window: "day" }), []);
    for (const input of [null, 5, [], {}, { tools: [], limits: {} }, { tools: { a: 1 }, limits: [1] }]) {
      assert.deepEqual(oldWordsIn(input), []);
    }
  });
});

describe("the tier of a tool", () => {
  const tools = { x: { tier: "T1" }, y: { volatile: ["a", "b"] } };

  it("is its group, in each limit that names it", () => {
    const limit = { per: ["session", "tier"], quotas: { T1: 1 }, count: "tier" };
    assert.deepEqual(saidOf({ ...limit, overrides: [{ when: { tier: "T1" }, quota: 1 }, 5] }, { tools }), [
      "x.tier: Write group: T1.",
      "y.volatile: Write ignoreArgs: [a, b].",
      "quotas: Write quotas: { group: { T1: 1 } }.",
      "count: Write distinct: group.",
      "per.1: Write group.",
      "overrides.0.when.tier: Write group: T1.",
    ]);
  });

  it("is left to a person where the policy has a dimension named group", () => {
    for (const own of [
      { per: ["group"] },
      { count: "group" },
      { overrides: [{ when: { group: "x" }, quota: 1 }, {}, 5] },
    ]) {
      const limits = [LIMIT, { ...LIMIT, per: ["tier"], quotas: { T1: 1 } }, { ...LIMIT, ...own }, 5];
      const found = oldWordsIn({ tools, limits }).filter(({ edit }) => edit === null);
      const places = found.map(({ keys }) => keys.join("."));
      assert.deepEqual(places, ["tools.x.tier", "limits.1.per.0"]);
    }
  });
});

describe("a text with another meaning today", () => {
  it("is found in names of tools, in match, quotas and when", () => {
    const limits = [
      { ...LIMIT, match: ["!a", "b"], quotas: { "x*": 1, y: 2 } },
      {
        ...LIMIT,
        overrides: [{ when: { plan: "pro*", user: "!u", args: "x", tenant: "t" } }, { when: 5 }, 5],
      },
      5,
    ];
    const found = changedMeanings({ tools: { "mcp__*": {}, a: {} }, limits });
    assert.deepEqual(
      found.map(({ keys }) => keys.join(".")),
      [
        "tools.mcp__*",
        "limits.0.match.0",
        "limits.0.quotas.x*",
        "limits.1.overrides.0.when.plan",
        "limits.1.overrides.0.when.user",
        "limits.1.overrides.0.when.args",
      ],
    );
    for (const input of [null, {}, { tools: 5, limits: 5 }]) assert.deepEqual(changedMeanings(input), []);
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hintedFaults } from "./fault-hints.ts";
import { readPolicy } from "./parse.ts";

const MAX = Number.MAX_SAFE_INTEGER;
const POLICY = "only $schema, version, description, partition, defaults, tools, onError, maxHold, log, limits, tests";
const NAME = "a name of lower-case letters, digits and hyphens, at most 64";
const UNIT = "a unit such as calls, tokens or usd_micros (a-z, 0-9, _; at most 32)";
const DURATION = "a duration such as 250ms, 30s, 5m, 1h or 7d, at most 36500d";
const LIFE = `${DURATION}, or never`;
const WHOLE = `a whole number from 0 to ${MAX}`;
const AMOUNT = "an amount such as 200k or $0.05";
const LEASE = "a duration of at most 1d, such as 30s or 5m";
const SHARED = "onMissing, onStoreError, mode, notice";
const BASE = `name, description, per, when, ${SHARED}, message`;
const ALLOTTED = "quota, quotas, overrides";
const DIMENSION =
  "a dimension: tenant, user, session, turn, agent, model, tool, group, args, or a name of your own (a-z, 0-9, _; at most 32)";
const SELECTABLE = DIMENSION.replace(" args,", "");
const PATTERN = "a value of 1 to 1024 characters, in which * stands for any characters and ! before it for not";
const EXACT = "a whole value, without * and !: patterns are for the when of overrides";
const NOTICE =
  "1 to 200 characters, with {limit}, {unit}, {cost}, {quota}, {remaining}, {retryAfter}, {used} alone in braces";
const MESSAGE = "1 to 200 characters, with {limit}, {unit}, {cost}, {quota}, {remaining}, {retryAfter} alone in braces";
const TIMEZONE = "a time zone by its IANA name, such as Europe/Berlin";
const ANCHOR = "a day: 1 (Monday) to 7 of a week, 1 to 31 of a month";
const KNOWN = "a known key";
const SPAN = `${DURATION}, or unlimited`;
const NO_ON_ERROR = "no onError: a call that fails has nothing to charge or refund here";
const SPENT = `${BASE}, unit, hold, onError, ${ALLOTTED}`;
const COUNTING = `${SPENT}, distinct, borrow, algorithm`;

function faultsOf(input: unknown): string[] {
  const result = readPolicy(input, hintedFaults);
  if ("policy" in result) return [];
  return result.faults.map(({ path, expected, got }) => `${path}: ${expected}; ${got}`);
}

function policy(limit: object, rest: object = {}): object {
  return { version: 1, limits: [{ name: "a", per: ["tool"], quota: 5, ...limit }], ...rest };
}

function entries(count: number, value: unknown): object {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, value]));
}

describe("the words of a policy", () => {
  it("refuses a value that is no policy", () => {
    for (const [input, got] of [
      [undefined, "nothing"],
      [null, "null"],
      [5, "5"],
      ["x", '"x"'],
      [[], "[]"],
    ] as const) {
      assert.deepEqual(faultsOf(input), [`policy: a policy; ${got}`]);
    }
    assert.deepEqual(faultsOf({}), ["version: 1; nothing", "limits: a list of limits; nothing"]);
    assert.deepEqual(
      faultsOf({
        $schema: 5,
        version: 2,
        partition: "X",
        tools: 5,
        description: "",
        defaults: 5,
        onError: 5,
        maxHold: 5,
        limits: [],
        more: 1,
        "a b": 1,
      }),
      [
        "$schema: a path or an address; 5",
        "version: 1; 2",
        'description: 1 to 200 characters; ""',
        `partition: ${DIMENSION}; "X"`,
        "defaults: defaults; 5",
        "tools: tools by name, at most 10000 entries; 5",
        "onError: charge or refund; 5",
        "maxHold: a duration such as 250ms, 30s, 5m, 1h or 7d, at most 36500d; 5",
        "limits: at least one limit; []",
        `more: ${POLICY}; an unknown key`,
        `["a b"]: ${POLICY}; an unknown key`,
      ],
    );
  });

  it("refuses a value that is no limit", () => {
    const cases: [limit: unknown, ...faults: string[]][] = [
      [5, "limits[0]: a limit; 5"],
      [[], "limits[0]: a limit; []"],
      [
        {},
        `limits[0].name: ${NAME}; nothing`,
        "limits[0].per: a list of dimensions; nothing",
        `limits[0].quota: ${WHOLE}, ${AMOUNT}, or unlimited; nothing`,
      ],
    ];
    for (const [limit, ...faults] of cases) assert.deepEqual(faultsOf({ version: 1, limits: [limit] }), faults);
  });

  it("reports for each key what was expected and what was found", () => {
    const cases: [limit: object, path: string, expected: string, got: string][] = [
      [{ name: "A" }, "name", NAME, '"A"'],
      [{ name: "" }, "name", NAME, '""'],
      [{ name: "a\n" }, "name", NAME, '"a\\n"'],
      [{ name: "a".repeat(65) }, "name", NAME, `"${"a".repeat(58)}…`],
      [{ per: "tool" }, "per", "a list of dimensions", '"tool"'],
      [{ per: ["user", "Group"] }, "per[1]", DIMENSION, '"Group"'],
      [{ per: ["user", "cost"] }, "per[1]", DIMENSION, '"cost"'],
      [{ per: ["limit"] }, "per[0]", DIMENSION, '"limit"'],
      [{ per: "abcdefghi".split("") }, "per", "at most 8 dimensions", '["a","b","c","d","e","f","g","h","i"]'],
      [{ description: "a".repeat(201) }, "description", "1 to 200 characters", `"${"a".repeat(58)}…`],
      [{ when: ["send_*"] }, "when", "values by dimension, at most 8 entries", '["send_*"]'],
      [{ when: { tool: [] } }, "when.tool", "at least one value", "[]"],
      [{ when: { tool: [""] } }, "when.tool[0]", PATTERN, '""'],
      [{ when: { tool: "!" } }, "when.tool", PATTERN, '"!"'],
      [{ when: { tool: [1.5] } }, "when.tool", "a value, or a list of values", "[1.5]"],
      [{ when: { tool: true } }, "when.tool", "a value, or a list of values", "true"],
      [{ when: { args: "x" } }, "when.args", SELECTABLE, '"args"'],
      [{ when: { cost: "x" } }, "when.cost", SELECTABLE, '"cost"'],
      [{ onMissing: "ignore" }, "onMissing", "error, skip or shared", '"ignore"'],
      [{ mode: "off" }, "mode", "enforce, warn or shadow", '"off"'],
      [{ onStoreError: "open" }, "onStoreError", "share, local, deny or allow", '"open"'],
      [{ notice: 0.8 }, "notice", "{ at, message }", "0.8"],
      [{ notice: { at: 0 } }, "notice.at", "a share above 0 to 1, or never", "0"],
      [{ notice: { at: 1.1 } }, "notice.at", "a share above 0 to 1, or never", "1.1"],
      [{ notice: { message: "{used} of {tool}" } }, "notice.message", NOTICE, '"{used} of {tool}"'],
      [{ notice: { from: 1 } }, "notice.from", KNOWN, '"from"'],
      [{ message: "{used}" }, "message", MESSAGE, '"{used}"'],
      [{ message: "" }, "message", MESSAGE, '""'],
      [{ message: "{tool} is used up" }, "message", MESSAGE, '"{tool} is used up"'],
      [{ message: "a".repeat(201) }, "message", MESSAGE, `"${"a".repeat(58)}…`],
      [{ overrides: { plan: 5 } }, "overrides", "a list of { when, quota }", '{"plan":5}'],
      [{ overrides: [{ quota: 5 }] }, "overrides[0].when", "values by dimension, at most 8 entries", "nothing"],
      [{ overrides: [{ when: { plan: "" }, quota: 5 }] }, "overrides[0].when.plan", PATTERN, '""'],
      [{ overrides: [{ when: { Plan: "pro" }, quota: 5 }] }, "overrides[0].when.Plan", SELECTABLE, '"Plan"'],
      [
        { overrides: [{ when: { plan: "pro" } }] },
        "overrides[0].quota",
        `${WHOLE}, ${AMOUNT}, or unlimited`,
        "nothing",
      ],
      [{ quota: -1 }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, "-1"],
      [{ quota: MAX + 1 }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, String(MAX + 1)],
      [{ quota: 1.5 }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, "1.5"],
      [{ quota: "many" }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, '"many"'],
      [{ quota: null }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, "null"],
      [{ quotas: [] }, "quotas", "quotas by dimension and value, at most 8 entries", "[]"],
      [{ quotas: { search: 5 } }, "quotas", "quotas by dimension and value", '{"search":5}'],
      [{ window: "1h" }, "window", "an algorithm beside it", "none"],
      [{ window: "hourly" }, "window", "day, week or month, or a duration with an algorithm beside it", '"hourly"'],
      [{ window: "day", burst: 5 }, "burst", "a key of fixed-window", '"burst"'],
      [{ per: [], quotas: { search: 5 } }, "quotas.search", "quotas by value, at most 10000 entries", "5"],
      [{ quotas: { args: {} } }, "quotas.args", SELECTABLE, '"args"'],
      [{ quotas: { tool: { "": 1 } } }, 'quotas.tool[""]', EXACT, '""'],
      [{ quotas: { plan: { "!pro": 1 } } }, 'quotas.plan["!pro"]', EXACT, '"!pro"'],
      [{ quota: "5K" }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, '"5K"'],
      [{ quota: "9007199255M" }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, '"9007199255M"'],
      [{ quotas: { tool: { "mcp_*": 1 } } }, 'quotas.tool["mcp_*"]', EXACT, '"mcp_*"'],
      [{ quotas: { tool: { $a_1: Number.NaN } } }, "quotas.tool.$a_1", `${WHOLE}, ${AMOUNT}, or unlimited`, "NaN"],
      [{ unit: "Tokens" }, "unit", UNIT, '"Tokens"'],
      [{ unit: "a".repeat(33) }, "unit", UNIT, `"${"a".repeat(33)}"`],
      [{ resetAfterIdle: "soon" }, "resetAfterIdle", LIFE, '"soon"'],
      [{ resetAfterIdle: "36501d" }, "resetAfterIdle", DURATION, '"36501d"'],
      [{ resetAfter: {} }, "resetAfter", LIFE, "{}"],
      [{ colour: "red" }, "colour", `only ${COUNTING}, resetAfterIdle, resetAfter`, "an unknown key"],
      [
        { algorithm: "leaky" },
        "algorithm",
        "budget, fixed-window, sliding-window, token-bucket, concurrency, elapsed, streak or cooldown",
        '"leaky"',
      ],
      [{ algorithm: "fixed-window" }, "window", `${DURATION}; day, week or month`, "nothing"],
      [{ algorithm: "fixed-window", window: "0s" }, "window", `${DURATION}; day, week or month`, '"0s"'],
      [{ algorithm: "fixed-window", window: "1h", align: "moon" }, "align", "epoch or first-use", '"moon"'],
      [
        { algorithm: "fixed-window", window: "1h", colour: "red" },
        "colour",
        `only ${COUNTING}, window, align, timezone, anchorDay`,
        "an unknown key",
      ],
      [
        { algorithm: "sliding-window", window: "1h", colour: "red" },
        "colour",
        `only ${SPENT}, algorithm, window`,
        "an unknown key",
      ],
      [
        { algorithm: "token-bucket", window: "1h", burst: 0 },
        "burst",
        `a whole number from 1 to ${MAX}, or ${AMOUNT}`,
        "0",
      ],
      [
        { algorithm: "token-bucket", window: "1h", colour: "red" },
        "colour",
        `only ${SPENT}, algorithm, window, burst`,
        "an unknown key",
      ],
      [{ algorithm: "fixed-window", window: "year" }, "window", `${DURATION}; day, week or month`, '"year"'],
      [{ algorithm: "fixed-window", window: "1h", timezone: "" }, "timezone", TIMEZONE, '""'],
      [{ algorithm: "fixed-window", window: "1h", timezone: 1 }, "timezone", TIMEZONE, "1"],
      [{ algorithm: "fixed-window", window: "1h", anchorDay: 0 }, "anchorDay", ANCHOR, "0"],
      [{ algorithm: "fixed-window", window: "1h", anchorDay: 32 }, "anchorDay", ANCHOR, "32"],
      [{ algorithm: "fixed-window", window: "1h", anchorDay: 1.5 }, "anchorDay", ANCHOR, "1.5"],
      [{ distinct: "Session" }, "distinct", DIMENSION, '"Session"'],
      [{ distinct: "cost" }, "distinct", DIMENSION, '"cost"'],
      [
        { algorithm: "sliding-window", window: "1h", distinct: "session" },
        "distinct",
        "a key of sliding-window",
        '"distinct"',
      ],
      [{ algorithm: "elapsed" }, "quota", SPAN, "5"],
      [{ algorithm: "elapsed", quota: "0s" }, "quota", SPAN, '"0s"'],
      [{ algorithm: "elapsed", quota: "36501d" }, "quota", DURATION, '"36501d"'],
      [{ algorithm: "elapsed", quota: "1h", quotas: { tool: { a: 5 } } }, "quotas.tool.a", SPAN, "5"],
      [
        { algorithm: "elapsed", quota: "1h", overrides: [{ when: { plan: "pro" }, quota: 5 }] },
        "overrides[0].quota",
        SPAN,
        "5",
      ],
      [{ algorithm: "elapsed", quota: "1h", resetAfterIdle: 5 }, "resetAfterIdle", LIFE, "5"],
      [{ algorithm: "elapsed", quota: "1h", resetAfter: "1h" }, "resetAfter", "a key of elapsed", '"resetAfter"'],
      [
        { algorithm: "elapsed", quota: "1h", colour: "red" },
        "colour",
        `only ${BASE}, ${ALLOTTED}, algorithm, resetAfterIdle`,
        "an unknown key",
      ],
      [{ algorithm: "elapsed", quota: "1h", hold: {} }, "hold", "a key of elapsed", '"hold"'],
      [{ algorithm: "streak" }, "of", "errors or results", "nothing"],
      [{ algorithm: "streak", of: "calls" }, "of", "errors or results", '"calls"'],
      [{ algorithm: "streak", of: "errors", quota: "1h" }, "quota", `${WHOLE}, ${AMOUNT}, or unlimited`, '"1h"'],
      [
        { algorithm: "streak", of: "errors", colour: "red" },
        "colour",
        `only ${BASE}, ${ALLOTTED}, algorithm, of, resetAfterIdle`,
        "an unknown key",
      ],
      [{ hold: "1m" }, "hold", "{ lease, onExpiry }", '"1m"'],
      [{ hold: { lease: "soon" } }, "hold.lease", DURATION, '"soon"'],
      [{ hold: { lease: "86400001ms" } }, "hold.lease", LEASE, '"86400001ms"'],
      [{ hold: { onExpiry: "keep" } }, "hold.onExpiry", "charge or refund", '"keep"'],
      [{ hold: { colour: 1 } }, "hold.colour", "only lease, onExpiry", "an unknown key"],
      [{ onError: "free" }, "onError", "charge or refund", '"free"'],
      [{ algorithm: "elapsed", quota: "1h", onError: "charge" }, "onError", NO_ON_ERROR, '"charge"'],
      [{ algorithm: "streak", of: "errors", onError: "charge" }, "onError", NO_ON_ERROR, '"charge"'],
      [{ algorithm: "concurrency", onError: "refund" }, "onError", NO_ON_ERROR, '"refund"'],
      [{ algorithm: "concurrency", hold: { lease: "2d" } }, "hold.lease", LEASE, '"2d"'],
      [{ algorithm: "concurrency", hold: { onExpiry: "charge" } }, "hold.onExpiry", KNOWN, '"onExpiry"'],
      [
        { algorithm: "concurrency", colour: "red" },
        "colour",
        `only ${BASE}, unit, ${ALLOTTED}, algorithm, hold`,
        "an unknown key",
      ],
      [
        { window: "day", colour: "red" },
        "colour",
        `only ${COUNTING}, window, align, timezone, anchorDay`,
        "an unknown key",
      ],
      [
        { window: "1h", burst: 5, colour: "red" },
        "colour",
        `only ${SPENT}, algorithm, window, burst`,
        "an unknown key",
      ],
      [{ burst: 5 }, "window", DURATION, "nothing"],
      [{ overrides: [{ when: { plan: "pro" }, quota: 5, burst: 5 }] }, "overrides[0].burst", KNOWN, '"burst"'],
    ];
    for (const [limit, path, expected, got] of cases) {
      const found = faultsOf(policy(limit)).map((fault) => fault.replace(/^limits\[0\]\./, ""));
      assert.deepEqual(found, [`${path}: ${expected}; ${got}`], JSON.stringify(limit));
    }
  });

  it("does the same for tools and their costs", () => {
    const cases: [tools: object, path: string, expected: string, got: string][] = [
      [{ search: 5 }, "tools.search", "a tool", "5"],
      [{ "": {} }, 'tools[""]', "a name that is not empty", '""'],
      [{ search: { group: 1 } }, "tools.search.group", "a name that is not empty", "1"],
      [{ search: { ignoreArgs: "id" } }, "tools.search.ignoreArgs", "a list of names", '"id"'],
      [{ search: { onError: "free" } }, "tools.search.onError", "charge or refund", '"free"'],
      [
        { search: { colour: 1 } },
        "tools.search.colour",
        "only description, cost, group, ignoreArgs, onError",
        "an unknown key",
      ],
      [{ "a-b": { cost: { Tokens: 1 } } }, 'tools["a-b"].cost.Tokens', UNIT, '"Tokens"'],
      [{ search: { cost: { tokens: -1 } } }, "tools.search.cost.tokens", `${WHOLE}, or ${AMOUNT}`, "-1"],
      [{ search: { cost: 5 } }, "tools.search.cost", "amounts by unit, at most 32 entries", "5"],
    ];
    for (const [tools, path, expected, got] of cases) {
      assert.deepEqual(faultsOf(policy({}, { tools })), [`${path}: ${expected}; ${got}`]);
    }
  });

  it("bounds what one policy can hold", () => {
    const limits = (count: number) => Array.from({ length: count }, (_, i) => ({ name: `n${i}`, per: [], quota: 1 }));
    const tools = (count: number) => policy({}, { tools: entries(count, {}) });
    const costs = (count: number) => policy({}, { tools: { search: { cost: entries(count, 1) } } });
    const quotas = (count: number) => policy({ quotas: { tool: entries(count, 1) } });
    for (const [make, max, path] of [
      [(count: number) => ({ version: 1, limits: limits(count) }), 256, "limits: at most 256 limits"],
      [tools, 10_000, "tools: tools by name, at most 10000 entries"],
      [costs, 32, "tools.search.cost: amounts by unit, at most 32 entries"],
      [quotas, 10_000, "limits[0].quotas.tool: quotas by value, at most 10000 entries"],
    ] as const) {
      assert.deepEqual(faultsOf(make(max)), []);
      assert.equal(faultsOf(make(max + 1))[0]?.startsWith(`${path}; `), true, path);
    }
  });

  it("takes the largest of everything", () => {
    const limit = {
      name: "a".repeat(64),
      unit: "a".repeat(32),
      quota: MAX,
      resetAfterIdle: "36500d",
      quotas: { tool: { "\n": "unlimited" } },
    };
    assert.deepEqual(faultsOf(policy(limit, { $schema: "./policy.schema.json", partition: "tenant" })), []);
  });
});

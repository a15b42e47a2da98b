import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hintedFaults } from "./fault-hints.ts";
import { readPolicy } from "./parse.ts";
import type { LimitInput, PolicyInput } from "./input.ts";

const EXACT = "a quota with 2 * burst * window / gcd(quota, window in ms) below 2^52";

function policy(...limits: object[]): PolicyInput {
  const named = limits.map((limit, i) => ({ name: `limit-${i}`, per: [], ...limit }));
  return { version: 1, limits: named as unknown as LimitInput[] };
}

function faultsOf(input: unknown): string[] {
  const result = readPolicy(input, hintedFaults);
  return "policy" in result ? [] : result.faults.map(({ path, expected, got }) => `${path}: ${expected}; ${got}`);
}

const MOST = "values with *, and overrides with lists or !, in the whole policy";

describe("readPolicy", () => {
  it("finds contradictions", () => {
    const cases: [string, object[], ...faults: string[]][] = [
      ["none", [{ quota: 1 }, { quota: 1 }]],
      [
        "one name twice",
        [
          { name: "a", quota: 1 },
          { name: "a", quota: 1 },
        ],
        'limits[1].name: a name that no other limit has; "a"',
      ],
      [
        "a dimension twice",
        [{ per: ["user", "user"], quota: 1 }],
        'limits[0].per: each dimension once; ["user","user"]',
      ],
      [
        "two lives",
        [{ quota: 1, resetAfter: "14d", resetAfterIdle: "never" }],
        'limits[0].resetAfter: no resetAfter beside resetAfterIdle; "14d"',
      ],
    ];
    for (const [name, limits, ...faults] of cases) assert.deepEqual(faultsOf(policy(...limits)), faults, name);
  });

  it("refuses a token bucket whose arithmetic would not be exact", () => {
    const tokenBucket = { algorithm: "token-bucket", window: "1024ms", per: ["tool"] };
    const largest = 2 ** 41 - 1; // 2 * (2^41 - 1) * 2^10 is below 2^52
    assert.deepEqual(faultsOf(policy({ ...tokenBucket, quota: 1, burst: largest })), []);
    assert.deepEqual(faultsOf(policy({ ...tokenBucket, quota: 1, burst: largest + 1 })), [
      `limits[0].quota: ${EXACT}; 1`,
    ]);
    assert.deepEqual(faultsOf(policy({ ...tokenBucket, quota: 0, burst: largest + 1 })), []);
    assert.deepEqual(faultsOf(policy({ ...tokenBucket, quota: "unlimited", burst: largest + 1 })), []);
    const quotas = { tool: { a: 1024, b: 1025, "c d": 1027, e: "unlimited" } };
    assert.deepEqual(faultsOf(policy({ ...tokenBucket, quota: 0, quotas, burst: largest + 1 })), [
      `limits[0].quotas.tool.b: ${EXACT}; 1025`,
      `limits[0].quotas.tool["c d"]: ${EXACT}; 1027`,
    ]);
    assert.deepEqual(faultsOf(policy({ quota: Number.MAX_SAFE_INTEGER, resetAfterIdle: "36500d" })), []);
  });

  it("refuses a limit of concurrency that could not keep its holds", () => {
    const concurrency = { algorithm: "concurrency", quota: 1_000, quotas: { tool: { a: "unlimited" } } };
    assert.deepEqual(faultsOf(policy({ ...concurrency, per: ["tool"] })), []);
    assert.deepEqual(
      faultsOf(policy({ ...concurrency, per: ["tool"], quota: 1_001, quotas: { tool: { a: 1_002 } } })),
      [
        "limits[0].quota: at most 1000 units in use at once; 1001",
        "limits[0].quotas.tool.a: at most 1000 units in use at once; 1002",
      ],
    );
  });

  it("refuses quotas from calls where the limit could not have each of them", () => {
    const from = (usual: unknown, max: unknown) => ({ from: "call", default: usual, max });
    const rate = { algorithm: "token-bucket", window: "1h" };
    const most = Math.floor(2 ** 51 / 3_600_000);
    const number = "a number, because this limit has a largest quota";
    const exact = "a max with 2 * burst * window in ms below 2^52, so that each quota up to it is exact";
    const whole = "a whole number from 0 to 9007199254740991, an amount such as 200k or $0.05, or unlimited";
    const cases: [limit: object, ...faults: string[]][] = [
      [{ quota: from(5, 5) }],
      [{ quota: from(0, "unlimited") }],
      [{ quota: from("unlimited", "unlimited") }],
      [{ quota: from(6, 5) }, "quota.default: at most max, which is 5; 6"],
      [{ quota: from("unlimited", 5) }, 'quota.default: at most max, which is 5; "unlimited"'],
      [{ algorithm: "concurrency", quota: from(1, 1_000) }],
      [{ algorithm: "concurrency", quota: from(1, 1_001) }, "quota.max: at most 1000 units in use at once; 1001"],
      [{ algorithm: "concurrency", quota: from(1, "unlimited") }, `quota.max: ${number}; "unlimited"`],
      [{ distinct: "session", quota: from(1, 1_001) }, "quota.max: at most 1000 values that are counted; 1001"],
      [{ distinct: "session", quota: from(1, "unlimited") }, `quota.max: ${number}; "unlimited"`],
      [{ ...rate, quota: from(1, most) }],
      [{ ...rate, quota: from(1, "unlimited") }, `quota.max: ${number}; "unlimited"`],
      [{ ...rate, quota: from(1, most + 1) }, `quota.max: ${exact}; ${most + 1}`],
      [{ ...rate, burst: 10, quota: from(1, 3_600_000_000) }],
      [
        { algorithm: "streak", of: "errors", quota: from(1, 5) },
        `quota: ${whole}; {"from":"call","default":1,"max":5}`,
      ],
      [{ quota: { from: "call", default: 1 } }, 'quota: { from: call, default, max }; {"from":"call","default":1}'],
      [{ quota: from(-1, 5) }, `quota.default: ${whole}; -1`],
    ];
    for (const [limit, ...faults] of cases) {
      assert.deepEqual(
        faultsOf(policy(limit)),
        faults.map((fault) => `limits[0].${fault}`),
        JSON.stringify(limit),
      );
    }
  });

  it("reports the faults of all limits at once", () => {
    const limits = [
      { name: "a", per: [], quota: 1, colour: "red" },
      { name: "b", per: [], quota: "$5" },
      { name: "c", per: [], quota: 1, window: "day", timezone: "Mars/Base" },
      { name: "d", per: ["user", "user"], quota: 1, window: "week", anchorDay: 9 },
      5,
      { name: "f", per: [], quota: "$1", window: "day", timezone: "Mars/Base" },
    ];
    const result = readPolicy({ version: 1, limits }, hintedFaults);
    assert.deepEqual("faults" in result && result.faults.map(({ path }) => path), [
      "limits[0].colour",
      "limits[2].timezone",
      "limits[4]",
      "limits[5].timezone",
      "limits[1].quota",
      "limits[3].per",
      "limits[3].anchorDay",
      "limits[5].quota",
    ]);
    assert.equal("faults" in result && result.faults[4]?.hint, 'Write "unit: usd_micros, quota: $5".');
    const none = readPolicy({ version: 2, limits: "none" }, hintedFaults);
    assert.deepEqual("faults" in none && none.faults.map(({ path }) => path), ["version", "limits"]);
  });

  it("refuses an unknown calendar, and its keys elsewhere", () => {
    const TIMEZONE = "a time zone by its IANA name, such as Europe/Berlin";
    const calendar = { quota: 1 };
    const but = "but where the window is a day, week or month";
    const even = { algorithm: "fixed-window", quota: 1, window: "1h" };
    const cases: [limit: object, ...faults: string[]][] = [
      [{ ...calendar, window: "day" }],
      [{ ...calendar, window: "day", anchorDay: 1, timezone: "Asia/Kathmandu" }],
      [{ ...calendar, window: "week", anchorDay: 7 }],
      [{ ...calendar, window: "month", anchorDay: 31, timezone: "UTC" }],
      [{ ...even, align: "epoch" }],
      [{ ...even, window: "day" }],
      [{ ...calendar, window: "day", anchorDay: 2 }, "anchorDay: at most 1 in a day; 2"],
      [{ ...calendar, window: "week", anchorDay: 8 }, "anchorDay: at most 7 in a week; 8"],
      [{ ...calendar, window: "day", timezone: "Mars/Base" }, `timezone: ${TIMEZONE}; "Mars/Base"`],
      ...["day", "week", "month"].map((window): [object, string] => [
        { ...calendar, window, align: "epoch" },
        `align: no align where the window is a ${window}; "epoch"`,
      ]),
      [{ ...even, timezone: "UTC" }, `timezone: no timezone ${but}; "UTC"`],
      [{ ...even, align: "first-use", anchorDay: 1 }, `anchorDay: no anchorDay ${but}; 1`],
      [{ ...even, anchorDay: 31 }, `anchorDay: no anchorDay ${but}; 31`],
      [{ ...even, timezone: "Mars" }, `timezone: ${TIMEZONE}; "Mars"`],
    ];
    for (const [limit, ...faults] of cases) {
      assert.deepEqual(
        faultsOf(policy(limit)),
        faults.map((fault) => `limits[0].${fault}`),
        JSON.stringify(limit),
      );
    }
  });

  it("refuses counts that are impossible", () => {
    const count = { per: ["user"], distinct: "session", quota: 1_000 };
    const most = "at most 1000 values that are counted";
    const cases: [limit: object, ...faults: string[]][] = [
      [count],
      [{ ...count, algorithm: "fixed-window", window: "1h" }],
      [{ ...count, quota: "unlimited" }],
      [{ per: ["user"], quota: 1_001 }],
      [{ ...count, unit: "sessions" }, 'unit: no unit where distinct values are counted; "sessions"'],
      [
        { ...count, onError: "refund" },
        'onError: no onError where distinct values are counted: they stay counted; "refund"',
      ],
      [{ ...count, distinct: "user" }, 'distinct: a dimension that the limit is not per; "user"'],
      [{ ...count, quota: 1_001 }, `quota: ${most}; 1001`],
      [{ per: ["user"], quota: 5, borrow: "auto" }],
      [{ per: ["user"], quota: 5, borrow: "auto", mode: "enforce" }],
      [
        { per: ["user"], quota: 5, borrow: "auto", mode: "shadow" },
        'borrow: no borrow in mode shadow, which denies nothing; "auto"',
      ],
      [
        { per: ["user"], quota: 5, borrow: "auto", mode: "warn" },
        'borrow: no borrow in mode warn, which denies nothing; "auto"',
      ],
      [{ ...count, borrow: "auto" }, 'borrow: no borrow where distinct values are counted; "auto"'],
      [
        {
          ...count,
          algorithm: "fixed-window",
          window: "1h",
          quotas: { user: { a: 1_001, b: 1_000 } },
          overrides: [
            { when: { plan: "free" }, quota: 7 },
            { when: { plan: "pro" }, quota: 2_000 },
          ],
        },
        `quotas.user.a: ${most}; 1001`,
        `overrides[1].quota: ${most}; 2000`,
      ],
    ];
    for (const [limit, ...faults] of cases) {
      assert.deepEqual(
        faultsOf(policy(limit)),
        faults.map((fault) => `limits[0].${fault}`),
        JSON.stringify(limit),
      );
    }
  });

  it("accepts dollars only for usd_micros", () => {
    const expected = "an amount without $, which is for unit: usd_micros";
    const money = { per: [], unit: "usd_micros", quota: "$5", quotas: { plan: { pro: "$0.50" } } };
    const bucket = {
      algorithm: "token-bucket",
      window: "1h",
      burst: "$1",
      overrides: [{ when: {}, quota: 1, burst: "$2" }],
    };
    assert.deepEqual(faultsOf(policy({ ...money, ...bucket })), []);
    assert.deepEqual(faultsOf(policy({ ...money, ...bucket, unit: "tokens" })), [
      `limits[0].quota: ${expected}; "$5"`,
      `limits[0].quotas.plan.pro: ${expected}; "$0.50"`,
      `limits[0].overrides[0].burst: ${expected}; "$2"`,
      `limits[0].burst: ${expected}; "$1"`,
    ]);
    const streak = { per: [], algorithm: "streak", of: "errors", quota: "$1" };
    assert.deepEqual(faultsOf(policy(streak)), [`limits[0].quota: ${expected}; "$1"`]);
    const tools = { search: { cost: { usd_micros: "$0.05", tokens: "$1" } } };
    assert.deepEqual(faultsOf({ ...policy({ quota: 1 }), tools }), [`tools.search.cost.tokens: ${expected}; "$1"`]);
  });

  it("refuses a partition that no limit is per", () => {
    const limit = { quota: 1, per: ["workspace"] };
    assert.deepEqual(faultsOf({ ...policy(limit), partition: "workspace" }), []);
    assert.deepEqual(faultsOf({ ...policy(limit), partition: "sesion" }), [
      'partition: a dimension that some limit is per; "sesion"',
    ]);
  });

  it("refuses more patterns, and more sets of dimensions, than one call may be compared with", () => {
    const match = (count: number) => Array.from({ length: count }, (_, i) => `*${i}`);
    const limit = { per: ["session"], quota: 1 };
    const many = Array.from({ length: 4 }, () => ({ ...limit, when: { tool: match(1_000) } }));
    assert.deepEqual(faultsOf(policy(...many, { ...limit, when: { tool: [...match(96), "send"] } })), []);
    assert.deepEqual(faultsOf(policy(...many, { ...limit, when: { tool: match(97) } })), [
      `limits: at most 4096 ${MOST}; 4097`,
    ]);
    const [tools, others] = [
      { "a*": {}, b: {} },
      { overrides: [{ when: { user: ["a", "b"], plan: "!c" }, quota: 2 }] },
    ];
    const full = { ...policy(...many, { ...limit, when: { tool: match(94) } }, { ...limit, ...others }), tools };
    assert.deepEqual(faultsOf(full), []);
    assert.deepEqual(faultsOf({ ...full, tools: { ...tools, "c*": {} } }), [`limits: at most 4096 ${MOST}; 4097`]);
    const overrides = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ when: { plan: "pro", [`d${i}`]: 1 }, quota: 2 }));
    assert.deepEqual(faultsOf(policy({ ...limit, overrides: [...overrides(32), ...overrides(32)] })), []);
    assert.deepEqual(faultsOf(policy({ ...limit, overrides: overrides(33) })), [
      "limits[0].overrides: at most 32 different sets of dimensions in when; 33",
    ]);
  });

  it("has the keys that lead to a fault", () => {
    const result = readPolicy(policy({ quota: 1 }, { quota: -1 }), hintedFaults);
    const keys = "faults" in result ? result.faults.map((fault) => fault.keys) : [];
    assert.deepEqual(keys, [["limits", 1, "quota"]]);
  });

  it("does not judge tests", () => {
    for (const tests of ['{"__proto__":5}', '[{"steps":[{"call":{"__proto__":5}}]}]', "5", "null"]) {
      assert.deepEqual(faultsOf({ ...policy({ quota: 1 }), tests: JSON.parse(tests) }), []);
    }
  });

  it("refuses the key __proto__ everywhere, and stops at a cycle", () => {
    const reserved = "another name; a reserved one";
    const cases: [text: string, path: string][] = [
      ['{"__proto__":5}', "__proto__"],
      ['{"limits":[5,{"__proto__":5}]}', "limits[1].__proto__"],
      ['{"tools":{"search":{"cost":{"__proto__":5}}}}', "tools.search.cost.__proto__"],
      ['{"limits":[{"quotas":{"__proto__":5}}]}', "limits[0].quotas.__proto__"],
      ['{"limits":[{"quotas":{"a":{"__proto__":5}}}]}', "limits[0].quotas.a.__proto__"],
      ['{"limits":[{"overrides":[{"when":{"__proto__":5}}]}]}', "limits[0].overrides[0].when.__proto__"],
      ['{"defaults":{"hold":{"__proto__":5}}}', "defaults.hold.__proto__"],
    ];
    for (const [text, path] of cases) assert.deepEqual(faultsOf(JSON.parse(text)), [`${path}: ${reserved}`]);
    const deeper = faultsOf(JSON.parse('{"limits":[{"a":{"b":{"c":{"d":{"e":{"__proto__":5}}}}}}]}'));
    assert.equal(
      deeper.some((fault) => fault.includes(reserved)),
      false,
    );
    const cycle: Record<string, unknown> = { version: 1 };
    cycle.limits = [cycle];
    assert.equal(faultsOf(cycle).length > 0, true);
  });
});

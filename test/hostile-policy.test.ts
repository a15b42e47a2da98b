// Policies that are made to take long: they are refused before anything is made of them, and what is accepted is judged by
// without looking at all of it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, definePolicy, MisuseError, type PolicyInput } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { compiledPolicy } from "../src/kernel/policy/parse.ts";
import { parseEnvoyMapping } from "tollgate/service/envoy";
import { memoryStore } from "tollgate/stores/memory";
import { readYaml } from "../src/policy-file/yaml-text.ts";

function faultsOf(read: () => unknown): MisuseError["faults"] {
  try {
    read();
  } catch (error) {
    assert.ok(MisuseError.isInstance(error), String(error));
    return error.faults;
  }
  return [];
}

describe("a text in YAML", () => {
  const lines = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join("\n");
  const texts: [what: string, text: string, expected: RegExp][] = [
    ["nested lists", "[".repeat(300_000), /at most 64 levels/],
    ["nested lists that end", "[".repeat(300_000) + "]".repeat(300_000), /at most 64 levels/],
    ["nested objects", "{a: ".repeat(200_000), /at most 64 levels/],
    ["nested blocks in a line", "- ".repeat(400_000), /at most 64 levels/],
    ["nested keys in a line", "? ".repeat(400_000), /at most 64 levels/],
    ["nested blocks", lines(1_300, (i) => `${" ".repeat(i)}a:`), /at most 200 blanks/],
    ["many keys", lines(100_000, (i) => `k${i}: 1`), /at most 500000 words/],
    ["many errors", ",".repeat(900_000), /YAML or JSON/],
    ["many errors in a list", `[${",".repeat(900_000)}]`, /at most 500000 words/],
    ["many wrong escapes", `"${"\\q".repeat(400_000)}"`, /YAML or JSON/],
    [
      "a bomb of aliases",
      lines(30, (i) => `a${i}: &a${i} [${i === 0 ? "x" : `*a${i - 1},`.repeat(9)}]`),
      /at most 100 aliases/,
    ],
    ["many aliases", `a: &a [x]\nb: [${"*a,".repeat(50_000)}]`, /at most 100 aliases/],
    [
      "a bomb of few aliases",
      lines(11, (i) => `a${i}: &a${i} [${i === 0 ? "x" : `*a${i - 1},`.repeat(9)}]`),
      /at most 1000000 values, with those behind aliases/,
    ],
    [
      "a bomb of merge keys",
      lines(11, (i) => `a${i}: &a${i} { ${i === 0 ? "x: 1" : `<<: [${`*a${i - 1},`.repeat(9)}]`} }`),
      /at most 1000000 values/,
    ],
    [
      "a large object that is merged often",
      `a: &a { ${Array.from({ length: 12_000 }, (_, i) => `k${i}: 1`)} }\n${lines(90, (i) => `b${i}: { <<: *a }`)}`,
      /at most 1000000 values/,
    ],
    ["an alias in what it names", "a: &a [*a]", /at most 1000000 values/],
    ["a merge key in what it merges", "a: &a { <<: *a, b: 1 }", /at most 1000000 values/],
    ["a merge key of something else", "a: { <<: 5 }", /an object behind <</],
    ["more text than a policy has", `#${"x".repeat(1_000_000)}`, /at most 1000000 characters/],
  ];
  for (const [what, text, expected] of texts) {
    it(`is refused, as a policy and as a mapping: ${what}`, () => {
      for (const read of [parsePolicy, parseEnvoyMapping]) {
        const faults = faultsOf(() => read(text));
        assert.match(faults[0]?.expected ?? "", expected);
        assert.ok(faults.length <= 100);
      }
    });
  }

  it("may have brackets in its texts, and the maximum of tools", () => {
    const tools = lines(10_000, (i) => `  tool_${i}: { cost: { tokens: ${i} }, group: "[[[[{{{{" }`);
    const limit = `- { name: a, per: [session], unit: tokens, quota: 1, message: "${"(".repeat(100)} - - {limit}" }`;
    assert.equal(
      compiledPolicy(parsePolicy(`version: 1\ntools:\n${tools}\nlimits:\n${limit} # ${"[".repeat(1_000)}`)).tools
        .length,
      10_000,
    );
  });

  it("reports the position of each repeated key", () => {
    const [fault, ...others] = faultsOf(() => parsePolicy("version: 1\nlimits: []\nversion: 1\n'limits': []"));
    assert.deepEqual([fault?.at, others[0]?.at, others.length], ["policy:3:1", "policy:4:1", 1]);
    assert.deepEqual([fault?.expected, fault?.got], ["each key of an object once", '"version" again']);
    const [merge] = faultsOf(() => parsePolicy("a: &a {}\nb: { <<: *a, c: 1, <<: *a }"));
    assert.deepEqual([merge?.at, merge?.got], ["policy:2:20", '"<<" again']);
  });

  it("explains common errors", () => {
    const cases: [text: string, at: string, hint: string][] = [
      ["version: 1\nlimits:\n\t- name: a", "policy:3:1", "Indent with spaces."],
      [
        "limits:\n  - name: a\n    per:[session]\n    quota: 5",
        "policy:3:5",
        'Put a space after each colon, as in "key: value".',
      ],
      ['{"version": 1 "limits": []}', "policy:1:13", "A comma or a bracket is missing before it."],
      ["limits: [{ name: a", "policy:1:19", "Close each bracket, and indent what is inside."],
      [
        "limits:\n- { when: { tool: [*_x] } }",
        "policy:2:20",
        'A value that begins with * needs quotes, as in "*_read".',
      ],
      ["version: 1\n---\nversion: 1", "policy:2:1", "Remove the line --- and what follows it."],
      ["version: 1\nversion: 1", "policy:2:1", "Remove one of them."],
    ];
    for (const [text, at, hint] of cases) {
      const [fault] = faultsOf(() => parsePolicy(text));
      assert.deepEqual([fault?.at, fault?.hint], [at, hint], text);
    }
  });

  it("reports a wrong key at the key, and an aliased value at its anchor", () => {
    const limit = "name: a, per: [session], quotas: &q { session: { x: -1 } }, quota: 0, windw: 1h";
    const text = `version: 1\nlimits:\n  - { ${limit} }\n  - { name: b, per: [user], quotas: *q, quota: 0 }`;
    const places = faultsOf(() => parsePolicy(text)).map(({ at, path }) => `${at} ${path}`);
    assert.deepEqual(places, [
      "policy:3:59 limits[0].quotas.session.x",
      "policy:3:77 limits[0].windw",
      "policy:3:59 limits[1].quotas.session.x",
    ]);
  });

  it("may merge one object into a hundred", () => {
    const limits = lines(99, (i) => `  - { <<: *base, name: a${i} }`);
    const text = `x-unit: &unit { unit: tokens }\nx-base: &base { <<: *unit, per: [session], quota: 5 }\nlimits:\n${limits}`;
    const { value } = readYaml(text, "policy", "invalid-policy");
    const merged = (value as { limits: unknown[] }).limits[98];
    assert.deepEqual(merged, { unit: "tokens", per: ["session"], quota: 5, name: "a98" });
  });

  it("reports a merged value where it is written", () => {
    const text = `x-base: &base { per: session }
x-more: &more
  quota: -1
limits:
  - { <<: [*base, { unit: u }, *more], name: a }
  - { <<: *more, name: b, quota: 1 }`;
    const { at, part } = readYaml(text, "policy", "invalid-policy");
    const places = [
      at(["limits", 0, "per"]),
      at(["limits", 0, "quota"], "key"),
      at(["limits", 0, "unit"]),
      at(["limits", 1, "quota"]),
      at(["limits", 0, "none"]),
    ];
    assert.deepEqual(places, ["policy:1:22", "policy:3:3", "policy:5:27", "policy:6:34", "policy:5:5"]);
    assert.equal(part(["limits", 0, "none"]), null);
  });

  it("takes time in proportion to its keys, and to its faults", () => {
    const timeFor = (keys: number) => {
      const text = lines(keys, (i) => `k${i}: 1`);
      const startedMs = performance.now();
      assert.ok(faultsOf(() => parsePolicy(text)).length > 0);
      return performance.now() - startedMs;
    };
    timeFor(4_000);
    const few = timeFor(4_000);
    // To compare each key with each other one would take 64 times as long.
    assert.ok(timeFor(32_000) < 40 * few);
  });
});

describe("a policy", () => {
  const overrides = (count: number, more = "") =>
    Array.from({ length: count }, (_, i) => ({ when: { [`plan${more}`]: `p${i}`, region: i }, quota: i + 1 }));

  it("of 256 limits with 1,000 overrides each looks one up without reading all", async () => {
    const limitsOf = (count: number) => ({
      version: 1 as const,
      limits: Array.from({ length: 256 }, (_, i) => ({
        name: `limit-${i}`,
        per: ["session"],
        quota: 5_000,
        overrides: overrides(count),
      })),
    });
    const limiters = [10, 1_000].map((count) => createLimiter({ policy: limitsOf(count), store: memoryStore() }));
    const [few, many] = await Promise.all(
      limiters.map(async (limiter, i) => {
        const last = i === 0 ? 9 : 999;
        // Arguments make each call one of its own, so that it is not remembered.
        const call = { tool: "x", session: "s", plan: `p${last}`, region: String(last), args: {} };
        const decision = await limiter.peek(call);
        assert.ok(decision.verdicts.every(({ quota }) => quota === last + 1));
        await limiter.peek(call);
        const startedMs = performance.now();
        for (let n = 0; n < 20; n++) await limiter.peek(call);
        return performance.now() - startedMs;
      }),
    );
    assert.ok((many ?? 0) < 20 * (few ?? 0), `${few} ${many}`);
  });

  it("has the first matching override, for any dimensions", async () => {
    const policy: PolicyInput = {
      version: 1,
      limits: [
        {
          name: "a",
          per: ["session"],
          quota: 1,
          overrides: [
            { when: { plan: "pro", region: 7 }, quota: 2 },
            { when: { region: 8 }, quota: 3 },
            { when: { plan: "pro" }, quota: 4 },
            { when: { plan: "pro", region: 8 }, quota: 5 },
            { when: { plan: "pro" }, quota: 6 },
            { when: { user: "undefined" }, quota: 7 },
            { when: {}, quota: 8 },
          ],
        },
      ],
    };
    const limiter = createLimiter({ policy, store: memoryStore() });
    const quotaOf = async (more: object) => {
      const call = { tool: "x", session: "s", ...more };
      return (await limiter.peek(call)).verdicts[0]?.quota;
    };
    const cases: [more: object, quota: number][] = [
      [{ plan: "pro", region: 7 }, 2],
      [{ plan: "pro", region: "7" }, 2],
      [{ plan: "pro", region: 8 }, 3],
      [{ plan: "free", region: 8 }, 3],
      [{ plan: "pro" }, 4],
      [{ plan: "pro", region: 9 }, 4],
      [{ plan: "free" }, 8],
      [{ user: "undefined" }, 7],
      [{}, 8],
    ];
    for (const [more, quota] of cases) assert.equal(await quotaOf(more), quota, JSON.stringify(more));
  });

  it("is refused with too many sets of dimensions or patterns", () => {
    const limit = { name: "a", per: [], quota: 1 };
    const sets = (count: number) => Array.from({ length: count }, (_, i) => overrides(2, String(i))).flat();
    const of = (...limits: object[]) => faultsOf(() => definePolicy({ version: 1, limits } as never));
    assert.deepEqual(of({ ...limit, overrides: sets(32) }), []);
    const [fault] = of({ ...limit, overrides: sets(33) });
    assert.deepEqual([fault?.path, fault?.got], ["limits[0].overrides", "33"]);
    const globs = (count: number) => Array.from({ length: count }, (_, i) => `*${i}*`);
    const many = Array.from({ length: 4 }, (_, i) => ({ ...limit, name: `l${i}`, when: { tool: globs(1_000) } }));
    assert.deepEqual(of(...many, { ...limit, when: { tool: [...globs(96), "send", "book"] } }), []);
    const [patterns] = of(...many, { ...limit, when: { tool: globs(97) } });
    assert.deepEqual([patterns?.path, patterns?.got], ["limits", "4097"]);
    const [tool] = faultsOf(() => definePolicy({ version: 1, tools: { ["x".repeat(1_025)]: {} }, limits: [limit] }));
    assert.match(tool?.expected ?? "", /at most 1024 characters/);
  });
});

describe("a name", () => {
  it("is refused when it is longer than patterns may match", async () => {
    const globs = Array.from({ length: 1_000 }, (_, i) => `*${i}*${i}*`);
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "a", per: ["session"], when: { tool: globs }, quota: 5 }],
    };
    const limiter = createLimiter({ policy, store: memoryStore() });
    for (const [dimension, longest] of [
      ["tool", 1_024],
      ["session", 65_536],
      ["user", 65_536],
    ] as const) {
      const call = { tool: "1-1", session: "s", idempotencyKey: `k-${dimension}` };
      assert.equal((await limiter.consume({ ...call, [dimension]: "1".repeat(longest) })).allowed, true);
      const [fault] = await limiter.consume({ ...call, [dimension]: "1".repeat(longest + 1) }).then(
        () => [],
        (error: MisuseError) => error.faults,
      );
      assert.deepEqual([fault?.path, fault?.got], [dimension, `one of ${longest + 1} characters`]);
    }
    const long = limiter.consume({ tool: "1-1", session: "s", idempotencyKey: "k".repeat(65_537) });
    await assert.rejects(long, (error) => MisuseError.isInstance(error) && error.faults[0]?.path === "idempotencyKey");
  });
});

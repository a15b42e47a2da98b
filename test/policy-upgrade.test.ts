// `upgradePolicy`: a policy in old words says the same in new ones, and all that people wrote around the words stays.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { definePolicy, MisuseError } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { stringify } from "yaml";
import { type Edit, oldWordsIn } from "../src/kernel/policy/old-words.ts";
import { readPolicyText } from "../src/policy-file/text.ts";
import { upgradePolicy } from "../src/policy-file/upgrade.ts";
import { readYaml } from "../src/policy-file/yaml-text.ts";

const read = (text: string) => readYaml(text, "policy", "invalid-policy").value;

describe("upgradePolicy", () => {
  const cases: readonly [what: string, old: string, now: string][] = [
    [
      "keeps comments, order, quotes and line breaks",
      `# Ours.
version: 1
tools:
  "search": { tier: T1, volatile: [request_id] }   # often
limits:
  # The main one.
  - { name: per-turn,   per: [session, turn, tool], quota: 5, quotas: { "send": 1 }, ttl: 1h } # hard
  -   name: 'per-tier'
      per: [session, tier]
      quotas: { T1: 10 }
      otherwise:   'deny'   # others
`,
      `# Ours.
version: 1
tools:
  "search": { group: T1, ignoreArgs: [request_id] }   # often
limits:
  # The main one.
  - { name: per-turn,   per: [session, turn, tool], quota: 5, quotas: { tool: { "send": 1 } }, resetAfterIdle: 1h } # hard
  -   name: 'per-tier'
      per: [session, group]
      quotas: { group: { T1: 10 } }
      quota:   0   # others
`,
    ],
    [
      "indents blocks, with their comments",
      `limits:
- match: # which
  - a

  # and
  - b* # last
  per:
  - tool
  quotas:
    send: 1
    # two
    book: 2

  # after
  name: x
  ttl:
    fromFirst: 14d # trial
`,
      `limits:
- when:
    tool: # which
    - a

    # and
    - b* # last
  per:
  - tool
  quotas:
    tool:
      send: 1
      # two
      book: 2

  # after
  name: x
  resetAfter: 14d # trial
`,
    ],
    [
      "removes words, not the comments beside them",
      `limits:
  - align: calendar
    window: day
  - window: day # a day
    align: calendar
  - window: day # a day
    align: calendar # of Berlin
  - { align: calendar, window: day }
  - { window: day, align: calendar, }
  - {
      window: day, # a day
      align: calendar # of Berlin
    }
  - {
      align: calendar, # of Berlin
      window: day,
    }
`,
      `limits:
  - window: day
  - window: day # a day
  - window: day # a day # of Berlin
  - { window: day }
  - { window: day, }
  - {
      window: day, # a day # of Berlin
    }
  - {
      # of Berlin
      window: day,
    }
`,
    ],
    [
      "writes JSON as JSON",
      `{
  "version": 1,
  "limits": [
    {"name":"a","per":["tool"],"match":["x"],"quotas":{"x":1},"otherwise":"allow","optional":true,
     "noticeAt":0.9,"lease":"auto","ttl":{"fromFirst":"1h"}},
    { "name": "b", "per": [], "algorithm": "gcra", "align": "calendar" }
  ]
}`,
      `{
  "version": 1,
  "limits": [
    {"name":"a","per":["tool"],"when":{ "tool": ["x"] },"quotas":{ "tool": {"x":1} },"quota":"unlimited","onMissing":"skip",
     "notice":{ "at": 0.9 },"borrow":"auto","resetAfter": "1h"},
    { "name": "b", "per": [], "algorithm": "token-bucket" }
  ]
}`,
    ],
    [
      "keeps anchors at what they name, and writes what is shared once",
      `x-base: &base { optional: true, ttl: 1h }
limits:
  - { <<: *base, name: a, per: [tool], quotas: &q { x: 1 } }
  - { <<: *base, name: b, per: [user, tool], quotas: *q, match: &m [x] }
  - { name: c, per: &p [tier], match: *m }
  - { name: d, per: *p }
tools: { x: { tier: T1 } }
`,
      `x-base: &base { onMissing: skip, resetAfterIdle: 1h }
limits:
  - { <<: *base, name: a, per: [tool], quotas: { tool: &q { x: 1 } } }
  - { <<: *base, name: b, per: [user, tool], quotas: { tool: *q }, when: { tool: &m [x] } }
  - { name: c, per: &p [group], when: { tool: *m } }
  - { name: d, per: *p }
tools: { x: { group: T1 } }
`,
    ],
    [
      "keeps the line ends of Windows",
      "limits:\r\n  - name: a\r\n    match:\r\n      - x\r\n      - y\r\n    quota: 1\r\n",
      "limits:\r\n  - name: a\r\n    when:\r\n      tool:\r\n        - x\r\n        - y\r\n    quota: 1\r\n",
    ],
    ["passes a byte order mark by", "\uFEFFlimits: [{ ttl: 1h }]", "\uFEFFlimits: [{ resetAfterIdle: 1h }]"],
  ];
  for (const [what, old, now] of cases) {
    it(what, () => {
      const upgraded = upgradePolicy(old);
      assert.equal(upgraded.text, now);
      assert.deepEqual(upgraded.byHand, []);
      assert.deepEqual(upgradePolicy(now), { text: now, changes: [], byHand: [] });
    });
  }

  it("lists its changes with their positions, in the order of the text", () => {
    const text = `limits:
  - { optional: true, name: a, per: [tier], align: calendar }
tools:
  x: { tier: T1 }`;
    assert.deepEqual(
      upgradePolicy(text, "p.yaml").changes.map(({ at, path, text }) => `${at} ${path}: ${text}`),
      [
        "p.yaml:2:7 limits[0].optional: now onMissing: skip",
        "p.yaml:2:37 limits[0].per[0]: now group",
        "p.yaml:2:45 limits[0].align: removed",
        "p.yaml:4:8 tools.x.tier: now group: T1",
      ],
    );
  });

  it("leaves ambiguous words to a person, with their positions", () => {
    const text = `x-base: &base { quotas: { x: 1 } }
limits:
  - { <<: *base, name: a, per: [tool] }
  - { <<: *base, name: b, per: [workspace] }
  - { name: c, per: [session], match: ["!x"], noticeAt: 0.5, notice: { message: m } }
tools: { "mcp__*": {} }`;
    const { text: now, byHand } = upgradePolicy(text);
    assert.match(now, /\{ quotas: \{ tool: \{ x: 1 \} \} \}[\s\S]*when: \{ tool: \["!x"\] \}, noticeAt: 0.5, notice/);
    assert.deepEqual(
      byHand.map(({ at, text }) => `${at} ${text}`),
      [
        "policy:1:17 Write quotas: { workspace: { x: 1 } }. Another limit shares these words and needs others.",
        'policy:5:47 Remove it: write at: 0.5 in "notice".',
        "policy:6:10 This name is a pattern now: it is for all tools that match it.",
        'policy:5:39 A name that begins with "!" now means all tools but this one.',
      ],
    );
  });

  it("reports nothing for a policy in present words", () => {
    const text = 'limits: [{ name: a, per: [tier], when: { tool: ["!x"], tier: "g*" } }]\ntools: { "mcp__*": {} }';
    assert.deepEqual(upgradePolicy(text), { text, changes: [], byHand: [] });
  });

  it("refuses a text that is neither YAML nor JSON", () => {
    assert.throws(() => upgradePolicy("limits: [{", "p.yaml"), MisuseError);
  });

  it("gives the same result in every style of YAML, and changes nothing twice", () => {
    const words = fc.constantFrom("a", "send_email", "mcp__x*", "B-2", "with blank", "1");
    // Nothing is empty: the library writes empty lists without brackets in the style "block".
    const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
    const limit = fc.record({
      match: maybe(fc.uniqueArray(words, { minLength: 1 })),
      align: maybe(fc.constant("calendar")),
      name: fc.constant("l"),
      per: fc.constantFrom(["tool"], ["session", "tier"], ["user"]),
      otherwise: maybe(fc.constantFrom("allow", "deny")),
      quotas: maybe(fc.dictionary(words, fc.nat(9), { minKeys: 1 })),
      optional: maybe(fc.boolean()),
      algorithm: maybe(fc.constantFrom("streak", "gcra", "concurrency")),
      action: maybe(fc.constantFrom("warn", "deny")),
      ttl: maybe(fc.constantFrom("1h", { fromFirst: "14d" })),
      noticeAt: maybe(fc.constantFrom(0.5, "never")),
      overrides: maybe(fc.array(fc.record({ when: fc.record({ tier: words }), quota: fc.nat(9) }), { minLength: 1 })),
      count: maybe(fc.constantFrom("session", "tier")),
      lease: maybe(fc.constantFrom("auto", "2m")),
    });
    const tool = fc.record({
      tier: fc.constantFrom("T1", "a b"),
      volatile: maybe(fc.uniqueArray(words, { minLength: 1 })),
    });
    const policy = fc.record({
      tools: fc.dictionary(words, tool, { minKeys: 1, maxKeys: 2 }),
      limits: fc.array(limit, { minLength: 1, maxLength: 3 }),
    });
    const style = fc.record({
      collectionStyle: fc.constantFrom("any" as const, "block" as const, "flow" as const),
      defaultStringType: fc.constantFrom("PLAIN" as const, "QUOTE_DOUBLE" as const, "QUOTE_SINGLE" as const),
      defaultKeyType: fc.constantFrom("PLAIN" as const, "QUOTE_DOUBLE" as const),
      flowCollectionPadding: fc.boolean(),
      indentSeq: fc.boolean(),
      indent: fc.integer({ min: 1, max: 4 }),
      lineWidth: fc.constantFrom(20, 80),
    });
    fc.assert(
      fc.property(policy, fc.option(style, { nil: null }), (input, options) => {
        const plain = JSON.parse(JSON.stringify(input));
        const text = options === null ? JSON.stringify(plain, null, 2) : stringify(plain, options);
        const upgraded = upgradePolicy(text);
        assert.deepEqual(read(upgraded.text), rewritten(plain), text);
        if (options === null) JSON.parse(upgraded.text);
        assert.equal(upgradePolicy(upgraded.text).changes.length, 0);
      }),
      { numRuns: 150 },
    );
  });
});

describe("a policy in old words", () => {
  // The policy that the page on policies showed when the words changed.
  const OLD = `# yaml-language-server: $schema=./node_modules/tollgate/policy.schema.json
version: 1
partition: session
tools:
  web_search: { tier: T1, volatile: [request_id] }
  book_service: { tier: T3, cost: { usd_micros: 50000 } }
limits:
  - { name: tool-per-turn, per: [session, turn, tool], quota: 5, quotas: { book_service: 1 }, ttl: 1h }
  - { name: tool-per-session, per: [session, tool], quota: 50, quotas: { book_service: 3 }, ttl: 24h }
  - { name: tier-per-turn, per: [session, turn, tier], quotas: { T1: 10, T3: 1 }, otherwise: allow, ttl: 1h }
  - { name: same-call-again, per: [session, turn, tool, args], quota: 3, ttl: 1h }
  - { name: no-progress, per: [session, tool, args], algorithm: streak, of: results, quota: 3, action: warn }
  - { name: half-an-hour, per: [session], algorithm: elapsed, quota: 30m }
  - { name: model-tokens, per: [session], unit: tokens, quota: 200000, hold: { lease: 5m } }
  - { name: parallel-calls, per: [session], match: [book_service], algorithm: concurrency, quota: 4, lease: 2m }
  - { name: tenant-rate, per: [tenant], optional: true, algorithm: gcra, quota: 600, window: 1m, burst: 100 }
  - { name: new-sessions, per: [user], optional: true, count: session, algorithm: fixed-window, quota: 20, window: 1h }
  - {
      name: money-per-user,
      per: [user],
      optional: true,
      unit: usd_micros,
      algorithm: fixed-window,
      align: calendar,
      window: day,
      timezone: Europe/Berlin,
      quota: 5000000,
      overrides: [{ when: { plan: pro }, quota: 50000000 }],
    }
`;
  const faultsOf = (text: string) => {
    try {
      readPolicyText(text, "old.yaml");
      return [];
    } catch (error) {
      assert.ok(MisuseError.isInstance(error));
      return error.faults;
    }
  };

  it("is refused only for these words, each with the new one, and one hint to the command", () => {
    const faults = faultsOf(OLD);
    const [first, ...others] = faults.map(({ hint }) => hint);
    assert.equal(first, 'Write group: T1. "tollgate policy upgrade old.yaml" rewrites all old words.');
    assert.deepEqual(
      [first?.replace(/ "tollgate.*/, ""), ...others],
      oldWordsIn(read(OLD)).map(({ hint }) => hint),
    );
    const expected = ["a current word", "quotas by dimension and value"];
    assert.deepEqual([...new Set(faults.map((fault) => fault.expected))].sort(), expected);
    const [match] = faults.filter(({ path }) => path === "limits[7].match");
    assert.deepEqual(match, {
      path: "limits[7].match",
      expected: "a current word",
      got: '"match"',
      hint: "Write when: { tool: [book_service] }.",
      at: "old.yaml:15:45",
    });
  });

  it("is refused for its other faults, too, but not for keys that an old word replaces", () => {
    const limit = "name: a, per: [tool], quotas: { x: 1 }, otherwise: deny, windw: 1h";
    assert.deepEqual(
      faultsOf(`version: 1\nlimits: [{ ${limit} }]`).map(({ path }) => path),
      ["limits[0].quotas", "limits[0].otherwise", "limits[0].windw"],
    );
  });

  it("has no faults and no warnings after the rewrite", () => {
    const { text, changes, byHand } = upgradePolicy(OLD);
    assert.deepEqual([changes.length, byHand], [oldWordsIn(read(OLD)).length, []]);
    assert.deepEqual(readPolicyText(text).warnings(), []);
  });

  it("gets a hint with FILE for a text without a name, and none for an object in code", () => {
    const text = "version: 1\nlimits: [{ name: a, per: [], quota: 1, ttl: 1h }]";
    assert.throws(() => parsePolicy(text), /Write resetAfterIdle: 1h\. "tollgate policy upgrade FILE" rewrites/);
    assert.throws(
      () => definePolicy({ version: 1, limits: [{ name: "a", per: [], quota: 1, ttl: "1h" }] } as never),
      (error) => MisuseError.isInstance(error) && error.faults[0]?.path === "limits[0].ttl",
    );
  });
});

/** The same change of plain values, which has no text to look after. */
function rewritten(input: object): unknown {
  const copy = structuredClone(input) as Record<string, unknown>;
  for (const { keys, edit } of oldWordsIn(input)) {
    const around = keys.slice(0, -1).reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], copy);
    if (edit !== null) applyTo(around as Record<string, unknown>, String(keys.at(-1)), edit);
  }
  return copy;
}

function applyTo(around: Record<string, unknown>, key: string, edit: Edit): void {
  const old = around[key] as Record<string, unknown>;
  if (edit === "remove") {
    delete around[key];
    return;
  }
  const kept = edit.within === undefined ? old : old[edit.within];
  const value = edit.value === undefined ? kept : edit.value === "0" ? 0 : edit.value;
  if (edit.to === null) {
    around[key] = value;
    return;
  }
  delete around[key];
  const [to, inner] = edit.to;
  around[to] = inner === undefined ? value : { [inner]: value };
}

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolveCharges } from "../../test/charges.ts";
import type { Call } from "./call.ts";
import { bucketOf, type Charge, mayMatch, missingDimension, missingIn, stepOf, withGroup } from "./charge.ts";
import { type MisuseCode, MisuseError } from "./errors.ts";
import { compiledPolicy } from "./policy/parse.ts";

const MAX = Number.MAX_SAFE_INTEGER;

const POLICY = compiledPolicy({
  version: 1,
  tools: {
    search: { cost: { tokens: 100, unheard_of: 5 } },
    free: { cost: { calls: 0 } },
    double: { cost: { calls: 2 } },
    constructor: { cost: { constructor: 7 } },
  },
  limits: [
    {
      name: "per-turn",
      per: ["session", "turn", "tool"],
      quota: 5,
      quotas: { tool: { search: 2, wait: "unlimited" } },
    },
    { name: "tokens", per: ["session"], quota: 1000, unit: "tokens" },
    { name: "known-tools", per: ["tool"], when: { tool: ["search", "7"] }, quota: 9, quotas: { tool: { "7": 3 } } },
    { name: "per-user", per: ["user"], quota: 50, onMissing: "skip" },
    { name: "all", per: [], quota: 10, unit: "constructor" },
  ],
});

/** `limit:cost` of each charge. */
function charged(call: object): string[] {
  return resolveCharges(POLICY, "rate", call as Call).map(({ limit, cost }) => `${limit.name}:${cost}`);
}

function refuses(call: object, code: MisuseCode, path: string, got: string): MisuseError {
  let thrown: unknown;
  assert.throws(
    () => charged(call),
    (error) => {
      thrown = error;
      return true;
    },
  );
  assert.ok(MisuseError.isInstance(thrown), String(thrown));
  assert.deepEqual([thrown.code, thrown.faults[0]?.path, thrown.faults[0]?.got], [code, path, got]);
  return thrown;
}

describe("resolveCharges with derived dimensions", () => {
  const policy = compiledPolicy({
    version: 1,
    tools: { search: { group: "T1", ignoreArgs: ["at"] }, book: { group: "T3" } },
    limits: [
      { name: "per-group", per: ["session", "group"], quotas: { group: { T1: 10, T3: 1 } }, quota: 0 },
      { name: "again", per: ["session", "tool", "args"], quota: 3 },
      { name: "only-sends", per: ["session"], when: { tool: ["send_*"] }, quota: 2 },
      {
        name: "workspace",
        per: ["workspace"],
        onMissing: "skip",
        quota: 5,
        quotas: { workspace: { w9: 9 } },
        overrides: [
          { when: { workspace: "w2", plan: "pro" }, quota: 200 },
          { when: { plan: "pro" }, quota: 100 },
          { when: { plan: "free" }, quota: "unlimited" },
        ],
      },
    ],
  });
  const of = (call: object) => resolveCharges(policy, "rate", { session: "s", ...call } as Call);
  const names = (call: object) => of(call).map(({ limit }) => limit.name);

  it("takes the group of the tool, and skips tools without one", () => {
    assert.deepEqual(names({ tool: "search" }), ["per-group", "again"]);
    assert.equal(of({ tool: "search" })[0]?.key, "rate:1:{s}:per-group:T1");
    assert.equal(of({ tool: "book" })[0]?.allotment.quota, 1);
    assert.deepEqual(names({ tool: "other" }), ["again"]);
  });

  it("skips tools without a group, wherever the group stands and whatever else the call lacks", () => {
    const written = [
      { name: "first", per: ["group", "user"] },
      { name: "last", per: ["user", "group"] },
      { name: "shared", per: ["user", "group"], onMissing: "shared" as const },
      { name: "counted", per: ["user"], distinct: "group" },
    ];
    for (const limit of written) {
      const own = compiledPolicy({
        version: 1,
        tools: { search: { group: "T1" } },
        limits: [{ quota: 5, ...limit }],
      });
      const named = (call: Call) => resolveCharges(own, "rate", call).map(({ limit: { name } }) => name);
      assert.deepEqual(named({ tool: "other" }), [], limit.name);
      assert.deepEqual(named({ tool: "search", user: "u" }), [limit.name]);
      if (limit.onMissing === undefined) assert.throws(() => named({ tool: "search" }), /^MisuseError: user:/);
    }
  });

  it("takes the arguments, without the ignored ones", () => {
    const key = (call: object) => of(call).find(({ limit }) => limit.name === "again")?.key;
    assert.equal(key({ tool: "search", args: { q: 1, at: 5 } }), key({ tool: "search", args: { at: 6, q: 1 } }));
    assert.notEqual(key({ tool: "search", args: { q: 1 } }), key({ tool: "search", args: { q: 2 } }));
    assert.notEqual(key({ tool: "book", args: { at: 5 } }), key({ tool: "book", args: { at: 6 } }));
    assert.equal(key({ tool: "book" }), key({ tool: "book", args: {} }));
    assert.match(key({ tool: "book", args: "secret" }) ?? "", /^rate:1:\{s\}:again:book:[0-9a-f]{32}$/);
  });

  it("is for the tools that match", () => {
    assert.deepEqual(names({ tool: "send_email" }), ["again", "only-sends"]);
  });

  it("takes the policy's own dimensions, and the first quota that differs", () => {
    const quota = (call: object) =>
      of({ tool: "x", ...call }).find(({ limit }) => limit.name === "workspace")?.allotment.quota;
    assert.equal(quota({}), undefined);
    assert.equal(quota({ workspace: "w1" }), 5);
    assert.equal(quota({ workspace: "w9" }), 9);
    assert.equal(quota({ workspace: "w9", plan: "pro" }), 100);
    assert.equal(quota({ workspace: "w2", plan: "pro" }), 200);
    assert.equal(quota({ workspace: "w2", plan: "free" }), null);
    assert.throws(() => of({ tool: "x", group: "T1" }), /call: expected only .*got "group"/);
    assert.throws(() => of({ tool: "x", colour: "red" }), /got "colour"/);
  });
});

describe("resolveCharges with counted values", () => {
  const policy = compiledPolicy({
    version: 1,
    tools: { search: { group: "T1", ignoreArgs: ["at"], cost: { calls: 7 } } },
    limits: [
      { name: "sessions", per: ["user"], distinct: "session", quota: 5 },
      { name: "queries", per: ["user"], distinct: "args", quota: 5, when: { tool: ["search", "read"] } },
      { name: "groups", per: ["user"], distinct: "group", quota: 5 },
      { name: "plans", per: ["user"], distinct: "plan", quota: 5, onMissing: "skip" },
    ],
  });
  const of = (call: object) =>
    resolveCharges(policy, "rate", { user: "u", session: "s", tool: "search", ...call } as Call);
  const names = (call: object) => of(call).map(({ limit }) => limit.name);
  const mark = (limit: string, call: object) => of(call).find((charge) => charge.limit.name === limit)?.seen;

  it("takes one unit of each limit whose value the call has, for any cost of the tool", () => {
    assert.deepEqual(
      of({ plan: "pro" }).map(({ limit, cost, seen }) => [limit.name, cost, seen?.length]),
      ["sessions", "queries", "groups", "plans"].map((name) => [name, 1, 16]),
    );
    assert.deepEqual(names({}), ["sessions", "queries", "groups"]);
    assert.deepEqual(names({ tool: "other" }), ["sessions"]);
    assert.throws(
      () => of({ session: undefined }),
      /session: expected .*limit sessions counts each session once, got nothing/,
    );
    assert.throws(() => of({ session: "" }), /session: expected .*got ""/);
  });

  it("gives equal values equal marks, and others different ones", () => {
    assert.match(mark("sessions", {}) ?? "", /^[0-9a-f]{16}$/);
    assert.equal(mark("sessions", { session: 7 }), mark("sessions", { session: "7" }));
    assert.notEqual(mark("sessions", {}), mark("sessions", { session: "t" }));
    assert.equal(mark("plans", {}), undefined);
  });

  it("gives equal arguments equal marks, without the ignored ones", () => {
    assert.equal(mark("queries", { args: { q: 1, at: 2 } }), mark("queries", { args: '{"at":3,"q":1}' }));
    assert.notEqual(mark("queries", { args: { q: 1 } }), mark("queries", { args: { q: 2 } }));
    assert.equal(mark("queries", {}), mark("queries", { args: {} }));
    assert.notEqual(
      mark("queries", { tool: "read", args: { at: 1 } }),
      mark("queries", { tool: "read", args: { at: 2 } }),
    );
  });
});

const IN_TURN = { session: "s1", turn: "t1" };
const BOOK = { ...IN_TURN, tool: "book" };

describe("resolveCharges", () => {
  it("charges the cost of the call, else of the tool, else one call", () => {
    const cases: [string, call: object, ...charges: string[]][] = [
      ["nothing said", BOOK, "per-turn:1", "tokens:0", "all:0"],
      ["the tool's cost", { ...IN_TURN, tool: "search" }, "per-turn:1", "tokens:100", "known-tools:1", "all:0"],
      ["a unit of the tool that no limit counts", { ...IN_TURN, tool: "double" }, "per-turn:2", "tokens:0", "all:0"],
      ["a tool that is free", { ...IN_TURN, tool: "free" }, "tokens:0", "all:0"],
      [
        "a cost beats the tool's",
        { ...IN_TURN, tool: "search", cost: { tokens: 7 } },
        "per-turn:1",
        "tokens:7",
        "known-tools:1",
        "all:0",
      ],
      ["a cost beats one call", { ...BOOK, cost: { calls: 3, tokens: MAX } }, "per-turn:3", `tokens:${MAX}`, "all:0"],
      ["a cost for the free tool", { ...IN_TURN, tool: "free", cost: { calls: 1 } }, "per-turn:1", "tokens:0", "all:0"],
      ["a price of 0 leaves the limit out", { ...BOOK, cost: { tokens: 0 } }, "per-turn:1", "all:0"],
      ["so does -0", { ...BOOK, cost: { calls: -0 } }, "tokens:0", "all:0"],
      ["no price at all", { ...BOOK, cost: {} }, "per-turn:1", "tokens:0", "all:0"],
      ["no price said", { ...BOOK, cost: undefined }, "per-turn:1", "tokens:0", "all:0"],
      ["a limit left out asks for no dimensions", { session: "s1", tool: "free" }, "tokens:0", "all:0"],
    ];
    for (const [name, call, ...charges] of cases) assert.deepEqual(charged(call), charges, name);
  });

  it("charges unlimited values, and leaves out limits whose dimension is missing", () => {
    assert.deepEqual(charged({ ...IN_TURN, tool: "wait" }), ["per-turn:1", "tokens:0", "all:0"]);
    assert.deepEqual(charged({ ...BOOK, user: "u1" }), ["per-turn:1", "tokens:0", "per-user:1", "all:0"]);
    assert.deepEqual(charged({ ...BOOK, user: null }), ["per-turn:1", "tokens:0", "all:0"]);
  });

  it("names the buckets, where numbers equal their decimal strings", () => {
    const charges = resolveCharges(POLICY, "my", { tool: "7", session: "1", turn: "2", user: "3" });
    assert.deepEqual(charges, resolveCharges(POLICY, "my", { tool: 7, session: 1, turn: 2, user: 3 }));
    const keys = ["my:1:{1}:per-turn:2:7", "my:1:{1}:tokens", "my:1:{tool=7}:known-tools", "my:1:{user=3}:per-user"];
    assert.deepEqual(
      charges.map(({ key }) => key),
      [...keys, "my:1:{all}:all"],
    );
    assert.deepEqual(charges[0]?.partitionKey, [
      ["session", "1"],
      ["turn", "2"],
      ["tool", "7"],
    ]);
    assert.deepEqual(
      charges.map(({ allotment }) => allotment.quota),
      [5, 1000, 3, 50, 10],
    );
  });

  it("treats hostile names as plain names", () => {
    for (const name of ["__proto__", "toString", "hasOwnProperty", "valueOf"]) {
      assert.deepEqual(charged({ session: name, turn: name, tool: name }), ["per-turn:1", "tokens:0", "all:0"]);
      refuses({ ...BOOK, cost: JSON.parse(`{"${name}":5}`) }, "unknown-unit", "cost", `"${name}"`);
    }
    assert.deepEqual(charged({ ...IN_TURN, tool: "constructor" }), ["per-turn:1", "tokens:0", "all:7"]);
    assert.deepEqual(charged({ ...BOOK, cost: { constructor: 3 } }), ["per-turn:1", "tokens:0", "all:3"]);
    assert.deepEqual(charged({ ...BOOK, cost: Object.create({ tokens: 5 }) }), ["per-turn:1", "tokens:0", "all:0"]);
  });

  it("refuses calls that lack a dimension of per", () => {
    const error = refuses({ tool: "book", session: "s1" }, "missing-dimension", "turn", "nothing");
    assert.match(
      error.message,
      /because the limit per-turn is per session, turn, tool, got nothing\. Say it with each call .*turn/,
    );
    refuses({ tool: "book", turn: "t1" }, "missing-dimension", "session", "nothing");
    refuses({ ...BOOK, turn: null }, "missing-dimension", "turn", "nothing");
    refuses({}, "missing-dimension", "tool", "nothing");
    refuses(null as never, "invalid-call", "call", "null");
    refuses({ ...BOOK, group: "T1" }, "invalid-call", "call", '"group"');
  });

  it("refuses values that are no names, also of dimensions that no limit is per", () => {
    refuses({ ...BOOK, session: "" }, "invalid-dimension", "session", '""');
    refuses({ ...BOOK, turn: 1.5 }, "invalid-dimension", "turn", "1.5");
    refuses({ ...BOOK, user: ["u1"] }, "invalid-dimension", "user", '["u1"]');
    refuses({ ...IN_TURN, tool: "", cost: { calls: 0 } }, "invalid-dimension", "tool", '""');
    refuses({ ...IN_TURN, tool: Object.create(null) }, "invalid-dimension", "tool", "{}");
  });

  it("refuses costs that are no whole numbers of known units", () => {
    for (const [units, got] of [
      [-1, "-1"],
      [1.5, "1.5"],
      [Number.NaN, "NaN"],
      [Number.POSITIVE_INFINITY, "Infinity"],
      [MAX + 1, "9007199254740992"],
      ["5", '"5"'],
      [5n, "5n"],
      [null, "null"],
      [undefined, "nothing"],
    ]) {
      const error = refuses({ ...BOOK, cost: { tokens: units } }, "invalid-cost", "cost.tokens", String(got));
      assert.match(error.message, /expected a whole number from 0 to 9007199254740991/);
    }
    for (const [cost, got] of [
      [null, "null"],
      [5, "5"],
      ["tokens", '"tokens"'],
    ]) {
      const error = refuses({ ...BOOK, cost }, "invalid-cost", "cost", String(got));
      assert.match(error.message, /expected an object of whole numbers by unit, such as \{ tokens: 4000 \}/);
    }
    const error = refuses({ ...BOOK, cost: { usd_micros: 5 } }, "unknown-unit", "cost", '"usd_micros"');
    assert.match(error.message, /expected units that a limit of the policy counts: calls, tokens, constructor,/);
    refuses({ ...BOOK, cost: [5] }, "invalid-cost", "cost", "[5]");
    refuses({ ...BOOK, cost: new Map([["tokens", 5]]) }, "invalid-cost", "cost", "{}");
  });
});

describe("bucketOf", () => {
  const [perTurn, , known, , all] = POLICY.limits;
  assert.ok(perTurn && known && all);

  it("finds the bucket and its allotment", () => {
    const search = bucketOf(POLICY, "rate", perTurn, { ...IN_TURN, tool: "search" });
    assert.deepEqual([search.key, search.allotment.quota], ["rate:1:{s1}:per-turn:t1:search", 2]);
    assert.equal(search.limit, perTurn);
    assert.equal(bucketOf(POLICY, "rate", perTurn, { ...IN_TURN, tool: "wait" }).allotment.quota, null);
    assert.equal(bucketOf(POLICY, "rate", all, {}).key, "rate:1:{all}:all");
    assert.throws(() => bucketOf(POLICY, "rate", known, {}), MisuseError);
  });

  it("names the missing dimension", () => {
    assert.equal(missingDimension(perTurn, "turn").code, "missing-dimension");
  });
});

describe("stepOf", () => {
  it("makes a step for a bucket, and leaves limits that only count or warn out of the judgement", () => {
    const [charge] = resolveCharges(POLICY, "rate", BOOK);
    assert.ok(charge);
    const { key, limit, allotment } = charge;
    const event = { type: "charge", cost: 1 } as const;
    const step = { bucket: key, limit: allotment.spec, event };
    assert.deepEqual(stepOf(charge, allotment.spec, event), step);
    for (const how of [{ mode: "shadow" }, { mode: "warn" }] as const) {
      const shadow: Charge = { ...charge, limit: { ...limit, ...how } };
      assert.deepEqual(stepOf(shadow, allotment.spec, event), { ...step, shadow: true });
    }
    const free: Charge = { ...charge, allotment: { ...allotment, quota: null } };
    assert.deepEqual(stepOf(free, allotment.spec, event), { ...step, shadow: true, hints: { onStoreError: "allow" } });
  });
});

describe("a missing dimension", () => {
  const policy = compiledPolicy({
    version: 1,
    tools: { "write_*": { group: "write" } },
    limits: [
      { name: "shared", per: ["session", "user", "tool"], onMissing: "shared", quota: 5 },
      { name: "devices", per: [], onMissing: "shared", distinct: "device", quota: 5 },
      { name: "groups", per: ["group"], onMissing: "shared", quota: 5 },
      { name: "trial", per: ["user"], when: { plan: "trial", group: "write" }, quota: 5 },
    ],
  });
  const [shared, devices, , trial] = policy.limits;
  assert.ok(shared && devices && trial);

  it("has a bucket of its own with onMissing shared", () => {
    const keysOf = (call: Call) => resolveCharges(policy, "rate", call).map(({ key }) => key);
    assert.deepEqual(keysOf({ tool: "x", device: "d" }), ["rate:1:{%none}:shared:%none:x", "rate:1:{devices}:devices"]);
    assert.deepEqual(keysOf({ tool: "x", session: "s" })[0], "rate:1:{s}:shared:%none:x");
    const [charge] = resolveCharges(policy, "rate", { tool: "x", session: "%none", user: null } as unknown as Call);
    assert.equal(charge?.key, "rate:1:{%25none}:shared:%none:x");
    assert.deepEqual(charge?.partitionKey, [
      ["session", "%none"],
      ["user", null],
      ["tool", "x"],
    ]);
  });

  it("is no tool, and no group", () => {
    assert.deepEqual([missingIn(shared, {}), missingIn(shared, { tool: "x" })], ["tool", undefined]);
    assert.throws(() => bucketOf(policy, "rate", shared, {}), MisuseError);
  });

  it("is one value where values are counted", () => {
    const seenIn = (call: Call) => resolveCharges(policy, "rate", call).find(({ limit }) => limit === devices)?.seen;
    assert.equal(seenIn({ tool: "x" }), seenIn({ tool: "y" }));
    assert.notEqual(seenIn({ tool: "x" }), seenIn({ tool: "x", device: "null" }));
  });

  it("may be what when matches", () => {
    assert.equal(mayMatch(policy, trial, {}), true);
    assert.equal(mayMatch(policy, trial, { plan: "trial" }), true);
    assert.equal(mayMatch(policy, trial, { plan: "pro" }), false);
    assert.equal(mayMatch(policy, trial, withGroup(policy, { tool: "write_x" })), true);
    assert.equal(mayMatch(policy, trial, { group: "read" }), false);
  });

  it("is the group of the named tool", () => {
    assert.deepEqual(withGroup(policy, { tool: "write_x" }), { tool: "write_x", group: "write" });
    for (const said of [{}, { tool: "x" }, { tool: "write_x", group: "read" }])
      assert.equal(withGroup(policy, said), said);
  });
});

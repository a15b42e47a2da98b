import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createLimiter, MisuseError, StoreError } from "tollgate";
import { type ToolLimits, ToolRateLimiter, type ToolRateLimiterOptions } from "tollgate/tool-rate-limiter";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStore } from "tollgate/stores/sqlite";
import { fakeClock } from "tollgate/testing";
import { temporaryFolder } from "./temporary.ts";

const LIMITS: Record<string, ToolLimits> = {
  search: { maxPerTurn: 3, maxPerSession: 7 },
  send_email: { maxPerTurn: 1, maxPerSession: 2 },
  never: { maxPerTurn: 0, maxPerSession: 0 },
};
const HOSTILE = [
  "__proto__",
  "constructor",
  "a:b",
  "a",
  "{}",
  "s1}",
  "%3A",
  ":",
  "\n",
  "\ud800",
  "#",
  "x".repeat(1_024),
];

const folder = temporaryFolder();
let files = 0;
const stores: Record<string, () => Store> = {
  memory: () => memoryStore(),
  sqlite: () => sqliteStore(join(folder, `${files++}.db`)),
};

/** How many of so many calls at once are allowed. */
async function admitted(limiters: readonly ToolRateLimiter[], tool: string, calls: number): Promise<number> {
  const asked = Array.from({ length: calls }, (_, i) => limiters[i % limiters.length]?.tryCall(tool));
  return (await Promise.all(asked)).filter((answer) => answer?.allowed).length;
}

const isMisuse = (code: string, path: string) => (error: unknown) =>
  MisuseError.isInstance(error) && error.code === code && error.faults[0]?.path === path;

for (const [name, open] of Object.entries(stores)) {
  describe(`ToolRateLimiter on ${name}`, () => {
    function setUp(options: Partial<ToolRateLimiterOptions> = {}) {
      const store = options.store ?? open();
      const make = (more: Partial<ToolRateLimiterOptions> = {}) =>
        new ToolRateLimiter(LIMITS, { session: "s1", ...options, ...more, store });
      return { store, make };
    }

    it("allows a tool a number of times in a turn, and explains the denial", async () => {
      const { store, make } = setUp();
      const limiter = make();
      assert.deepEqual(await limiter.tryCall("send_email"), { allowed: true });
      const reason =
        "Limit reached (tool-per-turn), call denied: send_email has no calls left in this turn (limit: 1 call). " +
        "Do not call it again; other tools are still available.";
      assert.deepEqual(await limiter.tryCall("send_email"), { allowed: false, reason });
      assert.deepEqual(await limiter.canCall("send_email"), { allowed: false, reason });
      assert.deepEqual(await limiter.canCall("search"), { allowed: true });
      const { allowed, reason: why = "" } = await limiter.tryCall("never");
      assert.deepEqual([allowed, why.includes("never is not allowed")], [false, true]);
      await store.close();
    });

    it("allows a tool a number of times in a session, over all its turns", async () => {
      const { store, make } = setUp();
      const limiter = make();
      const answers = [];
      for (let turn = 0; turn < 3; turn++, limiter.resetTurn()) answers.push(await limiter.tryCall("send_email"));
      assert.deepEqual(
        answers.map(({ allowed }) => allowed),
        [true, true, false],
      );
      assert.match(answers[2]?.reason ?? "", /^Limit reached \(tool-per-session\), call denied: /);
      await store.close();
    });

    it("allows tools that the limits do not name 5 times in a turn and 50 in a session", async () => {
      const { store, make } = setUp();
      const limiter = make();
      for (let turn = 0; turn < 10; turn++, limiter.resetTurn()) assert.equal(await admitted([limiter], "other", 9), 5);
      assert.equal(await admitted([limiter], "other", 9), 0);
      assert.deepEqual((await limiter.getStats()).session.other, 50);
      await store.close();
    });

    it("keeps its limits over instances that share a store", async () => {
      const { store, make } = setUp({ turn: "t1" });
      const instances = [make(), make(), make()];
      assert.equal(await admitted(instances, "search", 30), 3);
      for (const limiter of instances) {
        assert.equal((await limiter.canCall("search")).allowed, false);
        const { turn, session } = await limiter.getStats();
        assert.deepEqual([turn.search, session.search], [3, 3]);
      }
      const turns = [make({ turn: 2 }), make({ turn: "2" }), make({ turn: undefined }), make({ turn: undefined })];
      assert.equal(await admitted(turns, "search", 40), 4);
      await store.close();
    });

    it("admits exactly the quota of parallel calls of one turn", async () => {
      const { store, make } = setUp();
      assert.equal(await admitted([make()], "search", 100), 3);
      await store.close();
    });

    it("charges nothing for canCall and for denied calls", async () => {
      const { store, make } = setUp();
      const limiter = make();
      for (let i = 0; i < 9; i++) await limiter.canCall("search");
      await admitted([limiter], "send_email", 9);
      const { turn, session } = await limiter.getStats();
      assert.deepEqual({ ...turn }, { search: 0, send_email: 1, never: 0 });
      assert.deepEqual({ ...session }, { search: 0, send_email: 1, never: 0 });
      await store.close();
    });

    it("records calls also beyond the limits", async () => {
      const { store, make } = setUp();
      const limiter = make();
      const answers = [];
      for (let i = 0; i < 5; i++) answers.push(await limiter.recordCall("search"));
      assert.deepEqual(
        answers.map(({ allowed, reason }) => [allowed, reason === undefined]),
        [
          [true, true],
          [true, true],
          [true, true],
          [false, false],
          [false, false],
        ],
      );
      const { turn, session } = await limiter.getStats();
      assert.deepEqual([turn.search, session.search], [5, 5]);
      limiter.resetTurn();
      assert.equal(await admitted([limiter], "search", 9), 2, "what is left of the session");
      await store.close();
    });

    it("begins a new turn for only one instance", async () => {
      const { store, make } = setUp({ turn: "t1" });
      const [one, two] = [make(), make()];
      await one.tryCall("send_email");
      one.resetTurn();
      assert.equal((await one.getStats()).turn.send_email, 0);
      assert.equal((await two.getStats()).turn.send_email, 1);
      assert.equal((await two.tryCall("send_email")).allowed, false);
      assert.equal((await one.tryCall("send_email")).allowed, true);
      assert.equal((await two.getStats()).session.send_email, 2);
      await store.close();
    });

    it("gives each instance a turn of its own by default", async () => {
      const { store, make } = setUp();
      const [one, two] = [make(), make()];
      assert.deepEqual([await admitted([one], "send_email", 2), await admitted([two], "send_email", 2)], [1, 1]);
      await store.close();
    });

    it("counts a call for the turn that it began in", async () => {
      const { store, make } = setUp({ turn: "t1" });
      const limiter = make();
      const called = limiter.tryCall("send_email");
      limiter.resetTurn();
      await called;
      assert.equal((await limiter.getStats()).turn.send_email, 0);
      assert.equal((await make().getStats()).turn.send_email, 1);
      await store.close();
    });

    it("resets only this session and its present turn", async () => {
      const { store, make } = setUp({ turn: "t1" });
      const [one, two, other, older] = [make(), make(), make({ session: "s2" }), make({ turn: "t0" })];
      for (const limiter of [one, other, older]) for (const tool of ["search", "mine"]) await limiter.recordCall(tool);
      await two.recordCall("yours");
      await one.reset();
      const tools = { search: 0, send_email: 0, never: 0 };
      assert.deepEqual({ ...(await one.getStats()).turn }, { ...tools, mine: 0 });
      assert.deepEqual({ ...(await one.getStats()).session }, { ...tools, mine: 0 });
      assert.deepEqual({ ...(await two.getStats()).session }, { ...tools, yours: 1 }, "not used by the one that reset");
      assert.deepEqual({ ...(await older.getStats()).turn }, { ...tools, search: 1, mine: 1 }, "another turn");
      assert.deepEqual({ ...(await other.getStats()).session }, { ...tools, search: 1, mine: 1 }, "another session");
      await store.close();
    });

    it("keeps sessions and tools with any names apart", async () => {
      const { store, make } = setUp({ turn: "t1" });
      for (const session of HOSTILE) {
        const limiter = make({ session });
        for (const [i, tool] of HOSTILE.entries()) {
          for (let call = 0; call <= i % 4; call++) await limiter.recordCall(tool);
        }
      }
      for (const session of HOSTILE) {
        const limiter = make({ session });
        for (const tool of HOSTILE) await limiter.tryCall(tool);
        const stats = await limiter.getStats();
        for (const [i, tool] of HOSTILE.entries()) {
          const expected = tool.length > 256 ? undefined : (i % 4) + 2;
          assert.deepEqual([stats.turn[tool], stats.session[tool]], [expected, expected], tool.slice(0, 20));
        }
      }
      const stats = await make({ session: "new" }).getStats();
      assert.deepEqual([stats.turn.constructor, Object.keys(stats.session)], [undefined, Object.keys(LIMITS)]);
      assert.equal(({} as Record<string, unknown>).search, undefined);
      await store.close();
    });

    it("takes a number for its decimal string", async () => {
      const { store, make } = setUp();
      await make({ session: 7, turn: 1 }).recordCall("search");
      assert.equal((await make({ session: "7", turn: "1" }).getStats()).turn.search, 1);
      await store.close();
    });
  });
}

describe("ToolRateLimiter", () => {
  it("continues its counts after a restart", async () => {
    const file = join(folder, "restart.db");
    const run = async (turn: string) => {
      const store = sqliteStore(file);
      const limiter = new ToolRateLimiter(LIMITS, { store, session: "s1", turn });
      const count = await admitted([limiter], "search", 9);
      await store.close();
      return count;
    };
    assert.deepEqual(
      [await run("t1"), await run("t1"), await run("t2"), await run("t3"), await run("t4")],
      [3, 0, 3, 1, 0],
    );
  });

  it("remembers the last 100 tools that the limits do not name", async () => {
    const limiter = new ToolRateLimiter(LIMITS, { store: memoryStore(), session: "s1" });
    for (let i = 0; i < 100; i++) await limiter.tryCall(`made-up-${i}`);
    for (const tool of [...Object.keys(LIMITS), "made-up-0"]) await limiter.recordCall(tool);
    for (let i = 100; i < 103; i++) await limiter.tryCall(`made-up-${i}`);
    await limiter.canCall("only asked about");
    await limiter.tryCall("x".repeat(256));
    await limiter.tryCall("x".repeat(257));
    const listed = Object.keys(LIMITS);
    const told = Object.keys((await limiter.getStats()).session).slice(listed.length);
    const expected = Array.from({ length: 98 }, (_, i) => `made-up-${i + 5}`);
    assert.deepEqual(told, [...expected.slice(0, 95), "made-up-0", ...expected.slice(95), "x".repeat(256)]);
  });

  it("counts a turn from zero when it was idle for an hour, a session after 24 hours", async () => {
    const clock = fakeClock();
    const limiter = new ToolRateLimiter(LIMITS, { store: memoryStore({ clock }), session: "s1" });
    const counts = async () => {
      const { turn, session } = await limiter.getStats();
      return [turn.search, session.search];
    };
    await limiter.recordCall("search");
    clock.advance(3_600_000 - 1);
    assert.deepEqual(await counts(), [1, 1]);
    clock.advance(1);
    assert.deepEqual(await counts(), [0, 1]);
    clock.advance(23 * 3_600_000 - 1);
    assert.deepEqual(await counts(), [0, 1]);
    clock.advance(1);
    assert.deepEqual(await counts(), [0, 0]);
  });

  it("shares its counts with a limiter whose policy has limits of the same names", async () => {
    const store = memoryStore();
    const bridge = new ToolRateLimiter(LIMITS, { store, session: "s1", turn: "t1" });
    const limiter = createLimiter({
      store,
      policy: {
        version: 1,
        limits: [{ name: "tool-per-session", per: ["session", "tool"], quota: 7, resetAfterIdle: "24h" }],
      },
    });
    await bridge.tryCall("search");
    const decision = await limiter.consume({ tool: "search", session: "s1" });
    assert.equal(decision.verdicts[0]?.remaining, 5);
  });

  it("distinguishes a store's failure from a denial, and charges nothing for it", async () => {
    const away = new StoreError("unavailable", "away", { transient: true });
    let failing = true;
    const memory = memoryStore();
    const store: Store = {
      apply: async (requests) => (failing ? Promise.reject(away) : memory.apply(requests)),
      close: () => memory.close(),
    };
    const limiter = new ToolRateLimiter(LIMITS, { store, session: "s1" });
    for (const ask of ["canCall", "recordCall", "tryCall"] as const) await assert.rejects(limiter[ask]("other"), away);
    await assert.rejects(limiter.getStats(), away);
    await assert.rejects(limiter.reset(), away);
    await assert.rejects(limiter.tryCall(""), isMisuse("invalid-dimension", "tool"));
    failing = false;
    assert.deepEqual(Object.keys((await limiter.getStats()).turn), Object.keys(LIMITS));
  });
});

describe("options that ToolRateLimiter refuses", () => {
  const store = memoryStore();
  const good = { store, session: "s1" };
  const search = (limit: unknown) => ({ search: limit });
  const limits: [string, path: string, unknown][] = [
    ["nothing", "limits", undefined],
    ["null", "limits", null],
    ["a text", "limits", "search"],
    ["a list", "limits", [{ maxPerTurn: 1, maxPerSession: 1 }]],
    ["a map", "limits", new Map([["search", { maxPerTurn: 1, maxPerSession: 1 }]])],
    ["a prototype set by name", "limits", { __proto__: { search: { maxPerTurn: 1, maxPerSession: 1 } } }],
    ["an empty name", "limits", { "": { maxPerTurn: 1, maxPerSession: 1 } }],
    ["a reserved name", "limits", JSON.parse('{ "__proto__": { "maxPerTurn": 1, "maxPerSession": 1 } }')],
    ["a number", 'limits["search"]', search(5)],
    ["null for a tool", 'limits["search"]', search(null)],
    ["a list for a tool", 'limits["search"]', search([1, 2])],
    ["an unknown key", 'limits["search"]', search({ maxPerTurn: 1, maxPerSession: 1, maxPerDay: 1 })],
    ["no maxPerTurn", 'limits["search"].maxPerTurn', search({ maxPerSession: 1 })],
    ["no maxPerSession", 'limits["search"].maxPerSession', search({ maxPerTurn: 1 })],
    ["below zero", 'limits["search"].maxPerTurn', search({ maxPerTurn: -1, maxPerSession: 1 })],
    ["a part of a call", 'limits["search"].maxPerSession', search({ maxPerTurn: 1, maxPerSession: 1.5 })],
    ["infinity", 'limits["search"].maxPerTurn', search({ maxPerTurn: Number.POSITIVE_INFINITY, maxPerSession: 1 })],
    ["past 2^53 - 1", 'limits["search"].maxPerTurn', search({ maxPerTurn: 2 ** 53, maxPerSession: 1 })],
    ["a text for a number", 'limits["search"].maxPerTurn', search({ maxPerTurn: "1", maxPerSession: 1 })],
    [
      "too many tools",
      "limits",
      Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`t${i}`, { maxPerTurn: 1, maxPerSession: 1 }])),
    ],
  ];
  for (const [name, path, given] of limits) {
    it(`limits: ${name}`, () => {
      const make = () => new ToolRateLimiter(given as Record<string, ToolLimits>, good);
      assert.throws(make, isMisuse("invalid-option", path));
    });
  }

  const options: [string, path: string, unknown][] = [
    ["nothing", "options", undefined],
    ["null", "options", null],
    ["a list", "options", [store, "s1"]],
    ["an unknown key", "options", { ...good, sesion: "s2" }],
    ["no store", "store", { session: "s1" }],
    ["no real store", "store", { ...good, store: new Map() }],
    ["no session", "session", { store }],
    ["an empty session", "session", { ...good, session: "" }],
    ["null for a session", "session", { ...good, session: null }],
    ["an object for a session", "session", { ...good, session: {} }],
    ["a session that is no whole number", "session", { ...good, session: 1.5 }],
    ["an empty turn", "turn", { ...good, turn: "" }],
    ["null for a turn", "turn", { ...good, turn: null }],
    ["a turn that is no safe integer", "turn", { ...good, turn: 2 ** 53 }],
  ];
  for (const [name, path, given] of options) {
    it(`options: ${name}`, () => {
      const make = () => new ToolRateLimiter(LIMITS, given as ToolRateLimiterOptions);
      assert.throws(make, isMisuse("invalid-option", path));
    });
  }

  it("have an error with what was expected and what was found", () => {
    const make = () => new ToolRateLimiter({ search: { maxPerTurn: -1, maxPerSession: 1 } }, good);
    const message = 'limits["search"].maxPerTurn: expected a whole number from 0 to 9007199254740991, got -1';
    assert.throws(make, { message });
  });

  it("do not include the bounds themselves", async () => {
    const most = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, i) => [`t${i}`, { maxPerTurn: i, maxPerSession: Number.MAX_SAFE_INTEGER }]),
    );
    const limiter = new ToolRateLimiter(most, good);
    assert.equal(Object.keys((await limiter.getStats()).turn).length, 1_000);
    assert.deepEqual([await admitted([limiter], "t2", 9), await admitted([limiter], "t0", 9)], [2, 0]);
    const bare = Object.assign(Object.create(null), LIMITS);
    assert.equal((await new ToolRateLimiter(bare, good).tryCall("never")).allowed, false);
  });
});

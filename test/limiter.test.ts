import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Call, createLimiter, type LimiterOptions, MisuseError, type PolicyInput, StoreError } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

const policy: PolicyInput = {
  version: 1,
  tools: { web_search: {}, book: { cost: { usd_micros: 300 } } },
  limits: [
    {
      name: "tool-per-turn",
      per: ["session", "turn", "tool"],
      quota: 2,
      quotas: { tool: { book: 1 } },
      resetAfterIdle: "1h",
    },
    { name: "money-per-user", per: ["user"], onMissing: "skip", unit: "usd_micros", quota: 1_000 },
    {
      name: "tenant-rate",
      per: ["tenant"],
      onMissing: "skip",
      algorithm: "token-bucket",
      quota: 60,
      window: "1m",
      burst: 3,
    },
  ],
};
const call: Call = { tool: "web_search", session: "s1", turn: "t1" };

function limiterFor(options: Partial<LimiterOptions> = {}) {
  const clock = fakeClock();
  return { clock, limiter: createLimiter({ policy, store: memoryStore({ clock }), ...options }) };
}

const isMisuse = (code: string, path: string) => (error: unknown) =>
  MisuseError.isInstance(error) && error.code === code && error.faults[0]?.path === path;

describe("consume", () => {
  it("answers with a verdict for each limit that matched, in policy order", async () => {
    const { limiter, clock } = limiterFor();
    const decision = await limiter.consume({ ...call, tenant: "acme", toolCallId: "call_1", args: { q: "x" } });
    assert.deepEqual(decision, {
      allowed: true,
      verdicts: [
        {
          limit: "tool-per-turn",
          allowed: true,
          exceeded: false,
          mode: "enforce",
          unit: "calls",
          cost: 1,
          quota: 2,
          capacity: 2,
          remaining: 1,
          windowMs: null,
          resetAfterMs: 3_600_000,
          retryAfterMs: null,
        },
        {
          limit: "tenant-rate",
          allowed: true,
          exceeded: false,
          mode: "enforce",
          unit: "calls",
          cost: 1,
          quota: 60,
          capacity: 3,
          remaining: 2,
          windowMs: 60_000,
          resetAfterMs: 1_000,
          retryAfterMs: null,
        },
      ],
      deniedBy: null,
      retryAfterMs: null,
      message: null,
      detail: null,
      notice: null,
      degraded: null,
      replayed: false,
      decidedAtMs: clock.nowMs(),
    });
  });

  it("charges no limit when one denies, and says how long to wait", async () => {
    const { limiter } = limiterFor();
    for (const turn of ["t1", "t2", "t3"]) await limiter.consume({ ...call, turn, tenant: "acme" });
    const denied = await limiter.consume({ ...call, turn: "t4", tenant: "acme" });
    assert.deepEqual([denied.allowed, denied.retryAfterMs, denied.verdicts[0]?.remaining], [false, 1_000, 2]);
    assert.match(denied.message ?? "", /tenant-rate.*Try again in 1 s/);
    const [usage] = await limiter.usage({ session: "s1", turn: "t4", tool: "web_search" });
    assert.equal(usage?.used, 0);
  });

  it("takes the cost of the call, else of the tool", async () => {
    const { limiter } = limiterFor();
    const price = async (cost?: Call["cost"]) => {
      const decision = await limiter.peek({ tool: "book", session: "s1", turn: "t1", user: "u1", cost });
      return decision.verdicts.find(({ limit }) => limit === "money-per-user")?.cost;
    };
    assert.deepEqual(
      [await price(), await price({ usd_micros: 7 }), await price({ usd_micros: 0 })],
      [300, 7, undefined],
    );
  });

  it("counts numbers and their decimal strings as one", async () => {
    const { limiter } = limiterFor();
    await limiter.consume({ ...call, turn: 7 });
    assert.equal((await limiter.peek({ ...call, turn: "7" })).verdicts[0]?.remaining, 0);
  });

  it("refuses what it cannot judge, and charges nothing for it", async () => {
    const { limiter } = limiterFor();
    const refused: [string, string, unknown][] = [
      ["invalid-call", "call", { ...call, sesion: "s2" }],
      ["missing-dimension", "tool", { session: "s1", turn: "t1" }],
      ["missing-dimension", "turn", { tool: "web_search", session: "s1" }],
      ["missing-dimension", "session", { ...call, session: null }],
      ["invalid-dimension", "session", { ...call, session: "" }],
      ["invalid-dimension", "turn", { ...call, turn: 1.5 }],
      ["invalid-dimension", "turn", { ...call, turn: {} }],
      ["invalid-dimension", "tool", { ...call, tool: "" }],
      ["invalid-cost", "cost", { ...call, cost: 5 }],
      ["invalid-cost", "cost.calls", { ...call, cost: { calls: -1 } }],
      ["invalid-cost", "cost.calls", { ...call, cost: { calls: 0.5 } }],
      ["invalid-cost", "cost.calls", { ...call, cost: { calls: Number.NaN } }],
      ["invalid-cost", "cost.calls", { ...call, cost: { calls: 1e300 } }],
      ["unknown-unit", "cost", { ...call, cost: { tokens: 1 } }],
    ];
    for (const [code, path, bad] of refused) {
      await assert.rejects(limiter.consume(bad as Call), isMisuse(code, path), JSON.stringify(bad));
    }
    await assert.rejects(limiter.consume(null as never), TypeError);
    assert.equal((await limiter.peek(call)).verdicts[0]?.remaining, 1);
  });

  it("keeps hostile names apart and harmless", async () => {
    const { limiter } = limiterFor();
    const names = [
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
      "\udfff",
      "#",
      "x".repeat(1_024),
    ];
    for (const session of names) {
      for (const tool of names) {
        const decision = await limiter.consume({ tool, session, turn: "t1" });
        assert.equal(decision.verdicts[0]?.remaining, 1, JSON.stringify([session, tool]).slice(0, 80));
      }
    }
  });

  it("refuses a signal at the wrong place", async () => {
    const { limiter } = limiterFor();
    const signal = AbortSignal.abort();
    await assert.rejects(limiter.consume(call, signal as never), isMisuse("invalid-option", "options"));
    await assert.rejects(limiter.consume(call, { signal: {} as never }), isMisuse("invalid-option", "signal"));
    await assert.rejects(limiter.consume(call, { sginal: signal } as never), isMisuse("invalid-option", "options"));
  });

  it("refuses a call that was aborted before the store was asked", async () => {
    const { limiter } = limiterFor();
    const reason = new Error("gone");
    await assert.rejects(limiter.consume(call, { signal: AbortSignal.abort(reason) }), reason);
    assert.equal((await limiter.peek(call)).verdicts[0]?.remaining, 1);
  });
});

describe("record", () => {
  it("books also beyond the quota, and answers what consume would have answered", async () => {
    const { limiter } = limiterFor();
    const answers = [];
    for (let i = 0; i < 4; i++) {
      const { allowed, message, retryAfterMs, verdicts } = await limiter.record(call);
      answers.push([allowed, message === null, retryAfterMs, verdicts[0]?.remaining]);
    }
    assert.deepEqual(answers, [
      [true, true, null, 1],
      [true, true, null, 0],
      [false, false, null, 0],
      [false, false, null, 0],
    ]);
    const [usage] = await limiter.usage({ session: "s1", turn: "t1", tool: "web_search" });
    assert.deepEqual([usage?.used, usage?.remaining], [4, 0]);
    const denied = await limiter.consume(call);
    assert.deepEqual([denied.allowed, (await limiter.usage({ ...call }))[0]?.used], [false, 4]);
  });

  it("books every limit that matches, also beside one that denies", async () => {
    const { limiter } = limiterFor();
    const booked = { tool: "book", session: "s1", turn: "t1", user: "u1", tenant: "acme", cost: { usd_micros: 900 } };
    await limiter.record(booked);
    const { allowed, verdicts } = await limiter.record(booked);
    assert.equal(allowed, false);
    assert.deepEqual(
      verdicts.map((verdict) => [verdict.limit, verdict.allowed, verdict.remaining]),
      [
        ["tool-per-turn", false, 0],
        ["money-per-user", false, 0],
        ["tenant-rate", true, 1],
      ],
    );
    const { cost, ...dimensions } = booked;
    assert.deepEqual(
      (await limiter.usage(dimensions)).map(({ used }) => used),
      [2, cost.usd_micros * 2, 2],
    );
  });

  it("makes the next calls wait until the overshoot has drained", async () => {
    const { limiter, clock } = limiterFor();
    for (const turn of ["t1", "t2", "t3", "t4", "t5"]) await limiter.record({ ...call, turn, tenant: "acme" });
    const next = () => limiter.consume({ ...call, turn: "t6", tenant: "acme" });
    assert.deepEqual([(await next()).allowed, (await next()).retryAfterMs], [false, 3_000]);
    clock.advance(2_999);
    assert.equal((await next()).retryAfterMs, 1);
    clock.advance(1);
    assert.equal((await next()).allowed, true);
  });

  it("uses bound dimensions, refuses as consume does, and charges nothing then", async () => {
    const { limiter } = limiterFor();
    const turn = limiter.for({ session: "s1", turn: "t1" });
    await turn.record({ tool: "web_search" });
    await assert.rejects(limiter.record({ tool: "web_search" }), isMisuse("missing-dimension", "session"));
    await assert.rejects(turn.record({ tool: "" }), isMisuse("invalid-dimension", "tool"));
    await assert.rejects(
      turn.record({ tool: "web_search", cost: { calls: -1 } }),
      isMisuse("invalid-cost", "cost.calls"),
    );
    const reason = new Error("gone");
    await assert.rejects(turn.record({ tool: "web_search" }, { signal: AbortSignal.abort(reason) }), reason);
    assert.equal((await turn.usage({ tool: "web_search" }))[0]?.used, 1);
    await limiter.close();
    await assert.rejects(turn.record({ tool: "web_search" }), isMisuse("limiter-closed", "limiter"));
  });
});

describe("onDecision", () => {
  it("gets each decision and its whole call, also of record, but not of peek", async () => {
    const seen: unknown[] = [];
    const { limiter } = limiterFor({ onDecision: (decision, told) => seen.push([decision.allowed, told]) });
    const turn = limiter.for({ session: "s1", turn: "t1" });
    await turn.peek({ tool: "web_search" });
    await turn.consume({ tool: "web_search", toolCallId: "call_1" });
    await turn.record({ tool: "web_search" });
    await turn.record({ tool: "web_search", toolCallId: "call_2" });
    assert.deepEqual(seen, [
      [true, { ...call, toolCallId: "call_1" }],
      [true, call],
      [false, { ...call, toolCallId: "call_2" }],
    ]);
  });

  it("cannot end the process when it is asynchronous", async () => {
    const { limiter } = limiterFor({ onDecision: () => Promise.reject(new Error("later")) });
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.match((await warned).message, /onDecision threw: Error: later/);
  });

  it("cannot fail a decision", async () => {
    const { limiter } = limiterFor({
      onDecision: () => {
        throw new Error("listener");
      },
    });
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.match((await warned).message, /onDecision threw: Error: listener/);
  });
});

describe("usage", () => {
  it("answers for the tools that the policy names", async () => {
    const { limiter } = limiterFor();
    await limiter.consume(call);
    const usages = await limiter.usage({ session: "s1", turn: "t1" });
    assert.deepEqual(
      usages.map(({ dimensions, used, quota, remaining }) => [dimensions.tool, used, quota, remaining]),
      [
        ["web_search", 1, 2, 1],
        ["book", 0, 1, 1],
      ],
    );
  });

  it("answers for the tool given, and leaves out limits whose dimensions are not", async () => {
    const { limiter } = limiterFor();
    const usages = await limiter.usage({ session: "s1", turn: "t1", tool: "other", tenant: "acme" });
    assert.deepEqual(
      usages.map(({ limit, unit, remaining }) => [limit, unit, remaining]),
      [
        ["tool-per-turn", "calls", 2],
        ["tenant-rate", "calls", 3],
      ],
    );
    assert.deepEqual(await limiter.usage(), []);
    await assert.rejects(limiter.usage({ id: "x" } as never), isMisuse("invalid-call", "dimensions"));
  });
});

describe("usage of a policy with thousands of tools", () => {
  it("is read in parts", async () => {
    const quotas = Object.fromEntries(Array.from({ length: 2_500 }, (_, i) => [`tool-${i}`, 5]));
    const many: PolicyInput = {
      version: 1,
      limits: [{ name: "a", per: ["session", "tool"], quota: 1, quotas: { tool: quotas } }],
    };
    const { limiter } = limiterFor({ policy: many });
    const usages = await limiter.usage({ session: "s1" });
    assert.deepEqual([usages.length, usages[2_499]?.dimensions.tool], [2_500, "tool-2499"]);
  });
});

describe("reset", () => {
  it("empties one bucket, and returns how it stood before and how it stands after", async () => {
    const { limiter } = limiterFor();
    await limiter.consume(call);
    await limiter.consume({ ...call, turn: "t2" });
    const { tool, session, turn } = call;
    const reset = await limiter.reset({ limit: "tool-per-turn", tool, session, turn });
    assert.deepEqual([reset?.before.used, reset?.before.remaining], [1, 1]);
    const [found] = await limiter.usage({ tool, session, turn });
    assert.deepEqual([reset?.after.used, reset?.after.remaining, reset?.after], [0, 2, found]);
    assert.equal((await limiter.peek(call)).verdicts[0]?.remaining, 1);
    assert.equal((await limiter.peek({ ...call, turn: "t2" })).verdicts[0]?.remaining, 0);
  });

  it("refuses an unknown limit, and an incompletely named bucket", async () => {
    const { limiter } = limiterFor();
    await assert.rejects(limiter.reset({ limit: "nope" }), isMisuse("unknown-limit", "limit"));
    await assert.rejects(limiter.reset({ limit: "tenant-rate" }), isMisuse("missing-dimension", "tenant"));
    await assert.rejects(limiter.reset({ limit: "tenant-rate", tenant: "" }), isMisuse("invalid-dimension", "tenant"));
  });

  it("empties a bucket also where its quota is unlimited", async () => {
    const free: PolicyInput = { version: 1, limits: [{ name: "free", per: ["user"], quota: "unlimited" }] };
    const { limiter } = limiterFor({ policy: free });
    await limiter.consume({ tool: "x", user: "u1" });
    const reset = await limiter.reset({ limit: "free", user: "u1" });
    assert.deepEqual([reset?.before.used, reset?.before.quota, reset?.after.used], [1, null, 0]);
  });
});

describe("a dimension that is undefined", () => {
  it("does not replace a bound one", async () => {
    const once: PolicyInput = { version: 1, limits: [{ name: "once", per: ["user"], onMissing: "skip", quota: 1 }] };
    const { limiter } = limiterFor({ policy: once });
    const bound = limiter.for({ user: "u1" });
    assert.equal((await bound.consume({ tool: "x", user: undefined })).allowed, true);
    assert.equal((await bound.consume({ tool: "x", user: null as never })).allowed, false);
  });
});

describe("for", () => {
  it("binds dimensions, which a call can override", async () => {
    const { limiter } = limiterFor();
    const session = limiter.for({ session: "s1" });
    const turn = session.for({ turn: "t1", tool: "web_search" });
    await turn.consume({ tool: "web_search" });
    assert.equal((await turn.usage())[0]?.used, 1);
    assert.equal((await limiter.peek(call)).verdicts[0]?.remaining, 0);
    assert.equal((await turn.peek({ tool: "web_search", turn: "t2" })).verdicts[0]?.remaining, 1);
    assert.throws(() => limiter.for({ sesion: "s1" } as never), isMisuse("invalid-call", "dimensions"));
  });
});

describe("close", () => {
  it("makes later calls misuse, on every bound limiter, and can be repeated", async () => {
    const { limiter } = limiterFor();
    const turn = limiter.for({ session: "s1", turn: "t1" });
    await Promise.all([turn.close(), limiter.close()]);
    await assert.rejects(limiter.consume(call), isMisuse("limiter-closed", "limiter"));
    await assert.rejects(turn.usage({ tool: "x" }), isMisuse("limiter-closed", "limiter"));
  });
});

describe("createLimiter", () => {
  const good = { policy, store: memoryStore() };
  const spread = { size: 4, underWay: 1, spread: 1 };
  const batching = (size: number, underWay: number, least = 1) => ({
    apply: () => [],
    close: () => {},
    batching: { size, underWay, least },
  });
  const refused: [string, string, unknown][] = [
    ["invalid-option", "options", null],
    ["invalid-option", "options", { ...good, onDecison: () => {} }],
    ["invalid-option", "store", { policy }],
    ["invalid-option", "store", { ...good, store: new Map() }],
    ["invalid-option", "store.batching.size", { ...good, store: batching(0, 1) }],
    ["invalid-option", "store.batching.underWay", { ...good, store: batching(1, 17) }],
    ["invalid-option", "store.batching.least", { ...good, store: batching(4, 1, 5) }],
    ["invalid-option", "store.batching.spread", { ...good, store: { ...batching(4, 1), batching: spread } }],
    ["invalid-option", "store.layers", { ...good, store: batching(1, 1) }],
    ["invalid-option", "store.layers", { ...good, store: { apply() {}, close() {}, setup() {} } }],
    ["invalid-option", "store.layers", { ...good, store: { apply() {}, close() {}, book() {}, beat() {} } }],
    ["invalid-option", "prefix", { ...good, prefix: "" }],
    ["invalid-option", "prefix", { ...good, prefix: "a{b}" }],
    ["invalid-option", "onDecision", { ...good, onDecision: true }],
    ["invalid-option", "failover", { ...good, failover: true }],
    ["invalid-option", "failover", { ...good, failover: { deadline: 100 } }],
    ["invalid-policy", "version", { ...good, policy: { version: 2, limits: [{ name: "a", per: [], quota: 1 }] } }],
    ["invalid-policy", "policy", { ...good, policy: undefined }],
  ];
  for (const [code, path, options] of refused) {
    it(`refuses ${path}: ${code}`, () => {
      assert.throws(() => createLimiter(options as LimiterOptions), isMisuse(code, path));
    });
  }

  it("keeps limiters with different prefixes apart in one store", async () => {
    const store = memoryStore();
    const one = createLimiter({ policy, store, prefix: "one" });
    const two = createLimiter({ policy, store, prefix: "two" });
    await one.consume(call);
    assert.equal((await two.consume(call)).verdicts[0]?.remaining, 1);
  });
});

describe("a store that fails", () => {
  const failing = (apply: Store["apply"]) => limiterFor({ store: { apply, close: async () => {} } }).limiter;

  it("is an error, never a denial", async () => {
    const away = new StoreError("unavailable", "away", { transient: true });
    await assert.rejects(failing(async () => [away]).consume(call), away);
    await assert.rejects(failing(() => Promise.reject(away)).consume(call), away);
  });

  const isInvalidReply = (error: unknown) => StoreError.isInstance(error) && error.code === "invalid-reply";

  it("is an error when it gives too few replies", async () => {
    await assert.rejects(failing(async () => []).consume(call), isInvalidReply);
    await assert.rejects(failing(async () => [{ allowed: true, nowMs: 0, steps: [] }]).consume(call), isInvalidReply);
  });
});

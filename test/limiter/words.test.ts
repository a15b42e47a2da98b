// What the words of a policy do to calls.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type LimiterEvent, type LimitInput, type PolicyInput } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { isMisuse } from "./fixture.ts";

const NOW_MS = Date.now();

function limiterOf(limits: readonly LimitInput[], rest: Partial<PolicyInput> = {}) {
  const clock = fakeClock(NOW_MS);
  const events: LimiterEvent[] = [];
  const policy = { version: 1, ...rest, limits } as const;
  const limiter = createLimiter({ policy, store: memoryStore({ clock }), onEvent: (event) => events.push(event) });
  return { limiter, clock, events };
}

const EXAMPLE = `
version: 1
partition: session                 # the dimension that most limits share
tools:
  web_search:   { group: T1 }
  book_service: { group: T3, cost: { usd_micros: 50000 } }
limits:
  - { name: tool-per-turn,    per: [session, turn, tool], quota: 5, quotas: { tool: { book_service: 1 } }, resetAfterIdle: 1h }
  - { name: tool-per-session, per: [session, tool],       quota: 50, quotas: { tool: { book_service: 3 } }, resetAfterIdle: 24h }
  - { name: group-per-turn,    per: [session, turn, group], quotas: { group: { T1: 10, T3: 1 } }, quota: unlimited, resetAfterIdle: 1h }
  - { name: same-call-again,  per: [session, turn, tool, args], quota: 3, resetAfterIdle: 1h }
  - { name: tenant-rate,      per: [tenant], onMissing: skip, algorithm: token-bucket, quota: 600, window: 1m, burst: 100 }
  - { name: money-per-user,   per: [user], onMissing: skip, unit: usd_micros, algorithm: fixed-window, quota: 5000000, window: day, timezone: Europe/Berlin }
  - { name: new-sessions,     per: [user], onMissing: skip, distinct: session, algorithm: fixed-window, quota: 20, window: 1h }
  - { name: parallel-calls,   per: [session], when: { tool: [book_service] }, algorithm: concurrency, quota: 4, hold: { lease: 2m } }
`;

describe("a policy with every key", () => {
  it("judges a call by every limit that matches", async () => {
    const limiter = createLimiter({ policy: parsePolicy(EXAMPLE), store: memoryStore() });
    const call = { session: "s1", turn: "t1", user: "u1", tenant: "acme" };
    const search = await limiter.consume({ ...call, tool: "web_search", args: { q: "x" } });
    assert.deepEqual(
      search.verdicts.map(({ limit, unit, cost, remaining }) => [limit, unit, cost, remaining]),
      [
        ["tool-per-turn", "calls", 1, 4],
        ["tool-per-session", "calls", 1, 49],
        ["group-per-turn", "calls", 1, 9],
        ["same-call-again", "calls", 1, 2],
        ["tenant-rate", "calls", 1, 99],
        ["money-per-user", "usd_micros", 0, 5_000_000],
        ["new-sessions", "sessions", 1, 19],
      ],
    );
    const booked = await limiter.run({ ...call, tool: "book_service" }, () => "booked");
    assert.equal(booked.allowed && booked.value, "booked");
    const again = await limiter.run({ ...call, tool: "book_service" }, () => "booked");
    assert.deepEqual([again.allowed, again.message?.includes("tool-per-turn")], [false, true]);
    const money = (await limiter.usage({ user: "u1" })).find(({ limit }) => limit === "money-per-user");
    assert.deepEqual([money?.used, (money?.resetAfterMs ?? 0) <= 25 * 3_600_000], [50_000, true]);
    await limiter.close();
  });
});

describe("count", () => {
  const limits: LimitInput[] = [
    { name: "new-sessions", per: ["user"], distinct: "session", algorithm: "fixed-window", quota: 2, window: "1h" },
    { name: "turns", per: ["session"], distinct: "turn", quota: 2, resetAfterIdle: "1d" },
  ];
  const call = (session: string, turn = "t1") => ({ tool: "x", user: "u1", session, turn });

  it("charges a value once, and allows seen values", async () => {
    const { limiter, clock } = limiterOf(limits);
    for (const session of ["a", "b", "a", "b", "a"]) assert.ok((await limiter.consume(call(session))).allowed);
    const denied = await limiter.consume(call("made-up"));
    assert.deepEqual([denied.allowed, denied.verdicts[0]?.unit, denied.verdicts[0]?.remaining], [false, "sessions", 0]);
    assert.ok((await limiter.consume(call("a"))).allowed);
    clock.advance(3_600_000);
    assert.ok((await limiter.consume(call("made-up"))).allowed);
  });

  it("marks nothing where another limit denies", async () => {
    const { limiter } = limiterOf(limits);
    for (const turn of ["t1", "t2"]) await limiter.consume(call("a", turn));
    assert.equal((await limiter.consume(call("a", "t3"))).allowed, false);
    assert.equal((await limiter.peek(call("b"))).verdicts[0]?.remaining, 0);
    assert.equal((await limiter.usage({ user: "u1" }))[0]?.used, 1);
  });

  it("is not refunded, and takes no cost", async () => {
    const { limiter } = limiterOf(limits);
    const held = await limiter.reserve(call("a"));
    assert.ok(held.allowed);
    await held.hold.release();
    assert.equal((await limiter.usage({ user: "u1" }))[0]?.used, 1);
    await assert.rejects(limiter.consume({ ...call("b"), cost: { sessions: 2 } }), isMisuse("unknown-unit"));
    await assert.rejects(
      limiter.consume({ tool: "x", user: "u1", turn: "t" }),
      isMisuse("missing-dimension", "session"),
    );
  });
});

describe("elapsed", () => {
  it("denies once the time is over, until the scope was idle", async () => {
    const { limiter, clock } = limiterOf([
      { name: "half-an-hour", per: ["session"], algorithm: "elapsed", quota: "30m", resetAfterIdle: "1h" },
    ]);
    const call = { tool: "x", session: "s1" };
    const first = await limiter.consume(call);
    assert.deepEqual([first.allowed, first.verdicts[0]?.unit, first.verdicts[0]?.quota], [true, "ms", 1_800_000]);
    clock.advance(1_500_000);
    const late = await limiter.consume(call);
    assert.deepEqual([late.allowed, late.verdicts[0]?.remaining], [true, 300_000]);
    assert.equal(late.notice, "5 minutes are left of 30 minutes in this session. Finish in that time.");
    clock.advance(299_999);
    assert.ok((await limiter.consume(call)).allowed);
    clock.advance(1);
    const over = await limiter.consume(call);
    assert.deepEqual([over.allowed, over.retryAfterMs, over.verdicts[0]?.retryAfterMs], [false, null, null]);
    assert.equal(
      over.message,
      "Limit reached (half-an-hour), call denied: the time in this session is over (30 minutes from the first call). Do not call tools again; finish with what you have.",
    );
    clock.advance(3_600_000);
    assert.equal((await limiter.consume(call)).verdicts[0]?.remaining, 1_800_000);
  });
});

describe("streak", () => {
  const errors: LimitInput = {
    name: "errors",
    per: ["session", "tool"],
    algorithm: "streak",
    of: "errors",
    quota: 2,
    resetAfterIdle: "1h",
  };
  const results: LimitInput = {
    name: "no-progress",
    per: ["session", "tool", "args"],
    algorithm: "streak",
    of: "results",
    quota: 2,
    mode: "warn",
  };
  const call = { tool: "x", session: "s1", args: { q: 1 } };

  it("denies after a number of errors in a row, until another outcome or the ttl", async () => {
    const { limiter, clock } = limiterOf([errors]);
    const fail = () => limiter.reportOutcome(call, { error: new Error("broken") });
    await fail();
    await limiter.reportOutcome(call, { result: 1 });
    await fail();
    assert.ok((await limiter.consume(call)).allowed);
    clock.advance(1_000);
    await fail();
    const denied = await limiter.consume(call);
    assert.deepEqual([denied.allowed, denied.retryAfterMs, denied.verdicts[0]?.resetAfterMs], [false, null, 3_600_000]);
    assert.equal(
      denied.message,
      "Call denied (errors): the last 2 calls of this tool failed. Use another tool, or finish with what you have.",
    );
    clock.advance(3_599_999);
    assert.equal((await limiter.consume(call)).allowed, false);
    clock.advance(1);
    assert.ok((await limiter.consume(call)).allowed);
  });

  it("is reported by run", async () => {
    const { limiter } = limiterOf([errors]);
    const broken = () => limiter.run(call, () => Promise.reject(new Error("broken")));
    await assert.rejects(broken());
    await limiter.run(call, () => 1);
    await assert.rejects(broken());
    await assert.rejects(broken());
    assert.equal((await limiter.run(call, () => 1)).allowed, false);
  });

  it("warns of the same result again and again", async () => {
    const { limiter } = limiterOf([results]);
    await limiter.run(call, () => ({ found: 0, at: "x" }));
    await assert.rejects(limiter.run(call, () => Promise.reject(new Error("broken"))));
    await limiter.run(call, () => ({ at: "x", found: 0 }));
    const third = await limiter.run(call, () => ({ found: 1 }));
    assert.equal(third.allowed, true);
    const [verdict] = third.verdicts;
    assert.deepEqual([verdict?.allowed, verdict?.exceeded, verdict?.mode, third.message], [true, true, "warn", null]);
    assert.equal(
      third.notice,
      "Warning: the last 2 calls of this tool with these arguments had the same result. Do not repeat it: change the arguments, use another tool, or finish with what you have.",
    );
    assert.equal((await limiter.consume(call)).notice, null);
    assert.equal((await limiter.consume({ ...call, args: { q: 2 } })).notice, null);
  });
});

describe("shadow", () => {
  it("counts and reports, and denies nothing", async () => {
    const { limiter } = limiterOf([
      { name: "new", per: ["session"], quota: 1, mode: "shadow" },
      { name: "old", per: ["session"], quota: 3 },
    ]);
    const call = { tool: "x", session: "s1" };
    for (const [allowed, fits] of [
      [true, true],
      [true, false],
      [true, false],
      [false, false],
    ]) {
      const { verdicts, ...decision } = await limiter.consume(call);
      assert.deepEqual([decision.allowed, verdicts[0]?.exceeded, verdicts[0]?.mode], [allowed, !fits, "shadow"]);
    }
    const usages = await limiter.usage({ session: "s1" });
    assert.deepEqual(
      usages.map(({ used }) => used),
      [3, 3],
    );
  });
});

describe("grant", () => {
  const grant = { id: "g1", units: 5, durationMs: 60_000 };

  it("adds to one bucket once, until it ends", async () => {
    const { limiter, clock, events } = limiterOf([{ name: "calls", per: ["session"], quota: 2, resetAfterIdle: "1h" }]);
    const bucket = { limit: "calls", session: "s1" };
    const call = { tool: "x", session: "s1" };
    for (let i = 0; i < 2; i++) await limiter.consume(call);
    assert.equal((await limiter.grant(bucket, grant))?.remaining, 5);
    assert.equal((await limiter.grant(bucket, grant))?.remaining, 5);
    assert.equal((await limiter.consume({ ...call, cost: { calls: 4 } })).verdicts[0]?.remaining, 1);
    assert.equal((await limiter.consume({ ...call, cost: { calls: 2 } })).allowed, false);
    clock.advance(60_000);
    const denied = await limiter.consume(call);
    assert.deepEqual([denied.allowed, denied.verdicts[0]?.remaining, denied.retryAfterMs], [false, 0, null]);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["bucket.granted", "bucket.granted"],
    );
    await limiter.reset(bucket);
    assert.equal(events.at(-1)?.type, "bucket.reset");
  });

  it("is refused where its id is taken: by other units, another duration, or a grant that has ended", async () => {
    const { limiter, clock } = limiterOf([
      { name: "calls", per: ["session"], quota: 2, resetAfterIdle: "30d" },
      { name: "window", per: ["session"], window: "day", quota: 2 },
      { name: "rate", per: ["session"], algorithm: "token-bucket", quota: 60, window: "1m" },
    ]);
    for (const limit of ["calls", "window", "rate"]) {
      const bucket = { limit, session: "s1" };
      const first = await limiter.grant(bucket, { ...grant, durationMs: 86_400_000 });
      const again = await limiter.grant(bucket, { ...grant, durationMs: 86_400_000 });
      assert.deepEqual([again?.granted, again?.remaining], [first?.granted, first?.remaining], limit);
      for (const other of [{ units: 6 }, { durationMs: 1_000 }]) {
        const taken = limiter.grant(bucket, { ...grant, durationMs: 86_400_000, ...other });
        await assert.rejects(taken, isMisuse("grant-exists", "grant.id"), limit);
      }
    }
    const bucket = { limit: "calls", session: "s2" };
    await limiter.grant(bucket, grant);
    clock.advance(60_000);
    await assert.rejects(limiter.grant(bucket, grant), /got "g1"\. Nothing was granted\. Choose another id\.$/);
    clock.advance(600_000);
    assert.equal((await limiter.grant(bucket, grant))?.granted, 5);
  });

  it("does not allow what a quota of 0 forbids", async () => {
    const { limiter } = limiterOf([
      { name: "never", per: ["session"], quota: 0 },
      { name: "planned", per: ["user"], onMissing: "skip", quota: 0, quotas: { plan: { pro: 5 } } },
      { name: "bought", per: ["tenant"], onMissing: "skip", quota: { from: "call", default: 0, max: 9 } },
    ]);
    const refused = limiter.grant({ limit: "never", session: "s1" }, grant);
    await assert.rejects(refused, /above 0: the policy forbids these calls with 0.*got "never"\. Change the policy\.$/);
    const planned = { limit: "planned", user: "u1" };
    await assert.rejects(limiter.grant(planned, grant), /Name what the quota depends on, such as a plan/);
    assert.equal((await limiter.grant({ ...planned, plan: "pro" }, grant))?.remaining, 10);
    // The quota of its calls is not known here.
    const bought = await limiter.grant({ limit: "bought", tenant: "t1" }, grant);
    assert.deepEqual([bought.quota, bought.granted, bought.remaining, bought.grants.length], [0, 0, 0, 1]);
    const search = { tool: "x", session: "s1", tenant: "t1" };
    const [verdict] = (await limiter.peek(search, { quotas: { bought: 2 } })).verdicts.slice(-1);
    assert.deepEqual([verdict?.limit, verdict?.remaining], ["bought", 7]);
    assert.equal((await limiter.reset({ limit: "never", session: "s1" }))?.after.quota, 0);
  });

  it("stops with a quota of 0, by a reload, an override or a claim, and counts again after that", async () => {
    const calls = { name: "calls", per: ["session"], quota: { from: "call", default: 1, max: 9 } } as const;
    const overrides = [{ when: { plan: "blocked" }, quota: 0 }];
    const { limiter } = limiterOf([{ ...calls, overrides }]);
    const bucket = { limit: "calls", session: "s1" };
    const call = { tool: "x", session: "s1" };
    await limiter.grant(bucket, grant);
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal((await limiter.consume({ ...call, plan: "blocked" })).allowed, false);
    assert.equal((await limiter.consume(call, { quotas: { calls: 0 } })).allowed, false);
    assert.equal((await limiter.consume(call)).allowed, true);
    limiter.reload({ version: 1, limits: [{ ...calls, quota: 0 }] });
    for (const verb of ["consume", "peek"] as const) {
      const denied = await limiter[verb](call);
      const [verdict] = denied.verdicts;
      assert.deepEqual([denied.allowed, denied.retryAfterMs, verdict?.remaining, verdict?.quota], [false, null, 0, 0]);
      assert.match(denied.message ?? "", /no calls are allowed/);
    }
    assert.equal((await limiter.reserve(call)).allowed, false);
    assert.equal((await limiter.run(call, () => 1)).allowed, false);
    const [usage] = await limiter.usage({ session: "s1" });
    assert.deepEqual([usage?.quota, usage?.granted, usage?.used, usage?.remaining], [0, 0, 3, 0]);
    assert.deepEqual(
      usage?.grants.map(({ id, units }) => [id, units]),
      [["g1", 5]],
    );
    limiter.reload({ version: 1, limits: [calls] });
    assert.equal((await limiter.consume(call)).verdicts[0]?.remaining, 2);
    limiter.reload({ version: 1, limits: [{ ...calls, quota: 0 }] });
    assert.equal((await limiter.revoke(bucket, "g1")).revoked, true);
    limiter.reload({ version: 1, limits: [calls] });
    assert.equal((await limiter.consume(call)).allowed, false);
  });

  it("and reset and revoke are refused for a bucket that no call charges", async () => {
    const { limiter } = limiterOf(
      [
        { name: "writes", per: ["session", "group"], quota: 2 },
        { name: "searches", per: ["session"], when: { tool: "search", plan: ["pro", "team"] }, quota: 2 },
      ],
      { tools: { search: { group: "read" }, save: { group: "write" } } },
    );
    const group = { limit: "writes", session: "s1", group: "wirte" };
    const acts = (bucket: { limit: string; session: string }) => [
      limiter.grant(bucket, grant),
      limiter.reset(bucket),
      limiter.revoke(bucket, "g1"),
    ];
    for (const act of acts(group)) {
      await assert.rejects(act, isMisuse("invalid-dimension", "group"));
      await assert.rejects(
        act,
        /a group that the policy gives a tool: read, write, got "wirte"\. Did you mean "write"\?/,
      );
    }
    const of = { limit: "searches", session: "s1" };
    for (const act of acts({ ...of, tool: "save" } as never))
      await assert.rejects(act, /a limit that applies to tool "save": the "when" of this one leaves such calls out/);
    for (const act of acts({ ...of, plan: "free" } as never)) await assert.rejects(act, /applies to plan "free"/);
    assert.equal((await limiter.grant({ ...of, tool: "search", plan: "pro" }, grant))?.granted, 5);
    assert.equal((await limiter.grant({ ...group, group: "write" }, grant))?.granted, 5);
  });

  it("fills a token bucket, and ends with a window", async () => {
    const { limiter, clock } = limiterOf([
      { name: "rate", per: ["session"], algorithm: "token-bucket", quota: 60, window: "1m", burst: 10 },
      { name: "window", per: ["session"], algorithm: "fixed-window", align: "first-use", quota: 10, window: "10s" },
    ]);
    const call = { tool: "x", session: "s1", cost: { calls: 10 } };
    await limiter.consume(call);
    assert.equal((await limiter.grant({ limit: "rate", session: "s1" }, grant))?.remaining, 5);
    assert.equal((await limiter.grant({ limit: "window", session: "s1" }, grant))?.remaining, 5);
    assert.ok((await limiter.consume({ ...call, cost: { calls: 5 } })).allowed);
    clock.advance(10_000);
    assert.equal((await limiter.usage({ session: "s1" }))[1]?.remaining, 10);
  });

  it("is listed with its end, so that the numbers add up, and can be revoked", async () => {
    const { limiter, clock, events } = limiterOf([{ name: "calls", per: ["session"], quota: 8, resetAfterIdle: "1h" }]);
    const bucket = { limit: "calls", session: "s1" };
    await limiter.consume({ tool: "x", session: "s1", cost: { calls: 7 } });
    await limiter.grant(bucket, { ...grant, units: 10 });
    clock.advance(1_000);
    const [usage] = await limiter.usage({ session: "s1" });
    assert.deepEqual(usage, {
      limit: "calls",
      dimensions: { session: "s1" },
      unit: "calls",
      quota: 8,
      capacity: 8,
      granted: 10,
      grants: [{ id: "g1", units: 10, endsInMs: 59_000 }],
      used: 7,
      remaining: 11,
      // The full quota is free, by the grant.
      resetAfterMs: 0,
    });
    await limiter.consume({ tool: "x", session: "s1", cost: { calls: 5 } });
    const revoked = await limiter.revoke(bucket, "g1", { reason: "a mistake", actor: "ann" });
    assert.deepEqual([revoked?.revoked, revoked?.after.used, revoked?.after.remaining], [true, 12, 0]);
    assert.deepEqual(revoked?.after.grants, []);
    assert.equal((await limiter.consume({ tool: "x", session: "s1" })).allowed, false);
    const again = await limiter.revoke(bucket, "g1");
    assert.equal(again?.revoked, false);
    // The same grant, sent again late, does not come back, and is not said to be granted.
    await assert.rejects(limiter.grant(bucket, { ...grant, units: 10 }), isMisuse("grant-exists", "grant.id"));
    assert.deepEqual(
      events.flatMap((event) => ("after" in event ? [[event.type, event.reason, event.actor]] : [])),
      [
        ["bucket.granted", null, null],
        ["bucket.revoked", "a mistake", "ann"],
      ],
    );
    await limiter.reset(bucket, { reason: "a fresh start" });
    const last = events.at(-1);
    assert.ok(last?.type === "bucket.reset");
    assert.deepEqual(
      [last.reason, last.before.used, last.after.used, last.after.remaining],
      ["a fresh start", 12, 0, 8],
    );
  });

  it("of several in one bucket is revoked by its id, and settlements say how much is granted", async () => {
    const { limiter } = limiterOf([{ name: "tokens", per: ["session"], unit: "tokens", quota: 10 }]);
    const bucket = { limit: "tokens", session: "s1" };
    for (const [id, units, durationMs] of [
      ["long", 5, 90_000],
      ["short", 3, 30_000],
    ] as const) {
      await limiter.grant(bucket, { id, units, durationMs });
    }
    const held = await limiter.reserve({ tool: "x", session: "s1", cost: { tokens: 14 } });
    assert.ok(held.allowed);
    const settled = await held.hold.settle({ tokens: 12 });
    const replayed = await held.hold.settle({ tokens: 12 });
    for (const { usages } of [settled, replayed]) {
      assert.deepEqual([usages[0]?.granted, usages[0]?.used, usages[0]?.remaining], [8, 12, 6]);
    }
    const revoked = await limiter.revoke(bucket, "long");
    assert.deepEqual([revoked?.after.granted, revoked?.after.remaining], [3, 1]);
    assert.deepEqual(revoked?.after.grants, [{ id: "short", units: 3, endsInMs: 30_000 }]);
  });

  it("of a token bucket cannot be revoked, and the error says what to do instead", async () => {
    const { limiter } = limiterOf([
      { name: "rate", per: ["session"], algorithm: "token-bucket", quota: 60, window: "1m", burst: 10 },
      { name: "free", per: ["user"], onMissing: "skip", quota: "unlimited" },
    ]);
    const bucket = { limit: "rate", session: "s1" };
    await limiter.consume({ tool: "x", session: "s1", cost: { calls: 10 } });
    const after = await limiter.grant(bucket, grant);
    assert.deepEqual([after?.granted, after?.grants, after?.remaining], [0, [], 5]);
    await assert.rejects(limiter.revoke(bucket, "g1"), (error) => {
      return isMisuse("invalid-option", "limit")(error) && /record instead/.test(String(error));
    });
    assert.equal((await limiter.revoke({ limit: "free", user: "u1" }, "g1"))?.revoked, false);
    await assert.rejects(limiter.revoke(bucket, "a b"), isMisuse("invalid-option", "id"));
    await assert.rejects(limiter.revoke(bucket, "a", { reason: "" }), isMisuse("invalid-option", "reason"));
    await assert.rejects(limiter.reset(bucket, { reason: "x".repeat(501) }), isMisuse("invalid-option", "reason"));
    await assert.rejects(limiter.reset(bucket, { actor: "" }), isMisuse("invalid-option", "actor"));
    await assert.rejects(limiter.reset(bucket, { actor: "x".repeat(201) }), isMisuse("invalid-option", "actor"));
    await assert.rejects(limiter.revoke({ limit: "none" }, "a"), isMisuse("unknown-limit"));
  });

  it("refuses a value that is no grant", async () => {
    const { limiter } = limiterOf([{ name: "calls", per: ["session"], quota: 2 }]);
    const bucket = { limit: "calls", session: "s1" };
    for (const [path, bad] of Object.entries({
      "grant.id": { id: "a b" },
      "grant.units": { units: 0 },
      "grant.durationMs": { durationMs: 0.5 },
      grant: { reason: "support" },
    })) {
      await assert.rejects(limiter.grant(bucket, { ...grant, ...bad }), isMisuse("invalid-option", path));
    }
    await assert.rejects(limiter.grant(bucket, grant, { reason: "" }), isMisuse("invalid-option", "reason"));
    await assert.rejects(limiter.grant({ ...bucket, limit: "other" }, grant), isMisuse("unknown-limit"));
  });
});

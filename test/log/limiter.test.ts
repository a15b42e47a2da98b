// What a limiter has logged: entries with what the decision said, counts of all, and events in the same line of time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type Decision, type PolicyInput } from "tollgate";
import { type DecisionEntry, functionLog, type LogBatch, memoryLog, type MemoryLogOptions } from "tollgate/log";
import { memoryStore } from "tollgate/stores/memory";
import { createHostedLimiter } from "../../src/limiter.ts";
import { START_MS } from "./batches.ts";

const POLICY: PolicyInput = {
  version: 1,
  tools: { search: { group: "reading" } },
  limits: [
    { name: "calls", per: ["session"], quota: 3, resetAfterIdle: "1h" },
    { name: "money", per: ["tenant"], unit: "usd_micros", quota: "$5", onMissing: "skip" },
  ],
};
const everything = { tenants: null, pageSize: 100 } as const;

function loggedLimiter(policy: PolicyInput = POLICY, options: MemoryLogOptions = {}) {
  const log = memoryLog(options);
  // Minutes do not end by chance.
  const clock = { nowMs: () => START_MS };
  const limiter = createLimiter({ policy, store: memoryStore({ clock }), log });
  const decisions = async () => {
    await log.flush();
    const { items } = await log.storage.read.entries({ ...everything, kind: "decision" });
    return items.toReversed() as DecisionEntry[];
  };
  return { log, limiter, decisions, read: log.storage.read };
}

describe("a limiter with a log", () => {
  it("has each decision logged, under its id", async () => {
    const { limiter, decisions } = loggedLimiter();
    const call = { tool: "search", session: "s1", tenant: "acme", cost: { usd_micros: 1_000_000 } };
    const made: Decision[] = [];
    for (let i = 0; i < 4; i++) made.push(await limiter.for({ user: "u1" }).consume(call));
    const entries = await decisions();
    assert.deepEqual(
      entries.map(({ id }) => id),
      made.map(({ id }) => id),
    );
    assert.equal(new Set(entries.map(({ id }) => id)).size, 4);
    const [first, , , last] = entries as [DecisionEntry, unknown, unknown, DecisionEntry];
    assert.deepEqual(first.dimensions, { session: "s1", tenant: "acme", user: "u1" });
    assert.deepEqual(
      [first.tool, first.verb, first.allowed, first.via, first.weight, first.atMs],
      ["search", "consume", true, "library", 1, START_MS],
    );
    const units = first.verdicts.map(({ limit, remainingBefore, remaining, per }) => [
      limit,
      remainingBefore,
      remaining,
      per,
    ]);
    assert.deepEqual(units, [
      ["calls", 3, 2, ["session"]],
      ["money", 5_000_000, 4_000_000, ["tenant"]],
    ]);
    assert.deepEqual([last.allowed, last.deniedBy], [false, "calls"]);
    assert.deepEqual(
      last.verdicts.map(({ remainingBefore, remaining }) => [remainingBefore, remaining]),
      [
        [0, 0],
        [2_000_000, 2_000_000],
      ],
    );
  });

  it("gives no id without a log, and logs no peek", async () => {
    const without = createLimiter({ policy: POLICY, store: memoryStore() });
    assert.equal("id" in (await without.consume({ tool: "x", session: "s1", tenant: "t" })), false);
    const { limiter, decisions } = loggedLimiter();
    assert.equal("id" in (await limiter.peek({ tool: "x", session: "s1" })), false);
    assert.deepEqual(await decisions(), []);
  });

  it("says how long deciding took, without the tool and without waiting", async () => {
    const { limiter, decisions } = loggedLimiter();
    const call = { tool: "x", session: "s1" };
    await limiter.consume(call);
    await limiter.reserve(call);
    await limiter.run(call, () => sleep(100));
    await limiter.record(call);
    await limiter.consume({ ...call, session: "s2" }, { maxWaitMs: 5 });
    const took = (await decisions()).map(({ durationMs }) => durationMs);
    assert.equal(took.pop(), null);
    assert.equal(took.length, 4);
    for (const ms of took) assert.ok(ms !== null && ms >= 0 && ms < 100, `${ms}`);
    assert.ok(took.some((ms) => (ms ?? 0) > 0));
  });

  it("has reserve, run and record logged", async () => {
    const { limiter, decisions } = loggedLimiter();
    const call = { tool: "x", session: "s1" };
    const held = await limiter.reserve(call);
    const ran = await limiter.run(call, () => 5);
    const recorded = await limiter.record(call);
    assert.deepEqual(
      (await decisions()).map(({ verb, id }) => [verb, id]),
      [
        ["reserve", held.id],
        ["run", ran.id],
        ["record", recorded.id],
      ],
    );
  });

  it("gives a denial that is repeated an id of its own", async () => {
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "rate", per: ["session"], algorithm: "sliding-window", window: "1m", quota: 1 }],
    };
    const { limiter } = loggedLimiter(policy);
    const ids: unknown[] = [];
    for (let i = 0; i < 5; i++) ids.push((await limiter.consume({ tool: "x", session: "s1" })).id);
    assert.equal(new Set(ids).size, 5);
  });

  it("hashes arguments with a salt, and keeps none of them", async () => {
    const { limiter, decisions } = loggedLimiter();
    const secret = "4111 1111 1111 1111";
    await limiter.consume({ tool: "x", session: "s1", args: { secret } });
    await limiter.consume({ tool: "x", session: "s2", args: { secret } });
    await limiter.consume({ tool: "x", session: "s3", args: { secret: "x".repeat(70_000) } });
    await limiter.consume({ tool: "x", session: "s4" });
    const hashes = (await decisions()).map(({ argsHash }) => argsHash);
    assert.match(hashes[0] ?? "", /^[0-9a-f]{32}$/);
    assert.deepEqual(hashes, [hashes[0], hashes[0], null, null]);
    assert.doesNotMatch(JSON.stringify(await decisions()), /4111/);
    const other = loggedLimiter();
    await other.limiter.consume({ tool: "x", session: "s1", args: { secret } });
    assert.notEqual((await other.decisions())[0]?.argsHash, hashes[0], "each log has its own salt");
  });

  it("logs grants, resets and reloads in the same line of time", async () => {
    const { limiter, log, read } = loggedLimiter();
    const bucket = { limit: "calls", session: "s1" } as const;
    for (let i = 0; i < 3; i++) await limiter.consume({ tool: "x", session: "s1" });
    await limiter.grant(bucket, { id: "g1", units: 2, durationMs: 60_000 }, { reason: "demo", actor: "ann" });
    await log.flush();
    assert.deepEqual(await read.near({ tenants: null, over: 0.8, nowMs: START_MS, count: 10 }), [], "3 of 5 are used");
    await limiter.reset(bucket);
    limiter.reload({ ...POLICY, onError: "refund" }, { actor: "file:policy.yaml" });
    await log.flush();
    const { items } = await read.entries({ ...everything, kind: "event" });
    const events = items.flatMap((entry) => (entry.kind === "event" ? [entry] : [])).toReversed();
    assert.deepEqual(
      events.map(({ type, limit, dimensions, reason, actor }) => [type, limit, dimensions, reason, actor]),
      [
        ["log.started", null, {}, null, null],
        ["bucket.granted", "calls", { session: "s1" }, "demo", "ann"],
        ["bucket.reset", "calls", { session: "s1" }, null, null],
        ["policy.reloaded", null, {}, null, "file:policy.yaml"],
      ],
    );
    assert.deepEqual(events[1]?.data.grant, { id: "g1", units: 2, durationMs: 60_000 });
    assert.notEqual(events[3]?.policy, events[0]?.policy);
    const source = (await read.policy(events[3]?.policy ?? "")) ?? "";
    assert.equal(JSON.parse(source).onError, "refund");
    assert.deepEqual(await read.near({ tenants: null, over: 0.8, nowMs: START_MS, count: 10 }), []);
  });

  it("says which buckets are near their limit", async () => {
    const { limiter, log, read } = loggedLimiter();
    for (let i = 0; i < 3; i++) await limiter.consume({ tool: "x", session: "s1", tenant: "acme" });
    await limiter.consume({ tool: "x", session: "s2" });
    await log.flush();
    const near = await read.near({ tenants: null, over: 0.8, nowMs: START_MS, count: 10 });
    assert.deepEqual(near, [
      {
        limit: "calls",
        dimensions: { session: "s1" },
        tenant: "acme",
        unit: "calls",
        used: 3,
        capacity: 3,
        atMs: START_MS,
        endsAtMs: START_MS + 3_600_000,
      },
    ]);
  });

  it("counts all calls by tool, tenant, limit, session and user", async () => {
    const { limiter, log, read } = loggedLimiter();
    for (let i = 0; i < 5; i++) await limiter.consume({ tool: "x", session: "s1", tenant: "acme", user: "u1" });
    await limiter.consume({ tool: "y", session: "s2" });
    await log.flush();
    const span = { tenants: null, fromMs: START_MS, toMs: START_MS + 60_000, count: 10 };
    const rowsOf = async (by: "tool" | "tenant" | "limit" | "session" | "user") =>
      (await read.top({ ...span, by })).map(({ value, calls, denied, error }) => [value, calls, denied, error]);
    assert.deepEqual(await rowsOf("tool"), [
      ["x", 5, 2, 0],
      ["y", 1, 0, 0],
    ]);
    assert.deepEqual(await rowsOf("tenant"), [["acme", 5, 2, 0]]);
    assert.deepEqual(await rowsOf("limit"), [
      ["calls", 6, 2, 0],
      ["money", 5, 0, 0],
    ]);
    assert.deepEqual(await rowsOf("session"), [
      ["s1", 5, 2, 0],
      ["s2", 1, 0, 0],
    ]);
    assert.deepEqual(await rowsOf("user"), [["u1", 5, 2, 0]]);
    const { items } = await read.sessions(everything);
    assert.deepEqual(
      items.map(({ session, tenant, user, calls, denied, deniedBy }) => [
        session,
        tenant,
        user,
        calls,
        denied,
        deniedBy,
      ]),
      [
        ["s1", "acme", "u1", 5, 2, "calls"],
        ["s2", "", "", 1, 0, null],
      ],
    );
  });

  it("counts what is spent of each unit: once where several limits count it, and nothing for a call that is not booked", async () => {
    const { limiter, read } = loggedLimiter({
      version: 1,
      log: { allowed: 0, denied: 0 },
      limits: [
        { name: "calls", per: ["session"], quota: 4 },
        { name: "money", per: ["user"], unit: "usd_micros", quota: "$5", onMissing: "skip" },
        { name: "money-of-all", per: [], unit: "usd_micros", quota: "$100" },
        { name: "tokens", per: ["session"], unit: "tokens", quota: 1_000 },
      ],
    });
    const call = { tool: "x", session: "s1", tenant: "acme", cost: { usd_micros: 1_000_000, tokens: 10 } };
    const once = { ...call, user: "u1", idempotencyKey: "k" };
    await limiter.consume(once);
    await limiter.consume(once);
    await limiter.consume({ ...call, user: "u1", tool: "y", cost: { usd_micros: 500_000, tokens: 0 } });
    await limiter.consume({ ...call, user: "u2", cost: { usd_micros: 6_000_000, tokens: 1 } });
    await limiter.record({ ...call, user: "u2", session: "s2", cost: { usd_micros: 6_000_000, tokens: 1 } });
    await limiter.close();
    const span = { tenants: null, fromMs: START_MS, toMs: START_MS + 60_000, count: 10 };
    const rowsOf = async (by: "tool" | "tenant" | "limit" | "session" | "user", unit = "usd_micros") =>
      (await read.top({ ...span, by, unit })).map(({ value, calls, denied, units }) => [value, calls, denied, units]);
    assert.deepEqual(await rowsOf("user"), [
      ["u2", 2, 2, 6_000_000],
      ["u1", 3, 0, 1_500_000],
    ]);
    assert.deepEqual(await rowsOf("session", "tokens"), [
      ["s1", 3, 1, 10],
      ["s2", 1, 1, 1],
    ]);
    assert.deepEqual(await rowsOf("tool"), [
      ["x", 4, 2, 7_000_000],
      ["y", 1, 0, 500_000],
    ]);
    assert.deepEqual(await rowsOf("tenant"), [["acme", 5, 2, 7_500_000]]);
    assert.deepEqual(await rowsOf("limit"), [
      ["money", 5, 2, 7_500_000],
      ["money-of-all", 5, 0, 7_500_000],
    ]);
    assert.deepEqual(await rowsOf("session", "calls"), []);
  });

  it("keeps the shares that the policy says, whole sessions of allowed calls, and counts all", async () => {
    const limits = [{ name: "calls", per: ["session"], quota: 5 }] as const;
    const { limiter, decisions, read } = loggedLimiter({ version: 1, log: { allowed: 0.25, denied: 0 }, limits });
    for (let s = 0; s < 400; s++) for (let i = 0; i < 5; i++) await limiter.consume({ tool: "x", session: `s${s}` });
    await decisions();
    const bySession = new Map<string, number>();
    const entries: DecisionEntry[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await read.entries({ ...everything, kind: "decision", ...(cursor === undefined ? {} : { cursor }) });
      entries.push(...(page.items as DecisionEntry[]));
      cursor = page.nextCursor;
    }
    for (const { dimensions, weight } of entries) {
      assert.equal(weight, 4);
      bySession.set(dimensions.session ?? "", (bySession.get(dimensions.session ?? "") ?? 0) + 1);
    }
    assert.ok(bySession.size > 70 && bySession.size < 130, `${bySession.size}`);
    assert.deepEqual(new Set(bySession.values()), new Set([5]));
    const [row] = await read.top({ tenants: null, fromMs: START_MS, toMs: START_MS + 1, by: "tool", count: 1 });
    assert.equal(row?.calls, 2_000);
  });

  it("says what asked, and measures it as before", async () => {
    const log = memoryLog();
    let taken = 0;
    const hooks = { decided: () => {}, took: () => taken++, happened: () => {}, reloaded: () => {} };
    const telemetry = { observe: () => hooks };
    const limiter = createHostedLimiter({ policy: POLICY, store: memoryStore(), log, telemetry });
    await limiter.via("http").for({ session: "s1" }).consume({ tool: "x" });
    await limiter.close();
    const { items } = await log.storage.read.entries({ ...everything, kind: "decision" });
    assert.equal((items[0] as DecisionEntry).via, "http");
    assert.equal(taken, 1);
  });

  it("writes what waits also where its store cannot be closed", async () => {
    const log = memoryLog();
    const store = memoryStore();
    const close = async () => {
      throw new Error("the disk is full");
    };
    const limiter = createLimiter({ policy: POLICY, store: { ...store, apply: store.apply.bind(store), close }, log });
    const { id = "" } = await limiter.consume({ tool: "search", session: "s1" });
    await assert.rejects(limiter.close(), /the disk is full/);
    assert.equal((await log.storage.read.entry(id, null))?.id, id);
  });

  it("ends the log also where another limiter could not be made with it", async () => {
    const log = memoryLog({ flushMs: 60_000 });
    const store = memoryStore();
    const layers = () => {
      throw new Error("no layers");
    };
    const broken = { ...store, apply: store.apply.bind(store), close: store.close.bind(store), layers };
    assert.throws(() => createLimiter({ policy: POLICY, store: broken, log }), /no layers/);
    const limiter = createLimiter({ policy: POLICY, store, log });
    const { id = "" } = await limiter.consume({ tool: "x", session: "s1" });
    await limiter.close();
    assert.equal((await log.storage.read.entry(id, null))?.id, id);
  });

  it("writes what waits when it is closed, and ends the log with the last limiter", async () => {
    const batches: LogBatch[] = [];
    const log = functionLog((batch) => batches.push(batch), { flushMs: 60_000 });
    const [one, two] = [0, 1].map(() => createLimiter({ policy: POLICY, store: memoryStore(), log }));
    await one?.consume({ tool: "x", session: "s1" });
    await one?.close();
    await two?.consume({ tool: "x", session: "s1" });
    await two?.close();
    const tools = batches.flatMap(({ entries }) =>
      entries.flatMap((entry) => (entry.kind === "decision" ? entry.tool : [])),
    );
    assert.deepEqual(tools, ["x", "x"]);
    assert.deepEqual(
      batches.map(({ number }) => number),
      [1, 2],
    );
  });

  it("refuses what is no log", () => {
    const make = (log: unknown) => () => createLimiter({ policy: POLICY, store: memoryStore(), log: log as never });
    assert.throws(make({}), { code: "invalid-option" });
    assert.throws(make("decisions.db"), { code: "invalid-option" });
    assert.throws(() => memoryLog({ flushMs: 0 }), { code: "invalid-option" });
    assert.throws(() => functionLog(5 as never), { code: "invalid-option" });
  });
});

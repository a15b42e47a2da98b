// Why a call was denied, in words.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { explain, type Explanation, lastDecision, memoryLog } from "tollgate/log";
import { memoryStore } from "tollgate/stores/memory";
import { START_MS } from "./batches.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 2, resetAfterIdle: "1h" },
    { name: "calls-per-session", per: ["session"], quota: 100 },
    {
      name: "rate",
      per: ["user"],
      algorithm: "fixed-window",
      window: "1m",
      align: "first-use",
      quota: 5,
      onMissing: "skip",
    },
    { name: "money", per: ["tenant"], unit: "usd_micros", quota: "$5", onMissing: "skip" },
    { name: "banned", per: ["tool"], quota: 10, quotas: { tool: { drop_table: 0 } } },
  ],
};

/** So many calls under a limit, and what is said of the last. */
interface Case {
  readonly limit: PolicyInput["limits"][number];
  readonly call: object;
  readonly count: number;
  readonly rule: string;
  readonly stood: string;
}

/** Consumes calls, one each second, and explains the last. */
async function explainLast(
  calls: readonly object[],
  policy = POLICY,
  tenants: readonly string[] | null = null,
): Promise<Explanation> {
  const log = memoryLog();
  let nowMs = START_MS;
  const limiter = createLimiter({ policy, store: memoryStore({ clock: { nowMs: () => nowMs } }), log });
  let id = "";
  for (const call of calls) {
    nowMs += 1_000;
    const decision = await limiter.consume({ tool: "search", session: "s1", turn: "t1", ...call });
    id = decision.id ?? "";
  }
  await limiter.close();
  const explanation = await explain(log.storage.read, id, tenants, {
    timeOf: (ms) => new Date(ms).toISOString().slice(11, 19),
  });
  assert.ok(explanation !== null);
  const last = await lastDecision(log.storage.read, { session: "s1", tenants });
  assert.equal(last?.id, id);
  return explanation;
}

describe("explain", () => {
  it("counts what was granted among what could be used", async () => {
    const log = memoryLog();
    const limits: PolicyInput["limits"] = [
      { name: "calls", per: ["session"], quota: 2 },
      { name: "money", per: ["session"], unit: "usd_micros", quota: "$5" },
    ];
    const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore(), log });
    const consume = (cents: number) =>
      limiter.consume({ tool: "search", session: "s1", cost: { usd_micros: cents * 10_000 } });
    const stoodAfter = async (id = "") => {
      await log.flush();
      return (await explain(log.storage.read, id, null))?.stood[0]?.split(". Of this")[0];
    };
    const grant = { id: "g1", durationMs: 60_000 };
    for (let i = 0; i < 2; i++) await consume(100);
    await limiter.grant({ limit: "calls", session: "s1" }, { ...grant, units: 3 });
    const third = await consume(100);
    const [calls] = third.verdicts;
    assert.deepEqual([calls?.capacity, calls?.granted, calls?.remaining], [2, 3, 2]);
    const entry = await log.flush().then(() => log.storage.read.entry(third.id ?? "", null));
    assert.ok(entry?.kind === "decision");
    const logged = entry.verdicts.map(({ capacity, granted, remaining }) => [capacity, granted, remaining]);
    assert.deepEqual(logged, [
      [5, 3, 2],
      [5_000_000, 0, 2_000_000],
    ]);
    for (let i = 0; i < 2; i++) await consume(0);
    assert.equal(await stoodAfter((await consume(0)).id), "5 of 5 calls were used, and this call needed 1");
    await limiter.close();
  });

  it("says what a denied call was, by which rule, what stood there, when it opens, and what helps", async () => {
    const { entry, what, rule, stood, opens, helps } = await explainLast([{}, {}, {}]);
    assert.equal(
      what.replace(/ The decision took \d+ ms\.$/, ""),
      `Denied: a call of search by session s1, turn t1, at 00:00:03 (${entry.id}, policy ${entry.policy.slice(0, 8)}).`,
    );
    assert.equal(rule, "tool-per-turn allows 2 calls per session, turn and tool.");
    assert.deepEqual(stood, [
      "2 of 2 calls were used, and this call needed 1. Of this session, the calls at 00:00:01 and 00:00:02 used it.",
      "The other 2 limits would have allowed it.",
    ]);
    assert.equal(
      opens,
      "Not by waiting. The next turn starts from zero. This bucket is empty again at 01:00:02, unless a call uses it before.",
    );
    assert.deepEqual(helps, [
      {
        text: "Grant 1 call to this bucket:",
        command: "tollgate grant --limit tool-per-turn --session s1 --turn t1 --tool search --units 1 --duration 1h",
      },
      { text: "With a quota of 3 calls instead of 2, tool-per-turn would have allowed it.", command: null },
    ]);
  });

  it("says when it opens by waiting", async () => {
    const calls = Array.from({ length: 6 }, (_, i) => ({ user: "u1", tool: `t${i}` }));
    const { opens, helps } = await explainLast(calls);
    assert.equal(opens, "At 00:01:01, 55 seconds after the call, if no other call uses it first.");
    assert.equal(helps[0]?.text, "Call again at 00:01:01.");
  });

  it("says that it looked at the last calls alone where there were many", async () => {
    const calls = Array.from({ length: 61 }, (_, i) => ({ turn: `t${i}` }));
    const limits: PolicyInput["limits"] = [{ name: "calls-per-session", per: ["session"], quota: 60 }];
    const { stood } = await explainLast(calls, { version: 1, limits });
    assert.equal(
      stood[0],
      "60 of 60 calls were used, and this call needed 1. Of this session, the last 50 calls from 00:00:11 to 00:01:00 used it.",
    );
  });

  it("names the other sessions that used a bucket, and what each used of it", async () => {
    const spent = (session: string, dollars: number) => ({
      session,
      tenant: "acme",
      cost: { usd_micros: dollars * 1e6 },
    });
    const { stood } = await explainLast([
      spent("s2", 1),
      spent("s3", 0.25),
      spent("s1", 0.5),
      spent("s2", 1.5),
      spent("s4", 0.05),
      { ...spent("s5", 9), tenant: "other" },
      spent("s6", 0.1),
      spent("s1", 2),
    ]);
    assert.equal(
      stood[0],
      "$3.40 of $5.00 was used, and this call needed $2.00. Of this session, the call at 00:00:03 used it. Other sessions used it: s2 ($2.50 in 2 calls), s3 ($0.25 in 1 call), s6 ($0.10 in 1 call) and 1 more.",
    );
  });

  it("names no call of an earlier window", async () => {
    const log = memoryLog();
    let nowMs = START_MS;
    const limits: PolicyInput["limits"] = [
      { name: "rate", per: ["user"], algorithm: "fixed-window", window: "1m", quota: 2 },
    ];
    const store = memoryStore({ clock: { nowMs: () => nowMs } });
    const limiter = createLimiter({ policy: { version: 1, limits }, store, log });
    const stoodAfter = async (...sessions: string[]) => {
      let id = "";
      for (const session of sessions) id = (await limiter.consume({ tool: "x", user: "u1", session })).id ?? "";
      await log.flush();
      return (await explain(log.storage.read, id, null))?.stood[0]?.replace(/^.*needed 1\./, "");
    };
    assert.equal(await stoodAfter("s2", "s3", "s1"), " Other sessions used it: s3 (1 call) and s2 (1 call).");
    nowMs += 60_000;
    assert.equal(await stoodAfter("s4", "s4", "s1"), " Other sessions used it: s4 (2 calls).");
    await limiter.close();
  });

  it("names no call before a reset", async () => {
    const log = memoryLog();
    const limits: PolicyInput["limits"] = [{ name: "calls", per: ["user"], quota: 1 }];
    const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore(), log });
    await limiter.consume({ tool: "x", user: "u1", session: "s2" });
    await limiter.reset({ limit: "calls", user: "u1" });
    await limiter.consume({ tool: "x", user: "u1", session: "s3" });
    const { id = "" } = await limiter.consume({ tool: "x", user: "u1", session: "s1" });
    await limiter.close();
    const { stood = [] } = (await explain(log.storage.read, id, null)) ?? {};
    assert.match(stood[0] ?? "", / Other sessions used it: s3 \(1 call\)\.$/);
  });

  it("says money as money, and quotes what a shell would read", async () => {
    const tenant = "it's acme";
    const { stood, helps } = await explainLast([
      { tenant, cost: { usd_micros: 4_500_000 } },
      { tenant, turn: "t2", cost: { usd_micros: 750_000 } },
    ]);
    assert.match(stood[0] ?? "", /^\$4\.50 of \$5\.00 was used, and this call needed \$0\.75\./);
    assert.equal(
      helps[0]?.command,
      "tollgate grant --limit money --tenant 'it'\\''s acme' --units '$0.25' --duration 1h",
    );
  });

  it("offers no grant where the policy forbids, and no command that names another bucket", async () => {
    const forbidden = await explainLast([{ tool: "drop_table" }]);
    assert.equal(forbidden.opens, "Never: the policy forbids such calls.");
    assert.deepEqual(
      forbidden.helps.map(({ command }) => command),
      [null],
    );
    const long = "s".repeat(300);
    const cut = await explainLast([{ turn: long }, { turn: long }, { turn: long }]);
    assert.deepEqual(
      cut.helps.map(({ command }) => command),
      [null],
    );
  });

  it("says how the limits of an allowed call stood", async () => {
    const { what, rule, stood, opens, helps } = await explainLast([{}, {}]);
    assert.match(what, /^Allowed: a call of search by session s1, turn t1, at 00:00:02 /);
    assert.deepEqual([rule, opens, helps], [null, null, []]);
    assert.equal(stood[0], "tool-per-turn: 1 of 2 calls were used before, and the call took 1.");
  });

  it("says for each kind of limit what it allows and how it stood", async () => {
    const per = ["session"] as const;
    const cases: readonly Case[] = [
      {
        limit: { name: "rate", per, algorithm: "token-bucket", window: "1m", quota: 1, burst: 2 },
        ...{ call: {}, count: 3, rule: "rate allows 1 call per minute per session, at most 2 at once." },
        stood: "2 of 2 calls were used",
      },
      {
        limit: { name: "again", per: ["session", "tool", "args"], quota: 1 },
        ...{ call: { args: { q: 1 } }, count: 2 },
        rule: "again allows 1 call with the same arguments per session and tool.",
        stood: "1 of 1 call was used",
      },
      {
        limit: { name: "money", per, unit: "usd_micros", quota: "$5" },
        ...{ call: { cost: { usd_micros: 3_000_000 } }, count: 2, rule: "money allows $5.00 per session." },
        stood: "$3.00 of $5.00 was used",
      },
      {
        limit: { name: "pause", per, algorithm: "cooldown", pause: "5s" },
        ...{ call: {}, count: 2, rule: "pause allows 1 call per 5 seconds per session." },
        stood: "1 of 1 call was used",
      },
      {
        limit: { name: "life", per, algorithm: "elapsed", quota: "1s", resetAfterIdle: "1h" },
        ...{ call: {}, count: 3, rule: "life allows 1 second per session." },
        stood: "1 second of 1 second had passed.",
      },
      {
        limit: { name: "small", per, unit: "tokens", quota: 10 },
        ...{ call: { cost: { tokens: 11 } }, count: 1 },
        rule: "small: the limit is 10 tokens per session, and this call needs 11 tokens.",
        stood: "0 of 10 tokens were used",
      },
    ];
    for (const { limit, call, count, rule, stood } of cases) {
      const explanation = await explainLast(new Array(count).fill(call), { version: 1, limits: [limit] });
      assert.equal(explanation.rule, rule);
      assert.ok(explanation.stood[0]?.startsWith(stood), explanation.stood[0]);
      const isOfQuota = !["rate", "pause", "life"].includes(limit.name);
      const raised = explanation.helps.filter(({ text }) => text.startsWith("With a quota of "));
      assert.equal(raised.length, isOfQuota ? 1 : 0, `${limit.name}: a larger quota would not help here`);
    }
  });

  it("says of a limit of running calls that one of them has to end", async () => {
    const log = memoryLog();
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1 }],
    };
    const limiter = createLimiter({ policy, store: memoryStore(), log });
    await limiter.reserve({ tool: "x", session: "s1" });
    const { id = "" } = await limiter.reserve({ tool: "x", session: "s1" });
    await log.flush();
    const explanation = await explain(log.storage.read, id, null);
    assert.match(explanation?.stood[0] ?? "", /^1 of 1 call was running/);
    assert.match(explanation?.opens ?? "", /^When one of them ends: at .*, at the latest\.$/);
    assert.equal(explanation?.helps[0]?.text, "Call again when one of them has ended.");
    await limiter.close();
  });

  it("says what was changed by hand in the bucket, with the actor", async () => {
    const log = memoryLog();
    const policy: PolicyInput = { version: 1, limits: [{ name: "calls", per: ["tool"], quota: 1 }] };
    const limiter = createLimiter({ policy, store: memoryStore(), log });
    const bucket = { limit: "calls", tool: "y" } as const;
    const grant = { id: "g1", units: 2, durationMs: 60_000 };
    await limiter.grant(bucket, grant, { actor: "key:k1", reason: "a ticket" });
    await limiter.grant({ ...bucket, tool: "other" }, grant);
    const { id = "" } = await limiter.consume({ tool: "y", session: "s1", turn: "t1", cost: { calls: 9 } });
    await log.flush();
    const { stood = [] } = (await explain(log.storage.read, id, null, { timeOf: () => "T" })) ?? {};
    assert.equal(stood[1], 'Changed by hand: granted 2 calls at T by key:k1 ("a ticket").');
    await limiter.close();
  });

  it("knows nothing of other tenants' entries", async () => {
    const log = memoryLog();
    const limiter = createLimiter({ policy: POLICY, store: memoryStore(), log });
    const { id = "" } = await limiter.consume({ tool: "x", session: "s1", turn: "t1", tenant: "acme" });
    await limiter.close();
    assert.equal(await explain(log.storage.read, id, ["other"]), null);
    assert.equal(await lastDecision(log.storage.read, { session: "s1", tenants: ["other"] }), null);
    assert.notEqual(await explain(log.storage.read, id, ["acme"]), null);
  });
});

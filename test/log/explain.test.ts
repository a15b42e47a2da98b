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
  it("says what a denied call was, by which rule, what stood there, when it opens, and what helps", async () => {
    const { entry, what, rule, stood, opens, helps } = await explainLast([{}, {}, {}]);
    assert.equal(
      what,
      `Denied: the call search of session s1, turn t1, at 00:00:03 (${entry.id}, policy ${entry.policy.slice(0, 8)}).`,
    );
    assert.equal(rule, "tool-per-turn: Limit reached: 2 calls per session, turn and tool.");
    assert.deepEqual(stood, [
      "2 of 2 calls used, and the call needs 1 call. In this session by the calls at 00:00:02 and 00:00:01.",
      "The other 2 limits would have allowed it.",
    ]);
    assert.equal(
      opens,
      "Not by waiting. The next turn starts from zero; its bucket is empty again at 01:00:02 if nothing uses it until then.",
    );
    assert.deepEqual(helps, [
      {
        text: "Grant 1 call to this bucket:",
        command: "tollgate grant --limit tool-per-turn --session s1 --turn t1 --tool search --units 1 --duration 1h",
      },
      { text: "A quota of 3 instead of 2 in tool-per-turn would have allowed it.", command: null },
    ]);
  });

  it("says when it opens by waiting", async () => {
    const calls = Array.from({ length: 6 }, (_, i) => ({ user: "u1", tool: `t${i}` }));
    const { opens, helps } = await explainLast(calls);
    assert.equal(opens, "At 00:01:01, 55 seconds after the call, if nothing else uses it.");
    assert.equal(helps[0]?.text, "Call again in 55 s.");
  });

  it("says money as money, and quotes what a shell would read", async () => {
    const tenant = "it's acme";
    const { stood, helps } = await explainLast([
      { tenant, cost: { usd_micros: 4_500_000 } },
      { tenant, turn: "t2", cost: { usd_micros: 750_000 } },
    ]);
    assert.match(stood[0] ?? "", /^\$4\.50 of \$5\.00 used, and the call needs \$0\.75\./);
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
    assert.match(what, /^Allowed: the call search of session s1, turn t1, at 00:00:02 /);
    assert.deepEqual([rule, opens, helps], [null, null, []]);
    assert.equal(stood[0], "tool-per-turn: 1 of 2 calls used before, and the call took 1 call.");
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

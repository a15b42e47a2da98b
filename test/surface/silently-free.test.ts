// A policy whose words match nothing must not be free in silence: patterns work, or they are refused.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, definePolicy, type LimitInput, MisuseError, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";

function limiterFor(policy: PolicyInput) {
  return createLimiter({ policy, store: memoryStore() });
}

function faultsOf(quotas: object) {
  const limit = { name: "calls", per: ["tool", "session"], quota: 50, quotas };
  try {
    definePolicy({ version: 1, limits: [limit] } as PolicyInput);
  } catch (error) {
    assert.ok(MisuseError.isInstance(error));
    return error.faults;
  }
  return [];
}

describe("a pattern in tools", () => {
  const limits: LimitInput[] = [{ name: "credits", per: ["session"], unit: "credits", quota: 100 }];

  it("sets the cost of each tool that it matches", async () => {
    const limiter = limiterFor({ version: 1, tools: { "mcp__github__*": { cost: { credits: 60 } } }, limits });
    const call = { tool: "mcp__github__search", session: "s1" };
    assert.equal((await limiter.consume(call)).allowed, true);
    const second = await limiter.consume(call);
    assert.deepEqual([second.allowed, second.verdicts[0]?.cost], [false, 60]);
    assert.equal((await limiter.consume({ ...call, tool: "search" })).verdicts[0]?.cost, 0);
  });

  it("loses, as a whole, against a tool's own entry and an earlier pattern", async () => {
    const limiter = limiterFor({
      version: 1,
      tools: {
        "mcp__github__*": { cost: { credits: 5 } },
        "mcp__*": { cost: { credits: 3 } },
        mcp__github__merge: { group: "write" },
      },
      limits,
    });
    const costOf = async (tool: string) => (await limiter.peek({ tool, session: "s1" })).verdicts[0]?.cost;
    assert.equal(await costOf("mcp__github__search"), 5);
    assert.equal(await costOf("mcp__jira__search"), 3);
    assert.equal(await costOf("mcp__github__merge"), 0);
  });

  it("sets the group, the ignored arguments, and onError, too", async () => {
    const limiter = limiterFor({
      version: 1,
      tools: { "write_*": { group: "write", ignoreArgs: ["at"], onError: "refund" } },
      limits: [
        { name: "group", per: ["session", "group"], quota: 9 },
        { name: "args", per: ["session", "args"], quota: 9 },
      ],
    });
    const call = { tool: "write_file", session: "s1" };
    await limiter.consume({ ...call, args: { path: "a", at: 1 } });
    const { verdicts } = await limiter.consume({ ...call, args: { path: "a", at: 2 } });
    assert.deepEqual(
      verdicts.map(({ remaining }) => remaining),
      [7, 7],
    );
    await assert.rejects(
      limiter.run(call, () => Promise.reject(new Error("down"))),
      /down/,
    );
    const usages = await limiter.usage({ session: "s1" });
    assert.deepEqual(
      usages.map(({ limit, dimensions, used }) => [limit, dimensions.group, used]),
      [["group", "write", 2]],
    );
  });

  it("is not a tool's name in texts for models", async () => {
    const policy: PolicyInput = {
      version: 1,
      tools: { "mcp__*": {}, search: {} },
      limits: [{ name: "per-tool", per: ["session", "tool"], quota: 0 }],
    };
    const limiter = limiterFor(policy);
    const messageOf = async (tool: string) => (await limiter.consume({ tool, session: "s1" })).message ?? "";
    assert.match(await messageOf("search"), /search/);
    assert.doesNotMatch(await messageOf("mcp__ignore_all_limits"), /ignore/);
    assert.deepEqual(
      (await limiter.usage({ session: "s1" })).map(({ dimensions }) => dimensions.tool),
      ["search"],
    );
  });
});

describe("quotas", () => {
  it("belong to the dimension that they name, at any place in per", async () => {
    for (const per of [["tool", "session"], ["session", "tool"], ["session"]]) {
      const limiter = limiterFor({
        version: 1,
        limits: [{ name: "calls", per, quota: 50, quotas: { tool: { send_email: 1 } } }],
      });
      const { verdicts } = await limiter.peek({ tool: "send_email", session: "s1" });
      assert.equal(verdicts[0]?.quota, 1, String(per));
      assert.equal((await limiter.peek({ tool: "search", session: "s1" })).verdicts[0]?.quota, 50);
    }
  });

  it("are refused where they name no dimension", () => {
    const [fault] = faultsOf({ send_email: 1 });
    assert.match(fault?.path ?? "", /^limits\[0\]\.quotas/);
  });

  it("are refused where a value is a pattern", () => {
    const [fault] = faultsOf({ tool: { "send_*": 1 } });
    assert.match(fault?.expected ?? "", /overrides/);
  });
});

describe("a value behind ! in when", () => {
  it("is ignored", async () => {
    const limiter = limiterFor({
      version: 1,
      limits: [{ name: "all-others", per: ["session"], when: { tool: ["*", "!delete_*"] }, quota: 1 }],
    });
    const limitsFor = async (tool: string) => (await limiter.peek({ tool, session: "s1" })).verdicts.length;
    assert.deepEqual([await limitsFor("search"), await limitsFor("delete_file")], [1, 0]);
  });
});

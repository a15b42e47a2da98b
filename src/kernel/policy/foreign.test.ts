import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { hintedFaults } from "./fault-hints.ts";
import { readPolicy } from "./parse.ts";

type Limit = Record<string, unknown>;

const policyOf = (limit: Limit) => ({ version: 1, limits: [limit] });

function faultsOf(policy: unknown): Map<string, string | undefined> {
  const result = readPolicy(policy, hintedFaults);
  return new Map("policy" in result ? [] : result.faults.map(({ path, hint }) => [path, hint]));
}

/** What is written instead of a key, by its hint alone. */
function mended(limit: Limit, key: string): Limit {
  const hint = faultsOf(policyOf(limit)).get(`limits[0].${key}`);
  const [, text] = /^Write "(.+)" instead of "/.exec(hint ?? "") ?? [];
  if (text === undefined) throw assert.fail(`${key}: ${hint}`);
  const { [key]: _, ...rest } = limit;
  return { ...rest, ...parse(`{ ${text} }`) };
}

describe("keys of other tools", () => {
  it("have a hint that is accepted as it is written", () => {
    const cases: [key: string, value: unknown, limit: Limit, mended: Limit][] = [
      ["per_session", 10, {}, { per: ["session"], quota: 10 }],
      ["maxCallsPerUser", 10, {}, { per: ["user"], quota: 10 }],
      ["tokens_per_tenant", 10, {}, { per: ["tenant"], unit: "tokens", quota: 10 }],
      ["session_limit", 10, {}, { per: ["session"], quota: 10 }],
      ["scope", "user", { quota: 5 }, { per: ["user"], quota: 5 }],
      ["scope", ["user", "tool"], { quota: 5 }, { per: ["user", "tool"], quota: 5 }],
      ["tools", ["search"], { per: [], quota: 5 }, { per: [], quota: 5, when: { tool: ["search"] } }],
      ["tool", "mcp__*", { per: [], quota: 5 }, { per: [], quota: 5, when: { tool: ["mcp__*"] } }],
      ["max_tokens", 1000, { per: [] }, { per: [], unit: "tokens", quota: 1000 }],
      ["token_budget", 1000, { per: [] }, { per: [], unit: "tokens", quota: 1000 }],
      ["max_cost_usd", 2.5, { per: [] }, { per: [], unit: "usd_micros", quota: "$2.50" }],
      ["budget_usd", "$3", { per: [] }, { per: [], unit: "usd_micros", quota: "$3" }],
      ["max_spend", "much", { per: [] }, { per: [], unit: "usd_micros", quota: "$5" }],
      ["daily_limit", 9, { per: [] }, { per: [], quota: 9, window: "day" }],
      ["hourly_tokens", 9, { per: [] }, { per: [], algorithm: "fixed-window", unit: "tokens", quota: 9, window: "1h" }],
      ["max_requests_per_minute", 9, { per: [] }, { per: [], algorithm: "token-bucket", quota: 9, window: "1m" }],
      ["max_per_hour", 9, { per: [] }, { per: [], algorithm: "token-bucket", quota: 9, window: "1h" }],
      ["limit_per_day", 9, { per: [] }, { per: [], quota: 9, window: "day" }],
      ["monthly_quota", 9, { per: [] }, { per: [], quota: 9, window: "month" }],
      ["rate", "9/week", { per: [] }, { per: [], quota: 9, window: "week" }],
      ["rpd", 9, { per: [] }, { per: [], quota: 9, window: "day" }],
      ["period", "daily", { per: [], quota: 5 }, { per: [], quota: 5, window: "day" }],
      [
        "max_tokens_per_minute",
        9,
        { per: [] },
        { per: [], algorithm: "token-bucket", unit: "tokens", quota: 9, window: "1m" },
      ],
      ["on_exceed", "warn", { per: [], quota: 5 }, { per: [], quota: 5, mode: "warn" }],
      ["action", "log", { per: [], quota: 5 }, { per: [], quota: 5, mode: "shadow" }],
      ["dry_run", true, { per: [], quota: 5 }, { per: [], quota: 5, mode: "shadow" }],
      ["ttl_seconds", 3600, { per: [], quota: 5 }, { per: [], quota: 5, resetAfterIdle: "1h" }],
      ["lease_ms", 60_000, { per: [], quota: 5 }, { per: [], quota: 5, hold: { lease: "1m" } }],
      [
        "window_ms",
        60_000,
        { per: [], quota: 5, algorithm: "token-bucket" },
        { per: [], quota: 5, algorithm: "token-bucket", window: "1m" },
      ],
      [
        "reset",
        "daily",
        { per: [], quota: 5, algorithm: "fixed-window" },
        { per: [], quota: 5, algorithm: "fixed-window", window: "day" },
      ],
    ];
    for (const [key, value, limit, expected] of cases) {
      const found = mended({ name: "a", ...limit, [key]: value }, key);
      assert.deepEqual(found, { name: "a", ...expected }, key);
      assert.deepEqual([...faultsOf(policyOf(found))], [], key);
    }
  });

  it("say what to do where no other key is meant", () => {
    const own = (text: string) => `Write it in a limit of its own, with "${text}".`;
    const cases: [key: string, value: unknown, hint: RegExp | string][] = [
      ["enabled", true, 'Remove it. A limit with "mode: shadow" counts and never denies.'],
      ["priority", 1, /a call must pass all limits that match/],
      ["cooldown", "30s", /a denied call is told when to try again/],
      ["minInterval", "2s", /"algorithm: cooldown" and "pause: 2s"/],
      ["delay", "2s", /"algorithm: cooldown" and "pause: 2s"/],
      ["refill_rate", 10, /write "algorithm: token-bucket", quota, window and burst/],
      ["on_exceed", "deny", 'Remove "on_exceed": a call over the quota is denied.'],
      ["action", "deny", 'Remove "action": a call over the quota is denied.'],
      ["cost", 5, /is said by its tool: tools: \{ search: \{ cost: \{ tokens: 5 \} \} \}/],
      ["max_concurrent", 5, /"algorithm: concurrency" and "quota"/],
      ["default", 5, /for all values that "quotas" does not name/],
      ["scope", "user", 'Remove "scope": this limit has "per" already.'],
      ["rate", 5, 'Remove "rate": this limit has "quota" already.'],
      ["per_tool", 3, own("per: [tool], quota: 3")],
      ["max_tokens", 3, own("unit: tokens, quota: 3")],
      ["rpm", 3, own("algorithm: token-bucket, quota: 3, window: 1m")],
      [
        "window_seconds",
        60,
        /^Write "window: 1m" instead of "window_seconds"\. A window needs an algorithm\. .* any 1m/,
      ],
      ["reset", "hourly", /^Write "window: 1h" instead of "reset"\. A window needs an algorithm\. .* any 1h/],
      ["reset", "daily", 'Write "window: day" instead of "reset".'],
      ["plan", "pro", "Write when: { plan: pro }."],
      ["user", "u 1", 'Write when: { user: "u 1" }.'],
      ["// search", 5, "A comment begins with #."],
    ];
    for (const [key, value, hint] of cases) {
      const path = /^\w+$/.test(key) ? `.${key}` : `["${key}"]`;
      const found = faultsOf(policyOf({ name: "a", per: ["session"], quota: 5, [key]: value })).get(`limits[0]${path}`);
      if (typeof hint === "string") assert.equal(found, hint);
      else assert.match(found ?? "", hint);
    }
    const text = { name: "a", per: [], quota: 5, window_ms: "one" };
    assert.match(faultsOf(policyOf(text)).get("limits[0].window_ms") ?? "", /^Write "window" instead of "window_ms"\./);
  });

  it("say where to write what is in the wrong part of a policy", () => {
    const limits = [{ name: "a", per: ["session"], quota: 5 }];
    const hintAt = (policy: object, path: string) => faultsOf({ version: 1, limits, ...policy }).get(path);
    assert.equal(
      faultsOf({ tollgate: { version: 1, limits } }).get("tollgate"),
      'Remove the line "tollgate:", and write what is inside it at the top.',
    );
    assert.equal(hintAt({ rpm: 5 }, "rpm"), 'Write "rpm" in a limit, which is an entry of "limits".');
    const ofTool = (tool: unknown, key: string) => hintAt({ tools: { search: tool } }, `tools.search.${key}`);
    for (const key of ["rpm", "limit", "quota", "max_calls", "max_calls_per_session", "daily_limit"]) {
      assert.equal(ofTool({ [key]: 5 }, key), 'Write it in a limit of its own, with "when: { tool: search }".', key);
    }
    assert.equal(ofTool({ timeout: "5s" }, "timeout"), undefined);
    assert.equal(ofTool({ group: 1 }, "group"), 'Write "1", with quotes.');
    assert.equal(ofTool({ group: ["T1"] }, "group"), "A tool has one group: write group: T1.");
    assert.equal(ofTool({ group: {} }, "group"), undefined);
    assert.equal(ofTool({ cost: "$0.05" }, "cost"), "Name the unit: cost: { usd_micros: $0.05 }.");
    const ofLimit = (limit: object, path: string) =>
      hintAt({ limits: [{ name: "a", per: ["session"], quota: 5, ...limit }] }, `limits[0].${path}`);
    const override = [{ plan: "pro", quota: 5 }];
    assert.equal(ofLimit({ overrides: override }, "overrides[0].plan"), 'Write it in "when": { plan: pro }.');
    const result = readPolicy(policyOf({ name: "a", per: "session, tool", quota: 5 }), hintedFaults);
    assert.deepEqual("faults" in result && result.faults.map(({ expected, hint }) => [expected, hint]), [
      ["a list of dimensions", "Write a list: per: [session, tool]."],
    ]);
    assert.equal(ofLimit({ quotas: [{ search: 5 }] }, "quotas"), "Write an object: quotas: { tool: { search: 5 } }.");
    assert.equal(
      ofLimit({ per: [], quotas: { search: 5 } }, "quotas.search"),
      "Name the dimension that has these values: quotas: { tool: { search: 5 } }.",
    );
    assert.equal(ofLimit({ quota: { search: 5 } }, "quota"), 'Quotas by tool are "quotas: { tool: { search: 5 } }".');
    assert.match(
      ofLimit({ quota: { from: "db", default: 5 } }, "quota") ?? "",
      /^Write "from: call": the option quotas/,
    );
    assert.match(ofLimit({ quota: { from: "call", default: 5 } }, "quota") ?? "", /^Say all three, such as "quota: /);
    assert.equal(ofLimit({ algorithm: "streak" }, "of"), 'Add "of: errors" or "of: results".');
    assert.match(ofLimit({ per: "minute" }, "per") ?? "", /^Say whose quota it is: .* with "window: 1m"\.$/);
  });
});

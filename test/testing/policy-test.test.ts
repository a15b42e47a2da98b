// Policies are tested in virtual time: what a step may say, and that each of its expectations can fail.

import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import type { PolicyInput } from "tollgate";
import { loadPolicy } from "tollgate/policy";
import { type PolicyTest, type PolicyTestStep, testPolicy } from "tollgate/testing";
import { compiledPolicy, writtenPolicy } from "../../src/kernel/policy/parse.ts";
import { Coverage } from "../../src/testing/policy-test-coverage.ts";
import { coverageLines } from "../../src/testing/policy-test-text.ts";
import { runPolicyTests } from "../../src/testing/policy-test-run.ts";
import { ROOT } from "../sources.ts";

type LimitInput = PolicyInput["limits"][number];

const policyOf = (...limits: LimitInput[]): PolicyInput => ({ version: 1, limits });
const testOf = (steps: readonly PolicyTestStep[], more: Partial<PolicyTest> = {}): PolicyTest => ({
  name: "a test",
  for: { session: "s1", user: "u1" },
  ...more,
  steps,
});

/** Runs one test, which must pass. */
const passes = (policy: PolicyInput, steps: readonly PolicyTestStep[], more?: Partial<PolicyTest>) =>
  testPolicy(policy, [testOf(steps, more)]);

/** What is said of one test, which must fail. */
async function failureOf(policy: PolicyInput, steps: readonly PolicyTestStep[], more?: Partial<PolicyTest>) {
  const error = await testPolicy(policy, [testOf(steps, more)]).then(
    () => assert.fail("it passed"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof assert.AssertionError, String(error));
  return error.message;
}

const chat = policyOf({
  name: "messages-per-day",
  per: ["user"],
  window: "day",
  quota: 25,
  overrides: [{ when: { plan: "pro" }, quota: 500 }],
});
const two = policyOf({ name: "per-session", per: ["session"], quota: 2 });
const tokens = policyOf({ name: "tokens", per: ["session"], unit: "tokens", quota: 10_000 });
const slots = policyOf({ name: "slots", per: ["session"], algorithm: "concurrency", quota: 2 });

describe("a test of a policy", () => {
  it("tests a quota for each calendar day", async () => {
    await passes(
      chat,
      [
        { call: { tool: "chat" }, times: 25, expect: "allowed" },
        { call: { tool: "chat" }, expect: "denied", by: "messages-per-day", retryAfter: "12h" },
        { call: { tool: "chat", user: "u2" } },
        { wait: "12h" },
        { call: { tool: "chat" }, remaining: { "messages-per-day": 24 } },
        { call: { tool: "chat", plan: "pro" }, remaining: { "messages-per-day": 498 } },
      ],
      { at: "2026-03-01T12:00:00Z" },
    );
  });

  it("knows the days of a time zone, also the one that has 23 hours", async () => {
    const policy = policyOf({
      name: "daily",
      per: ["user"],
      window: "day",
      quota: 1,
      timezone: "Europe/Berlin",
    });
    await passes(
      policy,
      [
        { call: "search" },
        { call: "search", expect: "denied", retryAfter: "1m" },
        { wait: "1m" },
        { call: "search" },
        { call: "search", expect: "denied", retryAfter: "23h" },
        { at: "2026-03-30T00:00[Europe/Berlin]" },
        { call: "search" },
        { call: "search", expect: "denied", retryAfter: "24h" },
      ],
      { at: "2026-03-28T23:59:00+01:00" },
    );
  });

  it("accepts durations in parts, and waits rounded up to whole seconds, as failures print them", async () => {
    const policy = policyOf({ name: "minute", per: ["session"], algorithm: "sliding-window", window: "1m", quota: 1 });
    const steps = (retryAfter: string): PolicyTestStep[] => [
      { call: "x" },
      { wait: "1ms" },
      { call: "x", expect: "denied", retryAfter },
    ];
    for (const span of ["65998ms", "66s", "1m6s"]) await passes(policy, steps(span));
    for (const span of ["65s", "65997ms", "67s", "1m"]) {
      assert.match(await failureOf(policy, steps(span)), /got 65998ms \(1m6s\)\n/);
    }
    const hours = policyOf({ name: "time", per: ["session"], algorithm: "elapsed", quota: "2h" });
    await passes(hours, [{ call: "x" }, { wait: "1h29m30s" }, { call: "x", remaining: { time: "30m30s" } }]);
    const slow = policyOf({ name: "slow", per: ["session"], window: "7d", quota: 1, burst: 1 });
    const error = await failureOf(slow, [
      { call: "x" },
      { wait: "1d1h1m1s" },
      { call: "x", expect: "denied", retryAfter: "1s" },
    ]);
    assert.match(error, /expected 1s, got 5d22h58m59s\n/);
    await passes(slow, [
      { call: "x" },
      { wait: "1d1h1m1s" },
      { call: "x", expect: "denied", retryAfter: "5d22h58m59s" },
    ]);
  });

  it("removes a dimension of the test where a step has null", async () => {
    const policy = policyOf({ name: "pro", per: ["session"], when: { plan: "pro" }, quota: 1 });
    const shared = { for: { session: "s1", plan: "pro" } };
    await passes(policy, [{ call: "x" }, { call: { tool: "x", plan: null }, times: 3, exceeded: [] }], shared);
    const users = policyOf({ name: "users", per: ["user"], onMissing: "skip", quota: 1 });
    await passes(users, [{ call: "x" }, { call: { tool: "x", user: null }, times: 3 }]);
    await passes(users, [{ call: "x" }, { bucket: { limit: "users", session: null }, used: 1 }]);
  });

  it("waits for a hundred years at once", async () => {
    const beganMs = performance.now();
    const policy = policyOf({ name: "monthly", per: ["user"], window: "month", quota: 1 });
    await passes(policy, [
      { call: "search" },
      { call: "search", expect: "denied" },
      { wait: "36500d" },
      { call: "search" },
      { call: "search", expect: "denied", by: "monthly" },
    ]);
    assert.ok(performance.now() - beganMs < 10_000);
  });

  it("holds a call's estimate, and books its usage", async () => {
    await passes(tokens, [
      { call: { tool: "model", cost: { tokens: 4_000 } }, usage: { tokens: 3_127 }, remaining: { tokens: 6_873 } },
      { call: "model", cost: { tokens: 6_873 }, as: "long" },
      { bucket: { limit: "tokens" }, used: 10_000, remaining: 0, quota: 10_000 },
      { call: "model", cost: { tokens: 1 }, expect: "denied", by: "tokens", retryAfter: "never" },
      { end: "long", usage: { tokens: 1_000 } },
      { bucket: { limit: "tokens" }, used: 4_127 },
    ]);
  });

  it("refunds a failed call where the policy says so", async () => {
    const policy: PolicyInput = { ...two, onError: "refund" };
    await passes(policy, [{ call: "search", error: true, times: 5, remaining: { "per-session": 2 } }]);
    await passes(two, [
      { call: "search", error: true, times: 2 },
      { call: "search", expect: "denied" },
    ]);
    await passes(policy, [
      { call: "search", as: "a" },
      { end: "a", error: true },
      { call: "search", times: 2 },
    ]);
  });

  it("keeps calls open beyond their lease, until they end or reach maxHold", async () => {
    await passes(slots, [
      { call: "slow", times: 2, as: "slow" },
      { wait: "50m" },
      { call: "slow", expect: "denied", by: "slots", exceeded: ["slots"] },
      { end: "slow" },
      { call: "slow", remaining: { slots: 2 } },
      { call: "slow", as: "again", remaining: { slots: 1 } },
      { wait: "59m" },
      { bucket: { limit: "slots" }, used: 1 },
      { wait: "10m" },
      { bucket: { limit: "slots" }, used: 0 },
    ]);
  });

  it("counts failures and equal results in a row", async () => {
    const policy = policyOf(
      { name: "failing", per: ["session"], algorithm: "streak", of: "errors", quota: 2 },
      { name: "same", per: ["session"], algorithm: "streak", of: "results", quota: 2 },
    );
    await passes(policy, [
      { call: "search", times: 9 },
      { call: "search", error: true },
      { call: "search" },
      { call: "search", error: true, times: 2 },
      { call: "search", expect: "denied", by: "failing" },
    ]);
    await passes(policy, [
      { call: "search", result: { found: 1 } },
      { call: "search", result: { found: 1 } },
      { call: "search", expect: "denied", by: "same" },
    ]);
    await passes(policy, [
      { call: "search", as: "a" },
      { end: "a", result: null },
      { call: "search", result: null },
      { call: "search", expect: "denied", by: "same" },
    ]);
  });

  it("includes limits that only warn or count", async () => {
    const policy = policyOf(
      { name: "soft", per: ["session"], quota: 1, mode: "warn" },
      { name: "counted", per: ["session"], quota: 2, mode: "shadow" },
      { name: "hard", per: ["session"], quota: 3 },
    );
    await passes(policy, [
      { call: "search", exceeded: [], notice: false },
      { call: "search", exceeded: ["soft"], notice: true },
      { call: "search", exceeded: ["counted", "soft"] },
      { call: "search", expect: "denied", by: "hard", exceeded: ["soft", "counted", "hard"] },
    ]);
  });

  it("checks the texts for the model", async () => {
    const policy = policyOf({
      name: "per-session",
      per: ["session"],
      quota: 2,
      notice: { at: 0.5, message: "Only {remaining} left." },
      message: "Stop now, {limit}.",
    });
    await passes(policy, [
      { call: "search", notice: "Only 1" },
      { call: "search", notice: true },
      { call: "search", expect: "denied", message: "Stop now, per-session" },
    ]);
    await passes(policyOf({ name: "a", per: [], quota: 9, notice: { at: "never" } }), [{ call: "x", notice: false }]);
  });

  it("grants units and empties buckets", async () => {
    await passes(two, [
      { call: "search", times: 2 },
      { call: "search", expect: "denied" },
      { grant: { limit: "per-session" }, units: 1, duration: "1h" },
      { call: "search" },
      { call: "search", expect: "denied" },
      { reset: { limit: "per-session" } },
      { bucket: { limit: "per-session" }, used: 0 },
      { bucket: { limit: "per-session", session: "s2" }, used: 0 },
    ]);
  });

  it("finds the bucket of a call by its tool, its group and its arguments", async () => {
    const policy: PolicyInput = {
      version: 1,
      tools: { write: { group: "changes" } },
      limits: [
        { name: "same", per: ["session", "tool", "args"], quota: 3 },
        { name: "changes", per: ["session", "group"], quota: 4 },
        { name: "cities", per: ["session"], distinct: "city", onMissing: "skip", quota: 2 },
      ],
    };
    const write = (path: string) => ({ tool: "write", args: { path } });
    await passes(policy, [
      { call: write("a"), times: 2, remaining: { same: 1, changes: 2 } },
      { call: { ...write("b"), city: "Rome" }, remaining: { same: 2, changes: 1, cities: 1 } },
      { bucket: { limit: "same", tool: "write", args: { path: "a" } }, used: 2 },
      { bucket: { limit: "changes", group: "changes" }, used: 3 },
    ]);
  });

  it("accepts amounts wherever it has units, as a policy does", async () => {
    const policy: PolicyInput = {
      version: 1,
      limits: [
        { name: "tokens", per: ["session"], unit: "tokens", quota: "100k" },
        { name: "money", per: ["session"], unit: "usd_micros", quota: "$5" },
        { name: "time", per: ["session"], algorithm: "elapsed", quota: "2h" },
      ],
    };
    await passes(policy, [
      {
        call: { tool: "model", cost: { tokens: "50k", usd_micros: "$0.02" } },
        usage: { tokens: "49_500", usd_micros: "$0.015" },
        remaining: { tokens: "50_500", money: "$4.985", time: "2h" },
      },
      { call: "model", cost: { tokens: "1k", usd_micros: 0 }, remaining: { tokens: "49_500" } },
      { wait: "30m" },
      { grant: { limit: "money" }, units: "$2", duration: "1h" },
      { bucket: { limit: "money" }, used: "$0.015", remaining: "$6.985", quota: "$5" },
      { bucket: { limit: "time" }, used: "30m", remaining: "90m", quota: "120m" },
    ]);
  });

  it("brings quotas with a call, and with a bucket", async () => {
    const policy = policyOf(
      { name: "monthly", per: ["user"], window: "month", quota: { from: "call", default: 2, max: "50k" } },
      { name: "soft", per: ["user"], mode: "warn", quota: { from: "call", default: 1, max: "unlimited" } },
    );
    await passes(policy, [
      { call: "x", times: 2 },
      { call: "x", expect: "denied", by: "monthly" },
      { call: "x", quotas: { monthly: 3 }, remaining: { monthly: 0 } },
      { call: "x", quotas: { monthly: "25k", soft: "unlimited" }, remaining: { monthly: 24_996, soft: "unlimited" } },
      { call: "x", quotas: { monthly: "1M" }, remaining: { monthly: 49_995 }, as: "open" },
      { end: "open" },
      { bucket: { limit: "monthly" }, used: 5, quota: 2 },
      { bucket: { limit: "monthly" }, quotas: { monthly: "25k" }, remaining: 24_995, quota: "25k" },
    ]);
  });

  it("numbers calls that are made several times", async () => {
    const policy = policyOf(
      { name: "same", per: ["session", "args"], quota: 1 },
      { name: "users", per: ["session"], distinct: "user", quota: 3 },
    );
    await passes(policy, [
      { call: { tool: "x", user: "u{n}", args: { pages: ["{n}", { of: "p{n}-{n}" }], of: 5 } }, times: 3 },
      { bucket: { limit: "same", args: { pages: ["3", { of: "p3-3" }], of: 5 } }, used: 1 },
      { call: { tool: "x", user: "u4" }, expect: "denied", by: "users" },
      { call: { tool: "x", user: "u1", args: { literal: "{n}" } } },
      { bucket: { limit: "same", args: { literal: "{n}" } }, used: 1 },
    ]);
  });

  it("gives each test a limiter of its own, and the same answer each time", async () => {
    const failing = testOf([{ call: "search", times: 3 }]);
    const tests = [failing, testOf([{ call: "search", times: 2 }]), failing];
    const policy = compiledPolicy(two);
    const first = await runPolicyTests(policy, tests);
    assert.deepEqual(
      first.map(({ failure }) => failure?.nth?.n ?? null),
      [3, null, 3],
    );
    assert.deepEqual(await runPolicyTests(policy, tests), first);
  });

  it("needs none of the timers that a test runner may have replaced", async () => {
    mock.timers.enable();
    try {
      await passes(slots, [{ call: "slow", as: "a" }, { wait: "30m" }, { end: "a" }, { call: "slow", times: 3 }]);
    } finally {
      mock.timers.reset();
    }
  });

  it("runs the policy's own tests by default", async () => {
    await testPolicy({ ...two, tests: [testOf([{ call: "search", times: 2 }])] });
    await assert.rejects(
      testPolicy({ ...two, tests: [testOf([{ call: "search", times: 3 }])] }),
      assert.AssertionError,
    );
    await assert.rejects(testPolicy(two), /tests: expected a list of tests, got nothing/);
  });
});

describe("a failed test of a policy", () => {
  it("has the position, the call, what was expected and found, and each limit's verdict", async () => {
    const policy = policyOf(
      { name: "messages-per-day", per: ["user"], window: "day", quota: 2 },
      { name: "spend", per: ["user"], unit: "usd_micros", quota: 5_000_000 },
      { name: "soft", per: ["user"], quota: 1, mode: "warn" },
    );
    const call = { tool: "chat", user: "u1", plan: "free", args: { to: ["Jo Doe", "yes"] } };
    const limits: PolicyInput = { ...policy, limits: [...policy.limits, chat.limits[0] as LimitInput] };
    const named: PolicyInput = {
      ...limits,
      limits: limits.limits.map((limit, i) => ({
        ...limit,
        name: `${limit.name}${i === 3 ? "-2" : ""}`,
      })) as LimitInput[],
    };
    const error = await testPolicy(named, [
      testOf([{ call }], { name: "fine" }),
      testOf([{ wait: "1h" }, { call, cost: { usd_micros: 10_000 }, times: 4 }], {
        name: "four messages a day",
        at: "2026-03-01T12:00:00Z",
        for: {},
      }),
    ]).catch((thrown: Error) => thrown);
    assert.equal(
      error?.message,
      [
        "1 of 2 policy tests failed",
        "",
        "FAILED: four messages a day",
        "  tests[1].steps[1]: step 2, call 3 of 4, at 2026-03-01T13:00:00Z",
        '  { tool: chat, user: u1, plan: free, args: { to: ["Jo Doe", "yes"] }, cost: { usd_micros: 10000 } }',
        "    expect: expected allowed, got denied",
        "  The call was denied, retryAfter 11h:",
        "    messages-per-day    denied                cost 1 call  0 of 2 calls left    resets after 11h",
        "    spend               allowed               cost $0.01   $4.98 of $5 left     resets after 30d",
        "    soft                exceeded, only warns  cost 1 call  0 of 1 call left     resets after 30d",
        "    messages-per-day-2  allowed               cost 1 call  23 of 25 calls left  resets after 11h",
      ].join("\n"),
    );
  });

  it("prints amounts, spans and prices that a reader can use", async () => {
    const policy = policyOf(
      { name: "tokens", per: ["session"], unit: "tokens", quota: "200k", resetAfterIdle: "never" },
      { name: "money", per: ["session"], unit: "usd_micros", quota: "$440", mode: "shadow" },
      { name: "rate", per: ["session"], quota: 60, window: "1m", burst: 10 },
      { name: "none", per: ["session"], quota: 0, mode: "shadow" },
      { name: "minute", per: ["session"], algorithm: "sliding-window", window: "1m", quota: 1 },
      { name: "time", per: ["session"], algorithm: "elapsed", quota: "2h" },
    );
    const error = await failureOf(policy, [
      { call: "x", cost: { tokens: 1_500 } },
      { wait: "1ms" },
      { call: "x", expect: "denied", by: "minute", retryAfter: "1m" },
    ]);
    assert.match(error, / retryAfter: expected 1m, got 65998ms \(1m6s\)\n/);
    assert.match(error, /The call was denied, retryAfter 65998ms \(1m6s\):\n/);
    assert.match(error, / tokens +allowed +no price +198_500 of 200k tokens left +never resets\n/);
    assert.match(error, / money +allowed +no price +\$440 of \$440 left\n/);
    assert.match(error, / rate +allowed +cost 1 call +9 of 10 calls left +resets after 999ms\n/);
    assert.match(error, / none +exceeded, only counts +cost 1 call +0 of 0 calls left +resets after 30 d\n/);
    assert.match(error, / time +allowed +7199999ms of 2h left$/);
    const left = { call: "x", remaining: { tokens: 5, money: "$3", time: "1h" } } as const;
    const again = await failureOf(
      policyOf(...(policy.limits.slice(0, 2) as LimitInput[]), policy.limits[5] as LimitInput),
      [left],
    );
    assert.match(again, / remaining tokens: expected 5, got 200k\n/);
    assert.match(again, / remaining money: expected \$3, got \$440\n/);
    assert.match(again, / remaining time: expected 1h, got 2h\n/);
  });

  it("names what a streak counts, for which calls have no cost", async () => {
    const policy = policyOf({ name: "row", per: ["session"], algorithm: "streak", of: "results", quota: 2 });
    const error = await failureOf(policy, [
      { call: "x", result: null, times: 2 },
      { call: "y", result: null },
    ]);
    assert.match(error, / row +denied +counts results +0 of 2 /);
  });

  const notice = policyOf({ name: "per-session", per: ["session"], quota: 2, notice: { at: 0.5 } });
  const cases: readonly [PolicyInput, PolicyTestStep[], RegExp][] = [
    [
      two,
      [{ call: "x", expect: "denied" }],
      /steps\[0\].*\n.*\n +expect: expected denied, got allowed\n +The call was allowed:/,
    ],
    [two, [{ call: "x", times: 3 }], /step 1, call 3 of 3.*\n.*\n +expect: expected allowed, got denied\n/],
    [
      slots,
      [
        { call: "x", times: 2, as: "a" },
        { call: "x", expect: "denied", by: "slots", retryAfter: "1s" },
      ],
      / retryAfter: expected 1s, got 2m\n/,
    ],
    [
      two,
      [
        { call: "x", times: 2 },
        { call: "x", expect: "denied", retryAfter: "1h" },
      ],
      / retryAfter: expected 1h, got never\n/,
    ],
    [
      chat,
      [
        { call: "x", times: 25 },
        { call: "x", expect: "denied", retryAfter: "never" },
      ],
      / retryAfter: expected never, got 1d\n/,
    ],
    [two, [{ call: "x", remaining: { "per-session": 2 } }], / remaining per-session: expected 2, got 1\n/],
    [two, [{ call: "x", exceeded: ["per-session"] }], / exceeded: expected \[per-session\], got \[\]\n/],
    [notice, [{ call: "x", notice: false }], / notice: expected no notice, got "Only 1 of 2 .*"\n/],
    [notice, [{ call: "x", notice: "none" }], / notice: expected "none", got "Only 1 of 2 .*"\n/],
    [two, [{ call: "x", notice: true }], / notice: expected a notice, got no notice\n/],
    [
      two,
      [
        { call: "x", times: 2 },
        { call: "x", expect: "denied", message: "yes" },
      ],
      / message: expected "yes", got "Limit reached .*"\n/,
    ],
    [
      two,
      [{ bucket: { limit: "per-session" }, used: 1, remaining: 2, quota: 3 }],
      / used: expected 1, got 0\n +quota: expected 3, got 2$/,
    ],
    [
      tokens,
      [{ call: "x", cost: { tokens: 1 }, remaining: { tokens: "unlimited" } }],
      / remaining tokens: expected unlimited, got 9999\n/,
    ],
    [chat, [{ call: { tool: "x", user: "" } }], / user: expected a string of 1 to .*, got ""$/],
    [
      two,
      [{ bucket: { limit: "per-session", session: "" }, used: 0 }],
      / session: expected a string of 1 to .*, got ""$/,
    ],
    [
      policyOf({ name: "a", per: ["tool"], quota: 1 }),
      [{ bucket: { limit: "a" }, used: 0 }],
      / bucket: expected all dimensions of the limit.*, got 0 buckets$/,
    ],
  ];
  for (const [policy, steps, expected] of cases) {
    it(`of ${JSON.stringify(steps.at(-1))}`, async () => assert.match(await failureOf(policy, steps), expected));
  }

  it("names a limit that denied unexpectedly", async () => {
    const policy = policyOf({ name: "short", per: ["session"], quota: 1 }, { name: "other", per: ["user"], quota: 9 });
    const steps: PolicyTestStep[] = [{ call: "x" }, { call: "x", expect: "denied", by: "other" }];
    assert.match(await failureOf(policy, steps), / by: expected other, got short\n/);
  });

  it("stops at its first failed step, and ends what is open", async () => {
    const text = await failureOf(slots, [
      { call: "x", as: "a" },
      { call: "x", expect: "denied" },
      { call: "x", times: 9 },
    ]);
    assert.equal(text.split("FAILED").length, 2);
    assert.match(text, /step 2/);
  });

  it("reports a call without limits, and a time that is too long", async () => {
    const policy = policyOf({ name: "a", per: ["session"], when: { tool: "other" }, quota: 1 });
    assert.match(
      await failureOf(policy, [{ call: "x", remaining: { a: 1 } }]),
      / remaining a: expected 1, got no verdict: the limit is not for this call\n +The call was allowed: no limit of the policy is for it\.$/,
    );
    const quick: PolicyInput = {
      ...policyOf({ name: "slots", per: ["session"], algorithm: "concurrency", quota: 1, hold: { lease: "3ms" } }),
      maxHold: "36500d",
    };
    assert.match(
      await failureOf(quick, [{ call: "x", as: "a" }, { wait: "36500d" }]),
      / wait: expected at most 20000 extensions of open calls in one step, got more/,
    );
  });

  it("has the store's refusal", async () => {
    assert.match(
      await failureOf(tokens, [{ call: "x", cost: { tokens: 1 }, times: 1_001, as: "a" }]),
      /step 1, call 1001 of 1001, .*\n.*\n +store: expected an answer, got .*holds/,
    );
  });

  it("is one failure among others", async () => {
    const error = await testPolicy(two, [
      testOf([{ call: "x", times: 3 }], { name: "one" }),
      testOf([{ call: "x" }]),
      testOf([{ call: "x", expect: "denied" }], { name: "three" }),
    ]).catch((thrown: Error) => thrown);
    assert.match(error?.message ?? "", /^2 of 3 policy tests failed\n\nFAILED: one\n.*\n\nFAILED: three\n/s);
  });
});

describe("the coverage of policy tests", () => {
  it("names limits, quotas and overrides that no call reached", async () => {
    const policy = compiledPolicy(
      policyOf(
        {
          name: "mail",
          per: ["session"],
          quota: 5,
          quotas: { tool: { send_email: 1, send_letter: 2 } },
          overrides: [
            { when: { plan: "pro" }, quota: 9 },
            { when: { plan: "max" }, quota: 99 },
          ],
        },
        { name: "other", per: ["session"], when: { tool: "other" }, quota: 1 },
      ),
    );
    const coverage = new Coverage(policy);
    await runPolicyTests(
      policy,
      [
        testOf([
          { call: "send_email", exceeded: [] },
          { call: "send_email", expect: "denied" },
          { call: { tool: "x", plan: "max" } },
        ]),
      ],
      coverage,
    );
    assert.deepEqual(coverage.limits(), [
      { limit: "mail", reached: true, exceeded: true, unreached: ["quotas.tool.send_letter", "overrides[0]"] },
      { limit: "other", reached: false, exceeded: false, unreached: [] },
    ]);
  });
});

describe("the coverage of unlimited quotas", () => {
  it("lists unlimited quotas that no call had, and needs no call that exceeds them", async () => {
    const some = { algorithm: "concurrency", quota: 1, quotas: { plan: { pro: 2, max: "unlimited" } } } as const;
    const policy = compiledPolicy(
      policyOf(
        { name: "calls", per: ["user"], window: "day", quota: 1, quotas: { plan: { max: "unlimited" } } },
        { name: "slots", per: ["user"], ...some },
        { name: "free", per: ["user"], quota: "unlimited", quotas: { plan: { max: "unlimited" } } },
        { name: "bought", per: ["user"], quota: { from: "call", default: "unlimited", max: "unlimited" } },
      ),
    );
    const linesOf = async (...calls: PolicyTestStep[]) => {
      const coverage = new Coverage(policy);
      await runPolicyTests(policy, [testOf(calls)], coverage);
      return coverageLines(coverage.limits());
    };
    const fitting = "No test exceeded: calls, slots, bought";
    assert.deepEqual(await linesOf({ call: { tool: "x", plan: "max" } }), [
      "No test reached: slots: quotas.plan.pro",
      fitting,
    ]);
    assert.deepEqual(await linesOf({ call: "x" }), [
      "No test reached: calls: quotas.plan.max, slots: quotas.plan.pro, slots: quotas.plan.max, free: quotas.plan.max",
      fitting,
    ]);
  });
});

describe("the sample policy", () => {
  it("has tests that pass and reach each limit", async () => {
    const policy = compiledPolicy(loadPolicy(`${ROOT}sample-policy.yaml`));
    await testPolicy(policy);
    const coverage = new Coverage(policy);
    await runPolicyTests(policy, writtenPolicy(policy).tests as PolicyTest[], coverage);
    for (const { limit, exceeded } of coverage.limits()) assert.ok(exceeded, limit);
  });
});

describe("tests in a policy", () => {
  it("keep no policy from being used, right or wrong", () => {
    for (const tests of [[testOf([{ call: "x", expect: "denied" }])], [{ nonsense: true }], 5, null]) {
      assert.equal(compiledPolicy({ ...two, tests }).limits.length, 1);
    }
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "../algorithms/registry.ts";
import { algorithmOf } from "../algorithms/registry.ts";
import { DIMENSIONS } from "../call.ts";
import { MisuseError } from "../errors.ts";
import type { Limit } from "../limit.ts";
import { allotmentsOf, compiledPolicy, writtenPolicy } from "./parse.ts";
import type { LimitInput, PolicyInput } from "./input.ts";

const DAY = 86_400_000;

function policy(...limits: object[]): PolicyInput {
  const named = limits.map((limit, i) => ({ name: `limit-${i}`, per: [], ...limit }));
  return { version: 1, limits: named as unknown as LimitInput[] };
}

function compiled(limit: object): Limit {
  const [first] = compiledPolicy(policy(limit)).limits;
  assert.ok(first);
  return first;
}

const MAX = Number.MAX_SAFE_INTEGER;
/** What most allotments say beside their numbers. */
const COUNTED = { isCounted: true, claims: null, windowMs: null };

describe("compiledPolicy", () => {
  it("fills in missing keys of a policy", () => {
    const made = compiledPolicy(policy({ quota: 5 }));
    assert.equal(made.partition, "session");
    assert.equal(made.toolNamed("any tool"), undefined);
    assert.deepEqual(made.units, new Set(["calls"]));
    assert.deepEqual(made.tools, []);
    const spec: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 30 * DAY, ttlFrom: "last" };
    const limit = { name: "limit-0", per: [], unit: "calls", quotas: [] };
    const hold = { leaseMs: 120_000, onExpiry: "charge", onError: null };
    const words = {
      mode: "enforce",
      isBorrowing: false,
      onMissing: "error",
      notice: { at: 0.8, message: null },
      message: null,
      tools: null,
      isOfModel: false,
      overrides: [],
      onStoreError: "share",
    };
    const kind = { isPriced: true, callPrice: null, distinct: null, reports: null, calendar: null };
    const [only] = made.limits;
    assert.deepEqual(only, {
      ...limit,
      ...hold,
      ...words,
      ...kind,
      dimensions: new Set(),
      matches: only?.matches,
      selects: null,
      overrideFor: only?.overrideFor,
      allotment: { ...COUNTED, quota: 5, spec, capacity: 5, noticeBelow: 5 * (1 - 0.8 + 1e-9) },
    });
    assert.equal(only?.matches("any tool"), true);
    assert.equal(made.onError, "charge");
    assert.equal(made.maxHoldMs, 3_600_000);
    assert.deepEqual(made.log, { allowed: 1, denied: 1 });
  });

  it("keeps the values of a policy", () => {
    const made = compiledPolicy({
      version: 1,
      partition: "tenant",
      tools: { search: {}, book: { cost: { usd_micros: 50, constructor: 0 } } },
      limits: [
        {
          name: "a",
          per: ["user", "tool"],
          quota: 5,
          quotas: { tool: { send: 1, book: 2, wait: "unlimited" } },
          onMissing: "skip",
        },
        { name: "b", per: ["tool", "user"], quota: 5, quotas: { user: { "no-tool": 1 } }, unit: "tokens" },
      ],
    });
    assert.equal(made.partition, "tenant");
    assert.deepEqual(made.toolNamed("book")?.cost, { usd_micros: 50, constructor: 0 });
    assert.deepEqual([made.toolNamed("search")?.cost, made.toolNamed("constructor")], [undefined, undefined]);
    assert.deepEqual(made.units, new Set(["calls", "tokens"]));
    assert.deepEqual(made.tools, ["search", "book", "send", "wait"]);
    const [a, b] = made.limits;
    assert.deepEqual([a?.onMissing, a?.unit, a?.per], ["skip", "calls", ["user", "tool"]]);
    assert.deepEqual([b?.onMissing, b?.unit, b?.per], ["error", "tokens", ["tool", "user"]]);
    const [byTool] = a?.quotas ?? [];
    assert.equal(byTool?.dimension, "tool");
    assert.deepEqual([...(byTool?.allotments.keys() ?? [])], ["send", "book", "wait"]);
    assert.equal(byTool?.allotments.get("send")?.quota, 1);
    assert.deepEqual(byTool?.allotments.get("book")?.spec, { ...a?.allotment.spec, quota: 2 });
    assert.equal(byTool?.allotments.get("wait")?.quota, null);
  });

  it("says how units are held", () => {
    const held = (limit: object) => {
      const { leaseMs, onExpiry } = compiled({ quota: 5, ...limit });
      return [leaseMs, onExpiry];
    };
    assert.deepEqual(held({ hold: {} }), [120_000, "charge"]);
    assert.deepEqual(held({ hold: { lease: "1d", onExpiry: "refund" } }), [DAY, "refund"]);
    assert.deepEqual(held({ algorithm: "concurrency" }), [120_000, "refund"]);
    assert.deepEqual(held({ algorithm: "concurrency", hold: { lease: "5s" } }), [5_000, "refund"]);
    assert.equal(compiledPolicy({ ...policy({ quota: 5 }), onError: "refund" }).onError, "refund");
    assert.equal(compiledPolicy({ ...policy({ quota: 5 }), maxHold: "90s" }).maxHoldMs, 90_000);
  });

  it("says what a failed call costs in a limit, and of a tool", () => {
    assert.equal(compiled({ quota: 5, onError: "refund" }).onError, "refund");
    assert.equal(compiled({ algorithm: "concurrency", quota: 5 }).onError, null);
    const tools = { search: { onError: "refund" }, book: {} } as const;
    const { toolNamed } = compiledPolicy({ ...policy({ quota: 5 }), tools });
    assert.deepEqual([toolNamed("search")?.onError, toolNamed("book")?.onError], ["refund", undefined]);
  });

  it("knows which tools a limit is for, their groups, and whose quota is another", () => {
    const made = compiledPolicy({
      ...policy({
        quota: 5,
        when: { tool: ["book", "send_*"] },
        overrides: [{ when: { plan: 7, user: "u" }, quota: "unlimited" }],
      }),
      tools: { book: { group: "T3", ignoreArgs: ["id"] }, search: {} },
    });
    const [limit] = made.limits;
    assert.deepEqual(
      ["book", "send_email", "search", "books"].map((tool) => limit?.matches(tool)),
      [true, true, false, false],
    );
    const said: Record<string, string> = { plan: "7", user: "u" };
    const spec: LimitSpec = { ...(limit?.allotment.spec as { algorithm: "budget" }), quota: MAX } as LimitSpec;
    const free = { ...COUNTED, quota: null, spec, capacity: MAX, noticeBelow: 0 };
    assert.deepEqual(
      limit?.overrideFor((name) => said[name]),
      free,
    );
    assert.equal(
      limit?.overrideFor((name) => (name === "plan" ? "7" : undefined)),
      undefined,
    );
    assert.deepEqual(made.groups, new Set(["T3"]));
    assert.deepEqual(made.toolNamed("book")?.ignoreArgs, new Set(["id"]));
    assert.deepEqual([...made.dimensions].slice(DIMENSIONS.length), ["plan"]);
    assert.equal(made.callWords.has("plan") && made.callWords.has("args") && !made.callWords.has("group"), true);
    assert.equal(made.bucketWords.has("plan") && made.bucketWords.has("group") && !made.bucketWords.has("cost"), true);
  });

  it("keeps the texts of a limit", () => {
    const spoken = (limit: object) => {
      const { mode, notice, message, allotment } = compiled({ quota: 5, ...limit });
      assert.equal(allotment?.noticeBelow, notice.at === null ? 0 : 5 * (1 - notice.at + 1e-9));
      return [mode, notice.at, notice.message, message];
    };
    assert.deepEqual(spoken({ mode: "shadow", notice: { at: 0.5 }, message: "{quota}" }), [
      "shadow",
      0.5,
      null,
      "{quota}",
    ]);
    assert.deepEqual(spoken({ mode: "enforce", notice: { at: "never", message: "{used}" } }), [
      "enforce",
      null,
      "{used}",
      null,
    ]);
    assert.deepEqual(spoken({ algorithm: "token-bucket", window: "1m", notice: {} }), ["enforce", null, null, null]);
  });

  it("says how long windows are, where they have one length", () => {
    const lengthOf = (limit: object) => compiled({ quota: 7, ...limit }).allotment?.windowMs;
    for (const algorithm of ["fixed-window", "sliding-window", "token-bucket"]) {
      assert.equal(lengthOf({ algorithm, window: "1m" }), 60_000, algorithm);
    }
    assert.equal(lengthOf({ algorithm: "token-bucket", window: "7s", burst: 3 }), 7_000);
    assert.equal(lengthOf({ algorithm: "token-bucket", window: "1m", quota: 0 }), 60_000);
    const others = [
      {},
      { resetAfter: "1h" },
      { algorithm: "fixed-window", window: "day" },
      { algorithm: "concurrency" },
      { algorithm: "elapsed", quota: "1h" },
      { algorithm: "streak", of: "errors" },
    ];
    for (const limit of others) assert.equal(lengthOf(limit), null, JSON.stringify(limit));
  });

  it("gives each algorithm its numbers", () => {
    const window = "100ms";
    const cases: [limit: object, LimitSpec][] = [
      [{ per: ["turn"] }, { algorithm: "budget", quota: 6, ttlMs: DAY, ttlFrom: "last" }],
      [
        { algorithm: "budget", per: ["session"] },
        { algorithm: "budget", quota: 6, ttlMs: 30 * DAY, ttlFrom: "last" },
      ],
      [
        { resetAfterIdle: "1s", per: ["turn"] },
        { algorithm: "budget", quota: 6, ttlMs: 1000, ttlFrom: "last" },
      ],
      [{ resetAfter: "1m" }, { algorithm: "budget", quota: 6, ttlMs: 60_000, ttlFrom: "first" }],
      [
        { algorithm: "fixed-window", window },
        { algorithm: "fixed-window", quota: 6, windowMs: 100, align: "epoch" },
      ],
      [
        { algorithm: "fixed-window", window, align: "first-use" },
        { algorithm: "fixed-window", quota: 6, windowMs: 100, align: "first-use" },
      ],
      [{ algorithm: "concurrency" }, { algorithm: "concurrency", quota: 6 }],
      [
        { algorithm: "sliding-window", window },
        { algorithm: "sliding-window", quota: 6, windowMs: 100 },
      ],
      [
        { algorithm: "token-bucket", window },
        { algorithm: "token-bucket", burst: 6, levelPerUnit: 50, levelPerMs: 3 },
      ],
      [
        { algorithm: "token-bucket", window, burst: 9 },
        { algorithm: "token-bucket", burst: 9, levelPerUnit: 50, levelPerMs: 3 },
      ],
      [
        { algorithm: "token-bucket", window: "6ms" },
        { algorithm: "token-bucket", burst: 6, levelPerUnit: 1, levelPerMs: 1 },
      ],
    ];
    for (const [limit, spec] of cases) {
      const { quota, spec: found, capacity } = compiled({ quota: 6, ...limit }).allotment ?? {};
      assert.deepEqual([quota, found], [6, spec], JSON.stringify(limit));
      assert.equal(capacity, "burst" in spec ? spec.burst : 6);
    }
    const none = compiled({ algorithm: "token-bucket", window, quota: 0, burst: 9 }).allotment;
    assert.deepEqual(none?.spec, { algorithm: "token-bucket", burst: 0, levelPerUnit: 100, levelPerMs: 1 });
    assert.deepEqual([none?.quota, none?.capacity], [0, 0]);
  });

  it("compiles what counts values, outcomes and time", () => {
    const kindOf = (limit: object) => {
      const { unit, isPriced, distinct, reports, mode, notice } = compiled({ per: ["user"], quota: 3, ...limit });
      return { unit, isPriced, distinct, reports, mode, at: notice.at };
    };
    const priced = { unit: "calls", isPriced: true, distinct: null, reports: null, mode: "enforce", at: 0.8 } as const;
    const told = { ...priced, isPriced: false, at: null };
    const window = { algorithm: "fixed-window", window: "1h" };
    const cases: [limit: object, ReturnType<typeof kindOf>][] = [
      [{}, priced],
      [{ unit: "tokens" }, { ...priced, unit: "tokens" }],
      [{ distinct: "session" }, { ...priced, unit: "sessions", isPriced: false, distinct: "session" }],
      [{ distinct: "args" }, { ...priced, unit: "args", isPriced: false, distinct: "args" }],
      [
        { ...window, distinct: "plan" },
        { ...told, unit: "plans", distinct: "plan" },
      ],
      [
        { algorithm: "elapsed", quota: "1h" },
        { ...told, unit: "ms", at: 0.8 },
      ],
      [
        { algorithm: "streak", of: "errors" },
        { ...told, unit: "errors", reports: "errors" },
      ],
      [
        { algorithm: "streak", of: "results", notice: { at: 0.5 } },
        { ...told, unit: "results", reports: "results", at: 0.5 },
      ],
      [
        { algorithm: "streak", of: "results", mode: "warn" },
        { ...told, unit: "results", reports: "results", mode: "warn" },
      ],
    ];
    for (const [limit, kind] of cases) assert.deepEqual(kindOf(limit), kind, JSON.stringify(limit));
    const made = compiledPolicy(
      policy({ distinct: "plan", per: ["user"], quota: 3 }, { algorithm: "elapsed", quota: "1s" }),
    );
    assert.deepEqual([...made.units], []);
    assert.deepEqual([made.callWords.has("plan"), made.bucketWords.has("plan")], [true, true]);
    assert.deepEqual([...made.dimensions].slice(DIMENSIONS.length), ["plan"]);
  });

  it("gives times and streaks their numbers", () => {
    const cases: [limit: object, quota: number, LimitSpec][] = [
      [{ algorithm: "elapsed", quota: "30m" }, 1_800_000, { algorithm: "elapsed", quota: 1_800_000, ttlMs: 30 * DAY }],
      [{ algorithm: "elapsed", quota: "1ms", per: ["turn"] }, 1, { algorithm: "elapsed", quota: 1, ttlMs: DAY }],
      [
        { algorithm: "elapsed", quota: "1s", resetAfterIdle: "1h" },
        1000,
        { algorithm: "elapsed", quota: 1000, ttlMs: 3_600_000 },
      ],
      [{ algorithm: "streak", of: "errors", quota: 3 }, 3, { algorithm: "streak", quota: 3, ttlMs: 30 * DAY }],
      [
        { algorithm: "streak", of: "errors", quota: 3, per: ["session", "turn"] },
        3,
        { algorithm: "streak", quota: 3, ttlMs: DAY },
      ],
      [
        { algorithm: "streak", of: "errors", quota: 3, resetAfterIdle: "1s" },
        3,
        { algorithm: "streak", quota: 3, ttlMs: 1000 },
      ],
    ];
    for (const [limit, quota, spec] of cases) {
      const { quota: found, spec: numbers, capacity } = compiled(limit).allotment ?? {};
      assert.deepEqual([found, numbers, capacity], [quota, spec, quota], JSON.stringify(limit));
    }
    const spans = compiled({
      algorithm: "elapsed",
      per: ["user"],
      quotas: { user: { a: "1s", b: "unlimited" } },
      quota: "unlimited",
      overrides: [{ when: { plan: "pro" }, quota: "2s" }],
    });
    const named = spans.quotas[0]?.allotments;
    assert.deepEqual([named?.get("a")?.quota, named?.get("b")?.quota, spans.allotment.quota], [1000, null, null]);
    assert.equal(spans.overrides[0]?.quota, 2000);
  });

  it("gives the numbers of calendar windows", () => {
    const calendar = { algorithm: "fixed-window", quota: 5, window: "day" };
    const made = compiled(calendar);
    assert.deepEqual(made.calendar, { every: "day", timezone: "UTC", anchorDay: 1 });
    const spec: LimitSpec = { algorithm: "fixed-window", quota: 5, align: "calendar", boundaries: [0, 0, 0] };
    assert.deepEqual(made.allotment, { ...COUNTED, quota: 5, spec, capacity: 5, noticeBelow: 0 });
    const week = compiled({ ...calendar, window: "week", timezone: "Europe/Berlin", anchorDay: 7 });
    assert.deepEqual(week.calendar, { every: "week", timezone: "Europe/Berlin", anchorDay: 7 });
    for (const limit of [
      { ...calendar, window: "1d" },
      { quota: 5 },
      { algorithm: "token-bucket", quota: 5, window: "1d" },
    ]) {
      assert.equal(compiled(limit).calendar, null);
    }
  });

  it("allots what quota and quotas say", () => {
    const per = ["tool"];
    const quotas = { tool: { search: 3, wait: "unlimited", never: 0 } };
    const cases: [limit: object, others: number | null, named: (number | null)[]][] = [
      [{ quota: 5 }, 5, []],
      [{ quota: 0 }, 0, []],
      [{ quota: "unlimited" }, null, []],
      [{ quota: 5, quotas }, 5, [3, null, 0]],
      [{ quota: 0, quotas }, 0, [3, null, 0]],
      [{ quota: "unlimited", quotas }, null, [3, null, 0]],
    ];
    for (const [limit, others, named] of cases) {
      const { quotas, allotment } = compiled({ per, ...limit });
      const given = quotas.flatMap(({ allotments }) => [...allotments.values()]).map((each) => each?.quota ?? null);
      assert.deepEqual([allotment?.quota ?? null, given], [others, named], JSON.stringify(limit));
    }
  });

  it("allots what is unlimited by numbers that are exact, and counts it where that has a meaning", () => {
    const free = (limit: object) => {
      const { quota, spec, capacity, isCounted, noticeBelow } = compiled({ quota: "unlimited", ...limit }).allotment;
      assert.deepEqual([quota, noticeBelow, capacity], [null, 0, algorithmOf(spec).capacity(spec)]);
      return [capacity, isCounted];
    };
    assert.deepEqual(free({}), [MAX, true]);
    for (const algorithm of ["fixed-window", "sliding-window"]) {
      assert.deepEqual(free({ algorithm, window: "1m" }), [MAX, true]);
    }
    assert.deepEqual(free({ algorithm: "elapsed" }), [MAX, true]);
    assert.deepEqual(free({ algorithm: "streak", of: "errors" }), [MAX, true]);
    assert.deepEqual(free({ algorithm: "concurrency" }), [MAX, false]);
    assert.deepEqual(free({ algorithm: "token-bucket", window: "1m" }), [2 ** 51 - 1, false]);
  });

  it("allots a quota that calls bring, at most its max, and the default to others", () => {
    const { allotment } = compiled({ quota: { from: "call", default: 5, max: 100 }, notice: { at: 0.5 } });
    assert.deepEqual([allotment.quota, allotment.capacity], [5, 5]);
    const of = (claim: number | "unlimited") => allotment.claims?.allotmentFor(claim);
    assert.deepEqual([of(7)?.quota, of(100)?.quota, of(101)?.quota, of("unlimited")?.quota], [7, 100, 100, 100]);
    assert.equal(of(7), of(7));
    assert.equal(of(7)?.claims, allotment.claims);
    assert.equal(of(10)?.noticeBelow, 10 * (1 - 0.5 + 1e-9));
    const open = compiled({ quota: { from: "call", default: "unlimited", max: "unlimited" } }).allotment;
    assert.deepEqual([open.quota, open.claims?.allotmentFor(MAX).quota], [null, MAX]);
    const rate = compiled({ window: "1h", algorithm: "token-bucket", quota: { from: "call", default: 1, max: 60 } });
    assert.deepEqual(rate.allotment.claims?.allotmentFor(60).spec, {
      algorithm: "token-bucket",
      burst: 60,
      levelPerUnit: 60_000,
      levelPerMs: 1,
    });
  });

  it("lists every allotment of a limit, the one for all others first", () => {
    const quotas = { tool: { search: 3, wait: "unlimited" }, plan: { pro: 50 } };
    const limit = compiled({ quota: 5, quotas, overrides: [{ when: { user: "u" }, quota: 7 }] });
    assert.deepEqual(
      allotmentsOf(limit).map(({ quota }) => quota),
      [5, 3, null, 50, 7],
    );
  });

  it("says which decisions a log keeps", () => {
    const logOf = (log: object) => compiledPolicy({ ...policy({ quota: 5 }), log }).log;
    assert.deepEqual(logOf({ allowed: 0.01 }), { allowed: 0.01, denied: 1 });
    assert.deepEqual(logOf({ allowed: 0, denied: 0.5 }), { allowed: 0, denied: 0.5 });
    for (const allowed of [-0.1, 1.1, "1%"]) assert.throws(() => logOf({ allowed }), { code: "invalid-policy" });
  });

  it("has another version when its content differs, and the same when only its tests differ", () => {
    const made = compiledPolicy(policy({ quota: 5 }));
    assert.match(made.version, /^[0-9a-f]{32}$/);
    assert.equal(compiledPolicy(policy({ quota: 5 })).version, made.version);
    assert.equal(compiledPolicy({ ...policy({ quota: 5 }), tests: [] }).version, made.version);
    assert.notEqual(compiledPolicy(policy({ quota: 6 })).version, made.version);
  });

  it("returns a made policy unchanged, and freezes it", () => {
    const made = compiledPolicy(policy({ quota: 5 }));
    assert.equal(compiledPolicy(made), made);
    assert.equal(Object.isFrozen(made), true);
    assert.deepEqual(Object.keys(made), [
      "version",
      "partition",
      "limits",
      "onError",
      "toolNamed",
      "log",
      "maxHoldMs",
      "units",
      "tools",
      "namedTools",
      "groups",
      "dimensions",
      "callWords",
      "bucketWords",
    ]);
    const ofAnotherCopy = { [Symbol.for("tollgate.policy")]: true } as never;
    assert.equal(compiledPolicy(ofAnotherCopy), ofAnotherCopy);
  });

  it("throws all faults", () => {
    const twice = policy({ quota: -1 }, { quota: 1.5 });
    assert.throws(
      () => compiledPolicy(twice),
      (error) => MisuseError.isInstance(error) && error.code === "invalid-policy" && error.faults.length === 2,
    );
    for (const input of [null, undefined, 5, "x"]) assert.throws(() => compiledPolicy(input as never), MisuseError);
  });

  it("does not keep a reference to its input", () => {
    const per: LimitInput["per"][number][] = ["tool"];
    const cost = { tokens: 5 };
    const made = compiledPolicy({ version: 1, tools: { search: { cost } }, limits: [{ name: "a", per, quota: 1 }] });
    per.push("user");
    cost.tokens = 6;
    assert.deepEqual([made.limits[0]?.per, made.toolNamed("search")?.cost], [["tool"], { tokens: 5 }]);
    const limits = [{ name: "a", per: ["tool"], quota: 1, algorithm: "budget" }];
    assert.deepEqual(writtenPolicy(made), { version: 1, tools: { search: { cost: { tokens: 5 } } }, limits });
  });
});

describe("a key of a limit in code", () => {
  const faultOf = (limit: object) => {
    try {
      compiledPolicy(policy(limit));
    } catch (error) {
      if (MisuseError.isInstance(error)) return [error.faults[0]?.path, error.faults[0]?.got];
    }
    return null;
  };

  it("that belongs to other algorithms names them", () => {
    const windowed = "a key of limits with the algorithm fixed-window, sliding-window or token-bucket";
    assert.deepEqual(faultOf({ quota: 5, window: "1m" }), ["limits[0].window", windowed]);
    const bucket = "a key of limits with the algorithm token-bucket";
    assert.deepEqual(faultOf({ quota: 5, algorithm: "sliding-window", window: "1m", burst: 5 }), [
      "limits[0].burst",
      bucket,
    ]);
  });

  it("that belongs to none, or stands elsewhere, is an unknown one", () => {
    assert.deepEqual(faultOf({ quota: 5, colour: "red" }), ["limits[0].colour", "an unknown key"]);
    assert.deepEqual(faultOf({ quota: 5, hold: { window: "1m" } }), ["limits[0].hold.window", "an unknown key"]);
  });
});

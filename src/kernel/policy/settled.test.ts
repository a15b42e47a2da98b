import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "../algorithms/registry.ts";
import type { Limit } from "../limit.ts";
import { hintedFaults } from "./fault-hints.ts";
import { compiledPolicy, readPolicy } from "./parse.ts";

type Written = Record<string, unknown>;

function read(policy: Written): { readonly limits: readonly Limit[] } {
  const result = readPolicy({ version: 1, ...policy }, hintedFaults);
  assert.ok("policy" in result, JSON.stringify("faults" in result ? result.faults : []));
  return result.policy;
}

function compiled(limit: Written, rest: Written = {}): Limit {
  const [first] = read({ ...rest, limits: [{ name: "a", per: ["session"], ...limit }] }).limits;
  assert.ok(first);
  return first;
}

function specOf(limit: Written): LimitSpec | undefined {
  return compiled({ quota: 5, ...limit }).allotment?.spec;
}

/** A limit of each algorithm, as short as it can be written. */
const KINDS: Readonly<Record<string, Written>> = {
  budget: { quota: 5 },
  "fixed-window": { algorithm: "fixed-window", window: "1h", quota: 5 },
  calendar: { window: "day", quota: 5 },
  "sliding-window": { algorithm: "sliding-window", window: "1h", quota: 5 },
  "token-bucket": { window: "1m", burst: 5, quota: 5 },
  concurrency: { algorithm: "concurrency", quota: 5 },
  elapsed: { algorithm: "elapsed", quota: "1h" },
  streak: { algorithm: "streak", of: "errors", quota: 5 },
};

describe("an algorithm that is not written", () => {
  it("is the only one that fits the other keys", () => {
    const calendar = { algorithm: "fixed-window", quota: 5, align: "calendar", boundaries: [0, 0, 0] };
    for (const window of ["day", "week", "month"]) assert.deepEqual(specOf({ window }), calendar);
    assert.deepEqual(specOf({ window: "1m", burst: 9 }), {
      algorithm: "token-bucket",
      burst: 9,
      levelPerUnit: 12_000,
      levelPerMs: 1,
    });
    assert.equal(specOf({})?.algorithm, "budget");
    assert.equal(specOf({ algorithm: undefined, window: "week" })?.algorithm, "fixed-window");
  });

  it("has to be written for a window of another length, and never replaces a written one", () => {
    const faultAt = (limit: Written, path: string) => {
      const result = readPolicy({ version: 1, limits: [{ name: "a", per: [], quota: 5, ...limit }] }, hintedFaults);
      const faults = "faults" in result ? result.faults : [];
      return faults.find((fault) => fault.path === `limits[0].${path}`);
    };
    assert.match(faultAt({ window: "1h" }, "window")?.hint ?? "", /^A window needs an algorithm\. Add /);
    for (const algorithm of ["sliding-window", "token-bucket"]) {
      const { expected, hint } = faultAt({ algorithm, window: "day" }, "window") ?? {};
      assert.match(expected ?? "", /^a duration such as/);
      assert.equal(hint, "Write 1d, or leave the algorithm out for a day of the calendar.");
    }
    assert.match(faultAt({ algorithm: "budget", window: "day" }, "window")?.hint ?? "", /"budget" has no window/);
    assert.match(faultAt({ window: "day", burst: 9 }, "burst")?.hint ?? "", /"burst" is for token-bucket/);
    assert.match(faultAt({ algorithm: "fixed-window", window: "1h", burst: 9 }, "burst")?.hint ?? "", /fixed-window/);
    assert.equal(faultAt({ algorithm: null }, "algorithm")?.got, "null");
  });
});

describe("defaults", () => {
  const DEFAULTS = {
    onMissing: "skip",
    onStoreError: "deny",
    mode: "shadow",
    notice: { at: 0.5, message: "{used} used" },
    hold: { lease: "9s", onExpiry: "refund" },
    timezone: "Europe/Berlin",
  };

  for (const [kind, limit] of Object.entries(KINDS)) {
    it(`apply to a limit without the key: ${kind}`, () => {
      const { onMissing, onStoreError, mode, notice, calendar, leaseMs, onExpiry } = compiled(limit, {
        defaults: DEFAULTS,
      });
      assert.deepEqual(
        { onMissing, onStoreError, mode, notice },
        { onMissing: "skip", onStoreError: "deny", mode: "shadow", notice: { at: 0.5, message: "{used} used" } },
      );
      assert.equal(calendar?.timezone, kind === "calendar" ? "Europe/Berlin" : undefined);
      const isHeld = kind !== "elapsed" && kind !== "streak";
      assert.deepEqual([leaseMs, onExpiry], isHeld ? [9_000, "refund"] : [120_000, "charge"]);
    });

    it(`are replaced, as whole keys, by those of a limit: ${kind}`, () => {
      const own = { onMissing: "error", onStoreError: "allow", mode: "enforce", notice: { message: "soon" } };
      const held = kind === "elapsed" || kind === "streak" ? {} : { hold: {} };
      const zone = kind === "calendar" ? { timezone: "UTC" } : {};
      const defaulted = compiled({ ...limit, ...own, ...held, ...zone }, { defaults: DEFAULTS });
      const alone = compiled({ ...limit, ...own, ...held, ...zone });
      const same = { matches: alone.matches, overrideFor: alone.overrideFor };
      assert.deepEqual({ ...defaulted, ...same }, alone);
    });
  }

  it("are checked in the limits that take them", () => {
    const faults = (policy: Written) => {
      const result = readPolicy({ version: 1, ...policy }, hintedFaults);
      return "faults" in result ? result.faults.map(({ path, got }) => `${path} ${got}`) : [];
    };
    const lent = { name: "a", per: [], quota: 5, borrow: "auto" };
    assert.deepEqual(faults({ defaults: { mode: "warn" }, limits: [lent] }), ['limits[0].borrow "auto"']);
    assert.deepEqual(faults({ defaults: { mode: "warn" }, limits: [{ ...lent, mode: "enforce" }] }), []);
    const limits = [{ name: "a", per: [], quota: 5, window: "day" }];
    assert.deepEqual(faults({ defaults: { timezone: "Mars/Base" }, limits }), ['defaults.timezone "Mars/Base"']);
    assert.deepEqual(faults({ defaults: { quota: 5 }, limits }), ['defaults.quota "quota"']);
  });

  it("that are empty change nothing", () => {
    const defaults = { mode: undefined, hold: {}, notice: {} };
    const { mode, notice, leaseMs } = compiled({ quota: 5, mode: undefined }, { defaults });
    assert.deepEqual([mode, notice.at, leaseMs], ["enforce", 0.8, 120_000]);
  });
});

describe("keys that begin with x-", () => {
  it("are ignored in a policy, a limit and a tool, and nowhere else", () => {
    const owner = { team: "search" };
    const plain = { name: "a", per: ["session"], quota: 5 };
    const result = readPolicy({
      version: 1,
      "x-shared": owner,
      description: "for all callers",
      tools: { search: { "x-owner": owner, description: "the web", cost: { calls: 2 } } },
      limits: [{ ...plain, "x-owner": owner, description: "a few" }],
    });
    assert.ok("policy" in result);
    assert.deepEqual(result.policy.limits.length, 1);
    const refused = readPolicy({
      version: 1,
      defaults: { "x-a": 1 },
      limits: [{ ...plain, hold: { "x-b": 1 }, notice: { "x-c": 1 }, overrides: [{ when: {}, quota: 1, "x-d": 1 }] }],
    });
    assert.deepEqual("faults" in refused ? refused.faults.map(({ path }) => path) : [], [
      'defaults["x-a"]',
      'limits[0].notice["x-c"]',
      'limits[0].hold["x-b"]',
      'limits[0].overrides[0]["x-d"]',
    ]);
  });

  it("may be written in code, too", () => {
    const limit = { name: "a", per: ["session"], quota: 5, "x-owner": "search" } as const;
    const policy = compiledPolicy({ version: 1, "x-team": ["a"], tools: { x: { "x-by": 1 } }, limits: [limit] });
    assert.equal(policy.limits[0]?.name, "a");
  });
});

describe("a scope that begins again", () => {
  it("begins again after an idle time, after its first charge, or never", () => {
    const DAY = 86_400_000;
    const cases: [limit: Written, ttlMs: number, ttlFrom: "first" | "last"][] = [
      [{ resetAfterIdle: "2h" }, DAY / 12, "last"],
      [{ resetAfter: "14d" }, 14 * DAY, "first"],
      [{ resetAfterIdle: "never" }, 36_500 * DAY, "last"],
      [{ resetAfter: "never" }, 36_500 * DAY, "last"],
    ];
    for (const [limit, ttlMs, ttlFrom] of cases) {
      assert.deepEqual(specOf(limit), { algorithm: "budget", quota: 5, ttlMs, ttlFrom }, JSON.stringify(limit));
    }
    const never = { resetAfterIdle: "never" };
    const elapsed = compiled({ algorithm: "elapsed", quota: "1h", ...never }).allotment?.spec;
    assert.deepEqual(elapsed, { algorithm: "elapsed", quota: 3_600_000, ttlMs: 36_500 * DAY });
    const streak = specOf({ algorithm: "streak", of: "errors", ...never });
    assert.deepEqual(streak, { algorithm: "streak", quota: 5, ttlMs: 36_500 * DAY });
  });
});

describe("a limit that warns", () => {
  it("gives its notice when it is exceeded, and earlier only with at", () => {
    for (const [kind, limit] of Object.entries(KINDS)) {
      assert.equal(compiled({ ...limit, mode: "warn" }).notice.at, null, kind);
      assert.equal(compiled({ ...limit, mode: "warn", notice: { at: 0.5 } }).notice.at, 0.5, kind);
      assert.equal(compiled({ ...limit, mode: "warn" }, { defaults: { notice: { at: 0.5 } } }).notice.at, 0.5, kind);
    }
  });
});

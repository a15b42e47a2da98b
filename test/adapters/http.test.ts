// The header fields, read as a client would: by a parser of structured fields that is not ours.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { parseDictionary, parseList, serializeDictionary, serializeList } from "structured-headers";
import { createLimiter, type Decision, type Denied, type PolicyInput, type Verdict } from "tollgate";
import { draft6Headers, draft7Headers, draft11Headers, problemOf, retryAfterSeconds } from "tollgate/adapters/fetch";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

const MAX_INTEGER = 999_999_999_999_999;

const verdict = (given: Partial<Verdict>): Verdict => ({
  limit: "calls",
  allowed: true,
  exceeded: given.allowed === false,
  mode: "enforce",
  unit: "calls",
  cost: 1,
  quota: given.capacity ?? 10,
  capacity: 10,
  remaining: 5,
  windowMs: null,
  resetAfterMs: 60_000,
  retryAfterMs: null,
  ...given,
});

/** The decision that verdicts come to. */
function decisionOf(...verdicts: Partial<Verdict>[]): Decision {
  const full = verdicts.map(verdict);
  const [first, ...more] = full.filter(({ allowed }) => !allowed);
  const rest = { verdicts: full, notice: null, degraded: null, replayed: false, decidedAtMs: 0 };
  if (first === undefined) {
    return { allowed: true, deniedBy: null, retryAfterMs: null, message: null, detail: null, ...rest };
  }
  const waitOf = ({ retryAfterMs }: Verdict) => retryAfterMs ?? Number.POSITIVE_INFINITY;
  const binding = more.reduce((longest, each) => (waitOf(each) > waitOf(longest) ? each : longest), first);
  const { limit: deniedBy, retryAfterMs } = binding;
  return { allowed: false, deniedBy, retryAfterMs, message: "Denied.", detail: "Limit reached.", ...rest };
}

function deniedBy(...verdicts: Partial<Verdict>[]): Denied {
  const decision = decisionOf(...verdicts);
  assert.ok(!decision.allowed);
  return decision;
}

const listOf = (field = "") =>
  parseList(field).map(([name, parameters]) => ({ name, ...Object.fromEntries(parameters) }));
const numberOf = (value: unknown) => {
  assert.ok(Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_INTEGER, String(value));
  return value as number;
};

/** What holds of the fields of any decision. */
function checkFields(decision: Decision): void {
  const shown = decision.verdicts.flatMap(({ mode, capacity, remaining, ...each }) => {
    return mode !== "enforce" || capacity === null || remaining === null ? [] : [{ ...each, capacity, remaining }];
  });
  const seconds = retryAfterSeconds(decision);
  if (decision.allowed || decision.retryAfterMs === null) assert.equal(seconds, null);
  else
    assert.ok(
      numberOf(seconds) * 1_000 >= decision.retryAfterMs && numberOf(seconds) * 1_000 < decision.retryAfterMs + 1_000,
    );

  const fields = draft11Headers(decision);
  new Headers({ ...fields });
  const policies = listOf(fields["RateLimit-Policy"]);
  const limits = listOf(fields.RateLimit);
  const names = shown.map(({ limit }) => limit);
  assert.deepEqual(
    policies.map(({ name }) => name),
    names,
  );
  assert.deepEqual(
    limits.map(({ name }) => name),
    names,
  );
  assert.equal(new Set(names).size, names.length);
  for (const [i, { allowed, capacity, remaining, windowMs, resetAfterMs, retryAfterMs, unit }] of shown.entries()) {
    const { name: _, ...policy } = policies[i] as Record<string, unknown>;
    const q = Math.min(capacity, MAX_INTEGER);
    const w = windowMs === null ? {} : { w: Math.ceil(windowMs / 1_000) };
    assert.deepEqual(policy, { q, ...w, ...(unit === "calls" ? {} : { "tollgate-unit": unit }) });
    const { name: __, ...limit } = limits[i] as Record<string, unknown>;
    const t = Math.ceil((allowed ? resetAfterMs : (retryAfterMs ?? resetAfterMs)) / 1_000);
    assert.deepEqual(limit, { r: Math.min(remaining, MAX_INTEGER), t });
    if (remaining <= capacity) assert.ok(numberOf(limit.r) <= numberOf(policy.q));
    if (!allowed && seconds !== null) assert.ok(seconds >= numberOf(limit.t), "Retry-After is never before t");
  }
  for (const field of Object.values(fields)) assert.equal(serializeList(parseList(field)), field);

  const { RateLimit: seventh = "", "RateLimit-Policy": windows } = draft7Headers(decision);
  const { "RateLimit-Policy": sameWindows, ...sixth } = draft6Headers(decision);
  if (shown.length === 0) {
    assert.deepEqual([fields, seventh, sixth, windows], [{}, "", {}, undefined]);
    return;
  }
  assert.equal(sameWindows, windows);
  const timed = shown.filter(({ windowMs }) => windowMs !== null);
  assert.deepEqual(
    parseList(windows ?? "").map(([q, parameters]) => [q, parameters.get("w")]),
    timed.map(({ capacity, windowMs }) => [Math.min(capacity, MAX_INTEGER), Math.ceil((windowMs ?? 0) / 1_000)]),
  );
  assert.equal(serializeDictionary(parseDictionary(seventh)), seventh);
  const [limit, remaining, reset] = ["limit", "remaining", "reset"].map((key) =>
    numberOf(parseDictionary(seventh).get(key)?.[0]),
  );
  const told = { "RateLimit-Limit": `${limit}`, "RateLimit-Remaining": `${remaining}`, "RateLimit-Reset": `${reset}` };
  assert.deepEqual(sixth, told);
  // What binds is what stands nearest to its end, or keeps waiting longest.
  if (!decision.allowed) {
    assert.equal(reset, Math.ceil((decision.retryAfterMs ?? longest(shown)) / 1_000));
  } else {
    const least = Math.min(...shown.map(shareOf));
    assert.ok(shown.some((each) => Math.min(each.remaining, MAX_INTEGER) === remaining && shareOf(each) === least));
  }
}

type Counted = Pick<Verdict, "allowed" | "retryAfterMs" | "resetAfterMs"> & { capacity: number; remaining: number };
const shareOf = ({ capacity, remaining }: Counted) => (capacity === 0 ? 0 : remaining / capacity);
/** The time until the first limit that never lets the call pass is back. */
const longest = (verdicts: readonly Counted[]) =>
  verdicts.find(({ allowed, retryAfterMs }) => !allowed && retryAfterMs === null)?.resetAfterMs ?? 0;

const name = fc.stringMatching(/^[a-z0-9-]{1,64}$/);
const units = fc.oneof(fc.nat(20), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER), fc.constant(MAX_INTEGER + 1));
const anyVerdict = fc
  .record({
    limit: fc.oneof(name, fc.constant("x".repeat(64)), fc.constantFrom("-", "0", "constructor")),
    allowed: fc.boolean(),
    mode: fc.constantFrom("enforce", "enforce", "warn", "shadow"),
    unit: fc.oneof(fc.constantFrom("calls", "tokens", "usd_micros"), fc.stringMatching(/^[a-z][a-z0-9_]{0,31}$/)),
    capacity: fc.option(units),
    remaining: units,
    windowMs: fc.option(fc.integer({ min: 1, max: 90_000 })),
    resetAfterMs: fc.oneof(fc.nat(5_000), fc.maxSafeNat()),
    retryAfterMs: fc.oneof(fc.integer({ min: 1, max: 5_000 }), fc.maxSafeNat(), fc.constant(null)),
  })
  .map(({ allowed: fits, ...each }): Partial<Verdict> => {
    const allowed = fits || each.mode !== "enforce" || each.capacity === null;
    const remaining = each.capacity === null ? null : each.remaining;
    return { ...each, allowed, exceeded: !fits, remaining, retryAfterMs: allowed ? null : each.retryAfterMs };
  });

describe("the header fields", () => {
  it("are parsed as intended, for any numbers and names", () => {
    const verdicts = fc.uniqueArray(anyVerdict, { maxLength: 6, selector: ({ limit }) => limit });
    fc.assert(
      fc.property(verdicts, (each) => checkFields(decisionOf(...each))),
      { numRuns: 2_000 },
    );
  });

  it("have the decision of the limiter, and after Retry-After the call passes", async () => {
    const base = {
      unit: fc.constantFrom("calls", "tokens"),
      per: fc.constant(["session"]),
      quota: fc.integer({ min: 1, max: 9 }),
    };
    const window = fc.integer({ min: 100, max: 90_000 }).map((ms) => `${ms}ms`);
    const limit = fc.oneof(
      fc.record({ ...base, algorithm: fc.constant("token-bucket"), window, burst: fc.integer({ min: 1, max: 20 }) }),
      fc.record({ ...base, algorithm: fc.constant("fixed-window"), window }),
      fc.record({ ...base, algorithm: fc.constant("sliding-window"), window }),
      fc.record({ ...base, resetAfter: window }),
    );
    const limits = fc.uniqueArray(fc.tuple(name, limit), { minLength: 1, maxLength: 4, selector: ([each]) => each });
    const calls = fc.array(fc.record({ tokens: fc.nat(4), pauseMs: fc.nat(9_000) }), { minLength: 1, maxLength: 25 });
    let denials = 0;
    const property = fc.asyncProperty(limits, calls, async (named, schedule) => {
      const clock = fakeClock();
      const policy = { version: 1, limits: named.map(([each, rest]) => ({ name: each, ...rest })) } as PolicyInput;
      const limiter = createLimiter({ policy, store: memoryStore({ clock }) });
      const counted = named.some(([, { unit }]) => unit === "tokens");
      for (const { tokens, pauseMs } of schedule) {
        clock.advance(pauseMs);
        const call = { tool: "chat", session: "s1", ...(counted && { cost: { tokens } }) };
        const decision = await limiter.consume(call);
        checkFields(decision);
        for (const { capacity, remaining } of decision.verdicts) assert.ok((remaining ?? 0) <= (capacity ?? 0));
        const seconds = retryAfterSeconds(decision);
        if (seconds === null) continue;
        denials++;
        clock.advance(seconds * 1_000);
        assert.equal((await limiter.peek(call)).allowed, true, "too early");
      }
    });
    await fc.assert(property, { numRuns: 150 });
    assert.ok(denials > 50, `${denials} denials`);
  });

  it("list each limit that may deny, in policy order, with its window", () => {
    const decision = decisionOf(
      { limit: "per-turn", capacity: 3, remaining: 1, resetAfterMs: 59_001 },
      { limit: "watched", mode: "shadow", exceeded: true, remaining: 0 },
      { limit: "warns", mode: "warn", exceeded: true, remaining: 0 },
      { limit: "unlimited", quota: null, capacity: null, remaining: null },
      { limit: "tokens-a-day", unit: "tokens", capacity: 50_000, remaining: 12, windowMs: 86_400_000, resetAfterMs: 1 },
    );
    assert.deepEqual(draft11Headers(decision), {
      "RateLimit-Policy": '"per-turn";q=3, "tokens-a-day";q=50000;w=86400;tollgate-unit="tokens"',
      RateLimit: '"per-turn";r=1;t=60, "tokens-a-day";r=12;t=1',
    });
    const windows = { "RateLimit-Policy": "50000;w=86400" };
    assert.deepEqual(draft7Headers(decision), { ...windows, RateLimit: "limit=50000, remaining=12, reset=1" });
    assert.deepEqual(draft6Headers(decision), {
      ...windows,
      "RateLimit-Limit": "50000",
      "RateLimit-Remaining": "12",
      "RateLimit-Reset": "1",
    });
  });

  it("have the longest wait of a denial", () => {
    const decision = deniedBy(
      { limit: "short", allowed: false, capacity: 3, remaining: 0, retryAfterMs: 1_001 },
      { limit: "long", allowed: false, capacity: 9, remaining: 2, retryAfterMs: 2_001 },
      { limit: "fine", capacity: 5, remaining: 0 },
    );
    assert.deepEqual(draft7Headers(decision), { RateLimit: "limit=9, remaining=2, reset=3" });
    assert.equal(retryAfterSeconds(decision), 3);
    assert.deepEqual(problemOf(decision)["violated-policies"], ["short", "long"]);
    const never = deniedBy({ allowed: false, retryAfterMs: null }, { limit: "long", allowed: false, retryAfterMs: 9 });
    assert.equal(retryAfterSeconds(never), null);
    assert.equal(problemOf(never).retryAfterMs, null);
  });

  it("name no limit that only warns as one that denies", async () => {
    const limits: PolicyInput["limits"] = [
      { name: "warns", per: ["session"], algorithm: "streak", of: "errors", quota: 1, mode: "warn" },
      { name: "hard", per: ["session"], quota: 1, message: "Stop, and write a summary." },
    ];
    const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore() });
    const call = { tool: "chat", session: "s1" };
    await limiter.consume(call);
    await limiter.reportOutcome(call, { error: new Error("broken") });
    const decision = await limiter.consume(call);
    assert.ok(!decision.allowed);
    const { detail, "violated-policies": violated } = problemOf(decision);
    assert.deepEqual([detail, violated], ["Limit reached: 1 call per session.", ["hard"]]);
    assert.match(draft7Headers(decision).RateLimit ?? "", /^limit=1, remaining=0, /);
    assert.doesNotMatch(draft11Headers(decision).RateLimit ?? "", /warns/);
  });

  it("have the burst and the window of a token bucket", async () => {
    const limits = [
      { name: "a", per: ["session"], algorithm: "token-bucket", window: "1m", quota: 5, burst: 10 },
    ] as const;
    const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore({ clock: fakeClock() }) });
    const decision = await limiter.consume({ tool: "chat", session: "s1" });
    assert.deepEqual([decision.verdicts[0]?.quota, decision.verdicts[0]?.capacity], [5, 10]);
    const fields = draft11Headers(decision);
    assert.deepEqual([fields["RateLimit-Policy"], fields.RateLimit], ['"a";q=10;w=60', '"a";r=9;t=12']);
    assert.equal(draft6Headers(decision)["RateLimit-Limit"], "10");
  });

  it("give no Retry-After where a budget is used up", async () => {
    const limits = [{ name: "hard", per: ["session"], quota: 1 }] as const;
    const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore() });
    await limiter.consume({ tool: "chat", session: "s1" });
    const decision = await limiter.consume({ tool: "chat", session: "s1" });
    assert.deepEqual([decision.allowed, retryAfterSeconds(decision)], [false, null]);
    assert.match(draft11Headers(decision).RateLimit ?? "", /^"hard";r=0;t=\d+$/);
  });

  it("stay within 15 digits", () => {
    const huge = Number.MAX_SAFE_INTEGER;
    const fields = draft11Headers(decisionOf({ capacity: huge, remaining: huge, resetAfterMs: huge }));
    assert.equal(fields["RateLimit-Policy"], '"calls";q=999999999999999');
    assert.equal(fields.RateLimit, '"calls";r=999999999999999;t=9007199254741');
  });
});

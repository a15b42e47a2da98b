// What one instance decides by itself, beside a store that was never unreachable and has the same policy and the same use.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { algorithmOf, type LimitSpec } from "../../kernel/algorithms/registry.ts";
import type { Step, StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoredState } from "../../kernel/state.ts";
import { decide } from "../../store/check.ts";
import { StoreError } from "../../store/error.ts";
import { Fallback } from "./fallback.ts";
import { shareOf } from "./shares.ts";
import { Views } from "./views.ts";

const START_MS = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;
const FAILURE = new StoreError("unavailable", "the store is unreachable", { transient: true });

type Mode = "share" | "local" | "deny" | "allow";

/** One act: a call under a policy as of that call, or time that goes by, or an outage that begins or ends. */
type Act =
  | {
      readonly type: "call";
      readonly limit: LimitSpec;
      readonly cost: number;
      readonly mode: Mode;
      readonly shadow: boolean;
      readonly force: boolean;
    }
  | { readonly type: "advance"; readonly ms: number }
  | { readonly type: "cut" | "heal" };

const QUOTA = fc.constantFrom(0, 1, 5, 10, 11, 20);
const WINDOW = fc.constantFrom(1_000, 60_000, DAY_MS);

const counters: fc.Arbitrary<LimitSpec> = fc.oneof(
  fc.record({
    algorithm: fc.constant("budget" as const),
    quota: QUOTA,
    ttlMs: WINDOW,
    ttlFrom: fc.constantFrom("first" as const, "last" as const),
  }),
  fc.record({
    algorithm: fc.constant("fixed-window" as const),
    quota: QUOTA,
    windowMs: WINDOW,
    align: fc.constantFrom("epoch" as const, "first-use" as const),
  }),
);
const slidingIn = (windows: fc.Arbitrary<number>): fc.Arbitrary<LimitSpec> =>
  fc.record({ algorithm: fc.constant("sliding-window" as const), quota: QUOTA, windowMs: windows });
const bucketsAt = (levels: fc.Arbitrary<number>): fc.Arbitrary<LimitSpec> =>
  fc.record({
    algorithm: fc.constant("token-bucket" as const),
    burst: QUOTA,
    levelPerUnit: levels,
    levelPerMs: fc.constant(3),
  });

function actsOn(limits: fc.Arbitrary<LimitSpec>, advances: boolean): fc.Arbitrary<Act[]> {
  const call = fc.record({
    type: fc.constant("call" as const),
    limit: limits,
    cost: fc.integer({ min: 0, max: 4 }),
    mode: fc.constantFrom<Mode>("share", "local", "deny", "allow"),
    shadow: fc.boolean(),
    force: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  });
  const advance = fc.record({
    type: fc.constant("advance" as const),
    ms: fc.constantFrom(1, 400, 1_000, 30_000, 60_000),
  });
  const turn = fc.record({ type: fc.constantFrom("cut" as const, "cut" as const, "heal" as const) });
  const others = advances ? [{ weight: 3, arbitrary: advance }] : [];
  return fc.array(fc.oneof({ weight: 12, arbitrary: call }, { weight: 1, arbitrary: turn }, ...others), {
    maxLength: 60,
    size: "max",
  });
}

/** An instance, and a store that was never away. */
class Pair {
  readonly views = new Views();
  readonly fallback = new Fallback(this.views);
  nowMs = START_MS;
  state: StoredState | undefined;
  isAway = false;

  turn(type: "cut" | "heal", limit: LimitSpec): void {
    this.isAway = type === "cut";
    if (type === "cut") return;
    this.fallback.clear();
    this.stored({ mode: "peek", steps: [{ bucket: "b", limit, event: { type: "read" } }] });
  }

  /** What the store answers. */
  stored(request: StoreRequest): StoreReply {
    const { reply, next } = decide(request, [this.state], this.nowMs);
    assert.ok(reply !== null);
    if (next !== null) this.state = next[0];
    if (!this.isAway) this.views.learn(request, reply);
    return reply;
  }

  local(request: StoreRequest, place = { instances: 1, rank: 0 }): StoreReply {
    const reply = this.fallback.decide(request, place, this.nowMs, FAILURE);
    assert.ok(!StoreError.isInstance(reply));
    return reply;
  }
}

function requestOf({ limit, cost, mode, shadow, force }: Extract<Act, { type: "call" }>): StoreRequest {
  const step: Step = {
    bucket: "b",
    limit,
    event: { type: "charge", cost },
    ...(shadow ? { shadow } : {}),
    ...(mode === "share" ? {} : { hints: { onStoreError: mode } }),
  };
  return { mode: force ? "force" : "judge", steps: [step] };
}

/** Plays acts on a pair, and says of each call without the store what both decide. */
function play(
  acts: readonly Act[],
  judge: (call: Extract<Act, { type: "call" }>, local: StoreReply, stored: StoreReply) => void,
): void {
  const pair = new Pair();
  let last: LimitSpec | undefined;
  for (const act of acts) {
    if (act.type === "advance") pair.nowMs += act.ms;
    else if (act.type !== "call") {
      if (last !== undefined) pair.turn(act.type, last);
    } else {
      last = act.limit;
      const request = requestOf(act);
      if (!pair.isAway) pair.stored(request);
      else {
        const local = pair.local(request);
        const wouldBe = decide({ ...request, mode: "peek" }, [pair.state], pair.nowMs).reply;
        assert.ok(wouldBe !== null);
        judge(act, local, wouldBe);
        // The store has counted what was admitted, when it is back. Without the outage it would have seen a denied call, too:
        // a counter then ends when the limit of that call says so.
        if (local.allowed || act.force) pair.stored({ ...request, mode: "force" });
        else pair.stored(tooLarge(request));
      }
    }
  }
}

/** The same call at a cost that is always denied. */
function tooLarge({ steps }: StoreRequest): StoreRequest {
  const event = { type: "charge", cost: Number.MAX_SAFE_INTEGER } as const;
  return { mode: "judge", steps: steps.map(({ bucket, limit }) => ({ bucket, limit, event })) };
}

/** What a mode makes of the store's own answer. A quota of 0 stops calls also where all are allowed. */
function expected({ mode, shadow, limit }: Extract<Act, { type: "call" }>, stored: StoreReply): boolean {
  if (mode === "allow") return shadow || algorithmOf(limit).capacity(limit) > 0;
  return shadow || (mode !== "deny" && stored.allowed);
}

describe("an instance alone, whose policy changes from call to call", () => {
  it("decides as the store would: counters", () => {
    const acts = actsOn(counters, true);
    fc.assert(
      fc.property(acts, (list) =>
        play(list, (act, local, stored) => assert.equal(local.allowed, expected(act, stored))),
      ),
      { numRuns: 2_000 },
    );
  });

  const anyTime = { "rolling windows": slidingIn(WINDOW), "token buckets": bucketsAt(fc.constantFrom(6_000, 100, 7)) };
  for (const [name, limits] of Object.entries(anyTime)) {
    it(`decides as the store would, while time stands still: ${name}`, () => {
      const acts = actsOn(limits, false);
      fc.assert(
        fc.property(acts, (list) =>
          play(list, (act, local, stored) => assert.equal(local.allowed, expected(act, stored))),
        ),
        { numRuns: 1_000 },
      );
    });
  }

  // How much is still used under a length or a rate that was never seen is not known.
  const oneLength = {
    "rolling windows": slidingIn(fc.constant(60_000)),
    "token buckets": bucketsAt(fc.constant(6_000)),
  };
  for (const [name, limits] of Object.entries(oneLength)) {
    it(`never admits what the store would not: ${name}`, () => {
      const acts = actsOn(limits, true);
      fc.assert(
        fc.property(acts, (list) =>
          play(list, (act, local, stored) => assert.ok(!local.allowed || expected(act, stored))),
        ),
        { numRuns: 2_000 },
      );
    });
  }
});

describe("instances that are cut off with equal views, and whose policies change from call to call", () => {
  const count = 3;
  const calls = fc.array(
    fc.record({ i: fc.integer({ min: 0, max: count - 1 }), quota: QUOTA, cost: fc.integer({ min: 1, max: 3 }) }),
    { maxLength: 60, size: "max" },
  );
  const families: Record<string, (quota: number) => LimitSpec> = {
    budget: (quota) => ({ algorithm: "budget", quota, ttlMs: DAY_MS, ttlFrom: "last" }),
    "fixed-window": (quota) => ({ algorithm: "fixed-window", quota, windowMs: DAY_MS, align: "first-use" }),
    "sliding-window": (quota) => ({ algorithm: "sliding-window", quota, windowMs: DAY_MS }),
    "token-bucket": (burst) => ({ algorithm: "token-bucket", burst, levelPerUnit: DAY_MS, levelPerMs: 1 }),
  };
  for (const [name, limitOf] of Object.entries(families)) {
    it(`together admit at most what was left under the largest quota so far: ${name}`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 12 }), calls, (seen, list) => {
          const pairs = Array.from({ length: count }, () => new Pair());
          const first = limitOf(20);
          for (const pair of pairs) {
            pair.stored({
              mode: "force",
              steps: [{ bucket: "b", limit: first, event: { type: "charge", cost: seen } }],
            });
            pair.isAway = true;
          }
          let admitted = 0;
          let largest = 0;
          const own = pairs.map(() => 0);
          for (const { i, quota, cost } of list) {
            const request: StoreRequest = {
              mode: "judge",
              steps: [{ bucket: "b", limit: limitOf(quota), event: { type: "charge", cost } }],
            };
            const { allowed } = (pairs[i] as Pair).local(request, { instances: count, rank: i });
            const share = shareOf(Math.max(0, quota - seen), { instances: count, rank: i });
            if (name !== "token-bucket") assert.equal(allowed, (own[i] ?? 0) + cost <= share, `${quota}, ${seen} seen`);
            else if (allowed) assert.ok((own[i] ?? 0) + cost <= share, `${quota}, ${seen} seen`);
            if (!allowed) continue;
            own[i] = (own[i] ?? 0) + cost;
            admitted += cost;
            largest = Math.max(largest, quota);
          }
          assert.ok(admitted <= Math.max(0, largest - seen));
        }),
        { numRuns: 1_000 },
      );
    });
  }
});

describe("a hold that outlives the window in which it was made", () => {
  it("does not keep the use of that window", () => {
    const limit: LimitSpec = { algorithm: "fixed-window", quota: 10, windowMs: 60_000, align: "epoch" };
    const pair = new Pair();
    const ask = (event: Step["event"]): StoreRequest => ({ mode: "judge", steps: [{ bucket: "b", limit, event }] });
    pair.stored(ask({ type: "charge", cost: 6 }));
    pair.isAway = true;
    assert.ok(pair.local(ask({ type: "hold", id: "h1", units: 1, leaseMs: 120_000, onExpiry: "refund" })).allowed);
    pair.nowMs += 60_000;
    assert.equal(pair.local(ask({ type: "charge", cost: 10 })).allowed, false);
    assert.ok(pair.local(ask({ type: "charge", cost: 9 })).allowed);
    assert.equal(pair.local(ask({ type: "charge", cost: 1 })).allowed, false);
    pair.nowMs += 60_000;
    const { reply } = decide(ask({ type: "read" }), [pair.state], pair.nowMs);
    assert.equal(reply?.steps[0]?.used, 0);
    assert.ok(pair.local(ask({ type: "charge", cost: 10 })).allowed);
  });
});

// A token bucket across an outage: what a store counts afterwards, beside a bucket that got every admitted unit at its instant.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { tokenBucket, type TokenBucketLimit } from "../../kernel/algorithms/token-bucket.ts";
import type { StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { StoredState } from "../../kernel/state.ts";
import { decide } from "../../store/check.ts";
import { StoreError } from "../../store/error.ts";
import { Backlog } from "./backlog.ts";
import { LocalDecisions } from "./local-decisions.ts";
import { Views } from "./views.ts";

const START_MS = Date.UTC(2030, 0, 1);
const FAILURE = new StoreError("unavailable", "the store is unreachable", { transient: true });

/** How a call meets an outage: it is decided without the store, was sent before, or has a key of its own. */
type Way = "plain" | "sent" | "keyed";

function requestOf(limit: TokenBucketLimit, cost: number, key?: string): StoreRequest {
  const once = key === undefined ? {} : { once: { key, request: key } };
  return { mode: "judge", ...once, steps: [{ bucket: "b", limit, event: { type: "charge", cost } }] };
}

/** The only instance of a store, and a bucket that was never away. */
class OneAlone {
  readonly #views = new Views();
  readonly #backlog = new Backlog({ instance: "i1" }, undefined);
  readonly #local: LocalDecisions;
  nowMs = START_MS;
  #stored: StoredState | undefined;
  #all: StoredState | undefined;
  isAway = false;
  #keys = 0;

  constructor() {
    const time = { nowMs: () => this.nowMs };
    const members = { place: () => ({ instances: 1, rank: 0 }) };
    const outage = { failure: FAILURE, awayMs: 0 };
    this.#local = new LocalDecisions({ views: this.#views, time }, this.#backlog, members, outage);
  }

  /** @param way `sent`: the call was sent before the outage, and its answer does not come */
  call(limit: TokenBucketLimit, cost: number, way: Way = "plain"): boolean {
    if (this.isAway && way === "sent") return this.callTogether(limit, [cost])[0] === true;
    const request = requestOf(limit, cost, way === "keyed" ? `k${++this.#keys}` : undefined);
    const reply = this.isAway ? this.#local.admit(request) : this.#ask(request);
    assert.ok(!StoreError.isInstance(reply));
    return this.#counted(limit, cost, reply);
  }

  /** Calls that were sent in one batch before the outage, and whose answers do not come. */
  callTogether(limit: TokenBucketLimit, costs: readonly number[]): boolean[] {
    const { number } = this.#backlog.nextReceipt();
    const requests = costs.map((cost) => requestOf(limit, cost));
    return this.#local.doubt(requests, number, []).map((reply, i) => {
      assert.ok(!StoreError.isInstance(reply));
      return this.#counted(limit, costs[i] ?? 0, reply);
    });
  }

  /** @param takesMs how long the bookings are under way */
  heal(takesMs = 0): void {
    this.#backlog.makeBatches(64, this.nowMs);
    this.nowMs += takesMs;
    for (const batch of this.#backlog.batches) {
      for (const request of batch.requests) if (request.mode === "force") this.#ask(request);
      this.#backlog.forget(batch);
    }
    this.#local.clear();
    this.isAway = false;
  }

  used(limit: TokenBucketLimit): { readonly stored: number; readonly all: number } {
    const [stored, all] = [this.#stored, this.#all].map((state) => {
      const isLive = state?.kind === "token-bucket" && this.nowMs < state.expiresAtMs;
      return isLive ? tokenBucket.used(limit, state, this.nowMs) : 0;
    });
    return { stored: stored ?? 0, all: all ?? 0 };
  }

  #counted(limit: TokenBucketLimit, cost: number, { allowed }: StoreReply): boolean {
    const request = { ...requestOf(limit, cost), mode: "force" } as const;
    if (allowed) this.#all = decide(request, [this.#all], this.nowMs).next?.[0] ?? this.#all;
    return allowed;
  }

  #ask(request: StoreRequest): StoreReply {
    const { reply, next } = decide(request, [this.#stored, undefined], this.nowMs);
    assert.ok(reply !== null);
    if (next !== null) this.#stored = next[0];
    this.#views.learn(request, reply);
    return reply;
  }
}

describe("units of a token bucket that were admitted in an outage", () => {
  const limit: TokenBucketLimit = { algorithm: "token-bucket", burst: 10, levelPerUnit: 1_000, levelPerMs: 1 };

  it("flow back after those that the store had counted, not beside them", () => {
    const alone = new OneAlone();
    assert.ok(alone.call(limit, 10));
    alone.isAway = true;
    alone.nowMs += 5_000;
    assert.ok(alone.call(limit, 5));
    alone.nowMs += 5_000;
    alone.heal();
    assert.deepEqual(alone.used(limit), { stored: 5, all: 5 });
  });

  it("flow back after those that the store had counted, and has forgotten by the time that they are booked", () => {
    const alone = new OneAlone();
    assert.ok(alone.call(limit, 6));
    alone.isAway = true;
    alone.nowMs += 2_000;
    assert.ok(alone.call(limit, 6));
    alone.heal(4_500);
    assert.deepEqual(alone.used(limit), { stored: 6, all: 6 });
  });

  it("flow back after those of a call that was under way when the outage began", () => {
    const alone = new OneAlone();
    alone.isAway = true;
    assert.ok(alone.call(limit, 4, "sent"));
    assert.ok(alone.call(limit, 4));
    alone.nowMs += 4_000;
    alone.heal();
    assert.deepEqual(alone.used(limit), { stored: 4, all: 4 });
  });

  it("flow back one after another where their calls were sent together, and each alone has flowed back", () => {
    const alone = new OneAlone();
    alone.isAway = true;
    assert.deepEqual(alone.callTogether(limit, [1, 1, 1, 1, 1, 1, 1]), new Array(7).fill(true));
    alone.nowMs += 1_500;
    alone.heal();
    assert.deepEqual(alone.used(limit), { stored: 6, all: 6 });
    alone.nowMs += 4_500;
    assert.deepEqual(alone.used(limit), { stored: 1, all: 1 });
  });

  it("flow back one after another where their calls have keys", () => {
    const alone = new OneAlone();
    assert.ok(alone.call(limit, 2));
    alone.isAway = true;
    for (let i = 0; i < 5; i++) assert.ok(alone.call(limit, 1, "keyed"));
    alone.nowMs += 3_500;
    alone.heal();
    assert.deepEqual(alone.used(limit), { stored: 4, all: 4 });
  });

  it("count for the store as if it had never been away, or less than three units more for each outage", () => {
    play(["plain"], (alone, rate, outages) => {
      const { stored, all } = alone.used(rate);
      assert.ok(stored >= all, `the store counts ${stored} of ${all}`);
      assert.ok(stored <= all + 3 * outages, `the store counts ${stored}, and not ${all}, after ${outages} outages`);
    });
  });

  it("are never fewer for the store, whatever calls they are of", () => {
    play(["plain", "sent", "keyed"], (alone, rate) => {
      const { stored, all } = alone.used(rate);
      assert.ok(stored >= all, `the store counts ${stored} of ${all}`);
    });
  });

  type Check = (alone: OneAlone, rate: TokenBucketLimit, outages: number) => void;

  /** Makes calls and outages, and checks after each act that the store does not miss. */
  function play(ways: readonly Way[], check: Check): void {
    const act = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          type: fc.constant("call" as const),
          cost: fc.integer({ min: 1, max: 6 }),
          way: fc.constantFrom(...ways),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({ type: fc.constant("advance" as const), ms: fc.constantFrom(1, 333, 1_000, 4_000) }),
      },
      { weight: 1, arbitrary: fc.record({ type: fc.constantFrom("cut" as const, "heal" as const) }) },
    );
    const rates = fc.constantFrom(1_000, 700, 3).map((levelPerUnit) => ({ ...limit, levelPerUnit, levelPerMs: 3 }));
    fc.assert(
      fc.property(rates, fc.array(act, { maxLength: 60, size: "max" }), (rate, acts) => {
        const alone = new OneAlone();
        let outages = 0;
        for (const each of acts) {
          if (each.type === "advance") alone.nowMs += each.ms;
          else if (each.type === "call") alone.call(rate, each.cost, each.way);
          else if (each.type === "cut") alone.isAway = true;
          else {
            if (alone.isAway) outages++;
            alone.heal();
          }
          if (!alone.isAway) check(alone, rate, outages);
        }
      }),
      { numRuns: 2_000 },
    );
  }
});

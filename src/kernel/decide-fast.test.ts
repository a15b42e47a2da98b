import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { LimitSpec } from "./algorithms/registry.ts";
import { notAhead } from "./bucket/ahead.ts";
import { ownState } from "./bucket/contents.ts";
import { decide, decideAny } from "./decide.ts";
import { decidePlain, replyPlain } from "./decide-fast.ts";
import type { StoreRequest } from "./request.ts";
import type { StoredState } from "./state.ts";

const SEED = 20_261_125;
const NOW_MS = 1_000_000;

const small = fc.integer({ min: 0, max: 9 });
const lengthMs = fc.constantFrom(10, 37, 100);
const specs: fc.Arbitrary<LimitSpec> = fc.oneof(
  fc.record({
    algorithm: fc.constant("budget"),
    quota: small,
    ttlMs: lengthMs,
    ttlFrom: fc.constantFrom("first", "last"),
  }),
  fc.record({
    algorithm: fc.constant("fixed-window"),
    quota: small,
    windowMs: lengthMs,
    align: fc.constantFrom("epoch", "first-use"),
  }),
  fc.record({
    algorithm: fc.constant("fixed-window"),
    quota: small,
    align: fc.constant("calendar"),
    boundaries: fc.constantFrom<[number, number, number]>(
      [NOW_MS - 50, NOW_MS + 50, NOW_MS + 150],
      [NOW_MS - 150, NOW_MS - 50, NOW_MS],
      [NOW_MS + 1, NOW_MS + 50, NOW_MS + 99],
    ),
  }),
  fc.record({ algorithm: fc.constant("sliding-window"), quota: small, windowMs: lengthMs }),
  fc.record({
    algorithm: fc.constant("token-bucket"),
    burst: fc.integer({ min: 1, max: 5 }),
    levelPerUnit: fc.constantFrom(1, 7, 40),
    levelPerMs: fc.constantFrom(1, 3),
  }),
  fc.record({ algorithm: fc.constant("concurrency"), quota: small }),
  fc.record({ algorithm: fc.constant("elapsed"), quota: fc.constantFrom(0, 5, 50), ttlMs: lengthMs }),
  fc.record({ algorithm: fc.constant("streak"), quota: small, ttlMs: lengthMs }),
  fc.record({ algorithm: fc.constant("cooldown"), quota: fc.constantFrom(0, 1), pauseMs: lengthMs }),
) as fc.Arbitrary<LimitSpec>;

const cost = fc.constantFrom(1, 1, 1, 2, 3, 0, 50, Number.MAX_SAFE_INTEGER);
const agoMs = fc.constantFrom(0, 1, 5, 9, 10, 36, 60, 101);

/** A bucket as some charges left it, perhaps of another limit, and one step on it. */
const bucket = fc.record({
  before: fc.array(fc.record({ cost: fc.integer({ min: 1, max: 6 }), agoMs }), { maxLength: 4 }),
  written: fc.option(specs),
  limit: specs,
  cost,
  shadow: fc.constantFrom(undefined, undefined, true),
});

type Bucket = typeof bucket extends fc.Arbitrary<infer Value> ? Value : never;

function stateOf({ before, written, limit }: Bucket): StoredState | undefined {
  let state: StoredState | undefined;
  for (const { cost, agoMs } of before.toSorted((a, b) => b.agoMs - a.agoMs)) {
    const event = { type: "charge", cost } as const;
    const step = { bucket: "b", limit: written ?? limit, event };
    const { next } = decideAny({ mode: "force", steps: [step] }, [state], NOW_MS - agoMs);
    if (next !== null) state = next[0];
  }
  return state;
}

describe("the short way of a decision", () => {
  it("replies and writes as the full path does", () => {
    let [short, denied, firm] = [0, 0, 0];
    const property = fc.property(fc.array(bucket, { minLength: 1, maxLength: 4 }), (buckets) => {
      const request: StoreRequest = {
        mode: "judge",
        steps: buckets.map(({ limit, cost, shadow }, i) => ({
          bucket: `b${i}`,
          limit,
          event: { type: "charge", cost },
          ...(shadow === undefined ? {} : { shadow }),
        })),
      };
      const states = buckets.map(stateOf);
      const plain = decidePlain(request, states, NOW_MS);
      const any = decideAny(request, states, NOW_MS);
      if (plain === null) {
        const isStale = any.reply?.stale === true;
        const isAhead = buckets.some(({ limit }, i) => {
          const own = ownState(limit, states[i], NOW_MS);
          return own !== undefined && notAhead(limit, own, NOW_MS) !== own;
        });
        return assert.ok(isStale || isAhead);
      }
      short++;
      denied += plain.reply?.allowed === false ? 1 : 0;
      firm += plain.reply?.firm === true ? 1 : 0;
      assert.deepEqual(plain, any);
      const own = structuredClone(states);
      assert.deepEqual(replyPlain(request, own, NOW_MS, true), any.reply);
      assert.deepEqual(own, any.next ?? states);
    });
    fc.assert(property, { seed: SEED, numRuns: 20_000 });
    assert.ok(short > 10_000 && denied > 3_000 && firm > 1_000, `${short} ${denied} ${firm}`);
  });

  const limit: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 100, ttlFrom: "last" };
  const charge = { bucket: "b", limit, event: { type: "charge", cost: 1 } } as const;
  const held: StoredState = {
    kind: "held",
    expiresAtMs: NOW_MS + 10,
    of: "counter",
    spent: undefined,
    entries: [
      {
        kind: "reservation",
        id: "h",
        units: 5,
        expiresAtMs: NOW_MS + 5,
        onExpiry: "charge",
        expired: false,
        levelAfter: null,
      },
    ],
  };
  const once = { key: "k", request: "r" };
  for (const [name, request, state] of [
    ["a peek", { mode: "peek", steps: [charge] }, undefined],
    ["a forced one", { mode: "force", steps: [charge] }, undefined],
    ["one that is kept", { mode: "judge", steps: [charge], once }, undefined],
    ["one that may wait", { mode: "judge", steps: [charge], wait: { id: "w", maxMs: 5 } }, undefined],
    ["a value", { mode: "judge", steps: [{ ...charge, event: { ...charge.event, seen: "0".repeat(16) } }] }, undefined],
    ["another event", { mode: "judge", steps: [{ ...charge, event: { type: "read" } }] }, undefined],
    ["a bucket with holds", { mode: "judge", steps: [charge] }, held],
  ] as const satisfies readonly (readonly [string, StoreRequest, StoredState | undefined])[]) {
    it(`leaves ${name} to the long way`, () => {
      assert.equal(decidePlain(request, [state], NOW_MS), null);
      assert.notEqual(decide(request, [state], NOW_MS).reply, undefined);
    });
  }

  it("makes a denial firm only without a hold", () => {
    const denied = decide({ mode: "judge", steps: [charge] }, [held], NOW_MS);
    assert.deepEqual([denied.reply?.allowed, denied.reply?.firm], [false, undefined]);
    const spent: StoredState = { kind: "counter", spent: 5, expiresAtMs: NOW_MS + 10 };
    for (const mode of ["judge", "peek"] as const) {
      const { reply } = decide({ mode, steps: [charge] }, [spent], NOW_MS);
      assert.deepEqual([reply?.allowed, reply?.firm], [false, true], mode);
    }
  });
});

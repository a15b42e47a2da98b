import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MisuseError, StoreError } from "tollgate";
import { decide, type LimitSpec, type Step, type StoredState, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { testStore } from "./store-suite.ts";

testStore("memory", () => {
  const clock = fakeClock();
  return { store: memoryStore({ clock }), advance: clock.advance };
});

const limit: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 1_000, ttlFrom: "last" };
const charge = (bucket: string): Step => ({ bucket, limit, event: { type: "charge", cost: 1 } });
const isCapacity = (reply: unknown) => StoreError.isInstance(reply) && reply.code === "capacity";

describe("counting in place", () => {
  const ttlMs = fc.constantFrom(500, 1_000, 5_000);
  const quota = fc.integer({ min: 0, max: 6 });
  const limits: fc.Arbitrary<LimitSpec> = fc.oneof(
    fc.record({ algorithm: fc.constant("budget" as const), quota, ttlMs, ttlFrom: fc.constantFrom("first", "last") }),
    fc.record({
      algorithm: fc.constant("fixed-window" as const),
      quota,
      windowMs: ttlMs,
      align: fc.constantFrom("epoch", "first-use"),
    }),
    fc.record({ algorithm: fc.constant("sliding-window" as const), quota, windowMs: ttlMs }),
    fc.record({
      algorithm: fc.constant("token-bucket" as const),
      burst: quota,
      levelPerUnit: ttlMs,
      levelPerMs: fc.constant(1),
    }),
  ) as fc.Arbitrary<LimitSpec>;
  const events: fc.Arbitrary<Step["event"]> = fc.oneof(
    fc.record({ type: fc.constant("charge" as const), cost: fc.integer({ min: 0, max: 3 }) }),
    fc.record({
      type: fc.constant("charge" as const),
      cost: fc.constant(1),
      seen: fc.constantFrom("0123456789abcdef", "fedcba9876543210"),
    }),
    fc.constantFrom<Step["event"]>(
      { type: "hold", id: "h1", units: 1, leaseMs: 700, onExpiry: "charge" },
      { type: "settle", id: "h1", units: 2 },
      { type: "reset" },
      { type: "read" },
    ),
  );

  it("equals the kernel, for any sequence of limits and events", async () => {
    const acts = fc.array(
      fc.record({
        limit: limits,
        event: events,
        mode: fc.constantFrom("judge" as const, "judge" as const, "force" as const, "peek" as const),
        afterMs: fc.constantFrom(0, 0, 1, 499, 501, 1_000),
      }),
      { maxLength: 60, size: "max" },
    );
    await fc.assert(
      fc.asyncProperty(acts, async (list) => {
        const clock = fakeClock();
        const store = memoryStore({ clock });
        let state: StoredState | undefined;
        let made = 0;
        for (const { limit, event, mode, afterMs } of list) {
          clock.advance(afterMs);
          const named = event.type === "hold" ? { ...event, id: `h${++made}` } : event;
          const request: StoreRequest = { mode, steps: [{ bucket: "b", limit, event: named }] };
          const { reply, next } = decide(request, [state], clock.nowMs());
          if (next !== null) state = next[0];
          assert.deepEqual(await store.apply([request]), [reply]);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("the memory store's bound", () => {
  it("refuses a new bucket at its cap, charges nothing for it, and forgets no live one", async () => {
    const store = memoryStore({ maxBuckets: 3, clock: fakeClock() });
    const fill = [{ mode: "judge", steps: [charge("a"), charge("b")] }] as const;
    await store.apply(fill);
    const [refused, fits, known] = await store.apply([
      { mode: "judge", steps: [charge("a"), charge("c"), charge("d")] },
      { mode: "judge", steps: [charge("c")] },
      { mode: "judge", steps: [charge("a"), charge("b"), charge("c")] },
    ]);
    assert.ok(isCapacity(refused));
    assert.ok(fits !== undefined && !StoreError.isInstance(fits) && fits.allowed);
    assert.ok(known !== undefined && !StoreError.isInstance(known));
    assert.deepEqual(
      known.steps.map(({ used }) => used),
      [2, 2, 2],
    );
  });

  it("takes new buckets again when old ones have expired", async () => {
    const clock = fakeClock();
    const store = memoryStore({ maxBuckets: 100, clock });
    const fill = async (name: string) => {
      const replies = await store.apply(
        Array.from({ length: 100 }, (_, i) => ({ mode: "judge", steps: [charge(`${name}${i}`)] }) as const),
      );
      return replies.filter((reply) => !isCapacity(reply)).length;
    };
    assert.equal(await fill("old"), 100);
    assert.equal(await fill("early"), 0);
    clock.advance(1_000);
    assert.equal(await fill("new"), 100);
  });

  it("drops expired buckets while others are booked, without being asked for them", async () => {
    const clock = fakeClock();
    const store = memoryStore({ maxBuckets: 1_000, clock });
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 100; i++) {
        const [reply] = await store.apply([{ mode: "judge", steps: [charge(`${round}-${i}`)] }]);
        assert.ok(!isCapacity(reply), `round ${round} found no room`);
      }
      clock.advance(1_000);
    }
  });

  it("keeps the answer of an ended hold for ten minutes again when it is sent again after ten minutes", async () => {
    const clock = fakeClock();
    const store = memoryStore({ clock });
    const lasting: LimitSpec = { ...limit, quota: 99, ttlMs: 86_400_000 };
    const end: StoreRequest = {
      mode: "force",
      steps: [{ bucket: "b", limit: lasting, event: { type: "settle", id: "h1", units: 1 } }],
      once: { key: "p:1:{t}:$settled:h1", request: "r1" },
    };
    const used = async () => {
      const [reply] = await store.apply([end]);
      assert.ok(reply !== undefined && !StoreError.isInstance(reply));
      return reply.steps[0]?.used;
    };
    assert.equal(await used(), 1);
    clock.advance(600_000);
    assert.equal(await used(), 2);
    for (const _ of [1, 2, 3]) assert.equal(await used(), 2);
  });

  for (const maxBuckets of [0, -1, 1.5, Number.NaN, 10_000_001, "9" as never]) {
    it(`refuses maxBuckets ${maxBuckets}`, () => {
      assert.throws(
        () => memoryStore({ maxBuckets }),
        (error) => MisuseError.isInstance(error) && error.code === "invalid-option" && /maxBuckets/.test(error.message),
      );
    });
  }
});

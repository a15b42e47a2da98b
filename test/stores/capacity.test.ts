// Where there is no room, calls are refused. What ends a call that was allowed never is: it would leave what the call holds
// in place.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type Hold, type Limiter, type LimiterEvent, type PolicyInput, StoreError } from "tollgate";
import type { Store } from "tollgate/store";
import { type DocumentPort, documentStore } from "tollgate/stores/document";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

const isCapacity = (error: unknown) => StoreError.isInstance(error) && error.code === "capacity";

/** A document store of one session, whose bound is 10,000 keys. */
function documentOf(clock: { nowMs(): number }) {
  let value: string | null = null;
  const port: DocumentPort = {
    async transact(_partition, change) {
      const { json, result } = change(value, clock.nowMs());
      value = typeof json === "string" ? json : JSON.stringify(json);
      return result;
    },
  };
  const document = () => JSON.parse(value ?? '{ "tollgate": 1, "keys": {} }');
  return {
    store: documentStore(port, { clock }),
    keys: () => Object.keys(document().keys),
    /** Takes all room with buckets that live for an hour. */
    fill(most: number) {
      const { keys } = document();
      const buckets = Object.keys(keys).filter((key) => !key.includes("$settled")).length;
      for (let turn = 0; turn < most - buckets; turn++) {
        keys[`rate:1:{s1}:calls:full-${turn}`] = ["1", clock.nowMs() + 3_600_000];
      }
      value = JSON.stringify({ tollgate: 1, keys });
    },
  };
}

const POLICY: PolicyInput = {
  version: 1,
  tools: { model: { cost: { tokens: 5 } } },
  limits: [
    {
      name: "at-once",
      per: ["session"],
      algorithm: "concurrency",
      quota: 4,
      hold: { lease: "1m" },
      when: { tool: ["model"] },
    },
    { name: "calls", per: ["session", "turn"], quota: 1_000_000, resetAfterIdle: "1h" },
    { name: "tokens", per: ["session"], unit: "tokens", quota: 1_000_000, resetAfterIdle: "1h" },
    {
      name: "money",
      per: ["session", "turn"],
      unit: "usd_micros",
      quota: 1_000_000,
      resetAfterIdle: "1h",
      onMissing: "skip",
    },
    { name: "errors", per: ["session", "agent"], algorithm: "streak", of: "errors", quota: 1_000, onMissing: "skip" },
  ],
} as PolicyInput;

function limiterOf(store: Store) {
  const events: LimiterEvent[] = [];
  return { limiter: createLimiter({ policy: POLICY, store, onEvent: (event) => events.push(event) }), events };
}

const call = { tool: "model", session: "s1", turn: "t1", cost: { usd_micros: 0 } };
/** Takes all room with buckets that live for an hour. */
async function fill(limiter: Limiter): Promise<void> {
  for (let turn = 0; ; turn++) {
    try {
      await limiter.record({ tool: "other", session: "s1", turn: `full-${turn}` });
    } catch (error) {
      assert.ok(isCapacity(error), String(error));
      return;
    }
  }
}

describe("a memory store at its bound", () => {
  it("lets every run end: 2,000 runs over 100 buckets leave no slot in use", async () => {
    const { limiter, events } = limiterOf(memoryStore({ maxBuckets: 100, clock: fakeClock() }));
    for (let i = 0; i < 2_000; i++) {
      const ran = await limiter.run(call, ({ addUsage }) => addUsage({ tokens: 7 }));
      assert.equal(ran.allowed, true, `run ${i}`);
    }
    assert.deepEqual(events, []);
    const usages = await limiter.usage({ session: "s1", turn: "t1" });
    assert.deepEqual(
      usages.map(({ limit, used }) => [limit, used]),
      [
        ["at-once", 0],
        ["calls", 2_000],
        ["tokens", 14_000],
        ["money", 0],
      ],
    );
  });

  it("lets 200 runs at a time end", async () => {
    const { limiter, events } = limiterOf(memoryStore({ maxBuckets: 500, clock: fakeClock() }));
    for (let round = 0; round < 20; round++) {
      const runs = Array.from({ length: 100 }, (_, i) => limiter.run({ ...call, session: `s${i}` }, () => i));
      assert.equal((await Promise.all(runs)).filter(({ allowed }) => allowed).length, 100);
    }
    assert.deepEqual(events, []);
  });

  it("repeats a settle's answer while it has room for it", async () => {
    const { limiter } = limiterOf(memoryStore({ maxBuckets: 10, clock: fakeClock() }));
    const holds: Hold[] = [];
    for (let i = 0; i < 1_100; i++) {
      const held = await limiter.reserve(call);
      assert.ok(held.allowed);
      await held.hold.settle({ tokens: 1 });
      holds.push(held.hold);
    }
    assert.equal((await holds.at(-1)?.settle({ tokens: 1 }))?.replayed, true);
    assert.equal((await holds.at(-900)?.settle({ tokens: 1 }))?.replayed, true);
    assert.equal((await holds[0]?.settle({ tokens: 1 }))?.status, "unknown-hold");
  });
});

interface Bounded {
  readonly store: Store;
  readonly most: number;
  fill(limiter: Limiter): unknown;
  size?(): number;
}

const bounded: Record<string, (clock: { nowMs(): number }) => Bounded> = {
  memory: (clock) => ({ store: memoryStore({ maxBuckets: 200, clock }), most: 200, fill }),
  document: (clock) => {
    const { store, keys, fill } = documentOf(clock);
    return { store, most: 10_000, fill: () => fill(10_000), size: () => keys().length };
  },
};

for (const [name, make] of Object.entries(bounded)) {
  describe(`a full ${name} store`, () => {
    async function full() {
      const clock = fakeClock();
      const { store, most, size, fill } = make(clock);
      const { limiter, events } = limiterOf(store);
      const holds = [];
      for (let i = 0; i < 2; i++) {
        const held = await limiter.reserve({ ...call, turn: `t${i}` });
        assert.ok(held.allowed);
        holds.push(held.hold);
      }
      await fill(limiter);
      return { clock, limiter, events, holds, most, size };
    }

    it("refuses calls that need new buckets, and serves those that need none", async () => {
      const { limiter } = await full();
      await assert.rejects(limiter.record({ tool: "other", session: "s1", turn: "new" }), isCapacity);
      await assert.rejects(limiter.reserve({ ...call, turn: "new" }), isCapacity);
      const [old, fresh] = await Promise.allSettled([
        limiter.reserve({ ...call, turn: "full-1" }),
        limiter.reserve({ ...call, turn: "new" }),
      ]);
      assert.equal(old?.status === "fulfilled" && old.value.allowed, true);
      assert.ok(fresh?.status === "rejected" && isCapacity(fresh.reason));
    });

    it("settles, releases and extends every hold", async () => {
      const { limiter, holds, clock } = await full();
      assert.equal(await holds[0]?.extend(), true);
      const settled = await holds[0]?.settle({ tokens: 9, usd_micros: 3 });
      assert.equal(settled?.status, "settled");
      assert.equal((await holds[0]?.settle({ tokens: 9, usd_micros: 3 }))?.replayed, true);
      assert.equal((await holds[1]?.release())?.status, "settled");
      const usages = await limiter.usage({ session: "s1", turn: "t0" });
      assert.deepEqual(
        usages.map(({ used }) => used),
        [0, 1, 9, 3],
      );
      clock.advance(60_000);
      assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 0);
    });

    it("ends holds that no call settles, and settles them late", async () => {
      const { limiter, holds, clock } = await full();
      clock.advance(60_000);
      const [atOnce, tokens] = await limiter.usage({ session: "s1" });
      assert.deepEqual([atOnce?.used, tokens?.used], [0, 10]);
      assert.equal((await holds[0]?.settle({ tokens: 8 }))?.status, "late");
      assert.equal((await limiter.usage({ session: "s1" }))[1]?.used, 13);
    });

    it("runs calls of existing buckets, one after the other, and reports their outcomes", async () => {
      const { limiter, events } = await full();
      for (let i = 0; i < 50; i++) {
        const ran = await limiter.run({ ...call, turn: "full-1" }, ({ addUsage }) =>
          addUsage({ tokens: 1, usd_micros: 1 }),
        );
        assert.equal(ran.allowed, true, `run ${i}`);
      }
      assert.deepEqual(events, []);
      assert.equal((await limiter.usage({ session: "s1", turn: "full-1" }))[3]?.used, 50);
    });

    it("stays bounded for settles of unknown holds", async () => {
      const { limiter, most, size } = await full();
      const made = Array.from({ length: most / 4 }, (_, i) =>
        limiter.getHold(`made-up-${i}`, { ...call, turn: `made-up-${i}` }).settle({ tokens: 1, usd_micros: 1 }),
      );
      const settled = await Promise.allSettled(made);
      const refused = settled.filter((each) => each.status === "rejected" && isCapacity(each.reason)).length;
      assert.ok(refused > 0, "an eighth more is all that they get");
      if (size !== undefined) assert.ok(size() <= most * 1.125 + 1_000 + 2, String(size()));
    });
  });
}

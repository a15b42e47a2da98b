// What an instance admits while its store is unreachable follows the policy of each call, and what it has admitted counts
// under every policy. On a remote store without a network.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type FailoverOptions, type Limiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { networkLayers } from "../../src/layers/network.ts";
import { RemoteStore } from "./remote.ts";

const clock = { nowMs: () => Date.now() };
const call = { tool: "search", session: "s1" };

function policyOf(limit: object = {}): PolicyInput {
  return {
    version: 1,
    limits: [
      { name: "calls", per: ["session"], quota: 10, overrides: [{ when: { plan: "pro" }, quota: 100 }], ...limit },
    ],
  } as PolicyInput;
}

/** An instance of a deployment, and how to take its store away and give it back. */
function instanceOf(remote: RemoteStore, policy: PolicyInput, failover: FailoverOptions = {}) {
  const back: (() => void)[] = [];
  const limiter: Limiter = createLimiter({
    policy,
    // Instances have connections of their own: the one that closes leaves the store open for the others.
    store: {
      layers: networkLayers,
      batching: remote.batching,
      apply: remote.apply.bind(remote),
      book: remote.book.bind(remote),
      beat: remote.beat.bind(remote),
      async close() {},
    },
    failover: { deadlineMs: 250, ...failover },
    onEvent: (event: LimiterEvent) => {
      if (event.type === "store.recovered") for (const resolve of back.splice(0)) resolve();
    },
  }) as Limiter;
  return {
    limiter,
    cut() {
      remote.fault = "lose-request";
    },
    async heal() {
      const isBack = new Promise<void>((resolve) => back.push(resolve));
      remote.fault = "answer";
      await isBack;
    },
  };
}

/** How many of some calls are admitted. */
async function admitted(limiter: Limiter, times: number, more: object = {}): Promise<number> {
  let count = 0;
  for (let i = 0; i < times; i++) if ((await limiter.consume({ ...call, ...more })).allowed) count++;
  return count;
}

async function usedIn(limiter: Limiter): Promise<number | undefined> {
  return (await limiter.usage({ session: "s1" }))[0]?.used;
}

/** An instance that has seen 2 of 10 units used, and decides alone. */
async function cutOff(limit: object = {}, failover: FailoverOptions = {}) {
  const remote = new RemoteStore(clock);
  const instance = instanceOf(remote, policyOf(limit), failover);
  assert.equal(await admitted(instance.limiter, 2), 2);
  instance.cut();
  return { ...instance, remote };
}

const WINDOW = { algorithm: "fixed-window", window: "365d", align: "first-use" };
const ALGORITHMS: Record<string, object> = {
  quota: {},
  "fixed-window": WINDOW,
  "sliding-window": { algorithm: "sliding-window", window: "365d" },
  "token-bucket": { algorithm: "token-bucket", window: "365d" },
};

describe("a policy that is reloaded while the store is unreachable", () => {
  for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
    it(`applies to the next call: ${name}`, async () => {
      const { limiter, heal } = await cutOff(algorithm);
      assert.equal(await admitted(limiter, 3), 3);
      limiter.reload(policyOf({ ...algorithm, quota: 0 }));
      assert.equal(await admitted(limiter, 20), 0);
      limiter.reload(policyOf({ ...algorithm, onStoreError: "deny" }));
      assert.equal(await admitted(limiter, 20), 0);
      limiter.reload(policyOf({ ...algorithm, quota: 5 }));
      assert.equal(await admitted(limiter, 20), 0, "2 were seen, and 3 were admitted");
      limiter.reload(policyOf({ ...algorithm, quota: 7 }));
      assert.equal(await admitted(limiter, 20), 2);
      limiter.reload(policyOf({ ...algorithm, quota: 8, mode: "shadow" }));
      assert.equal(await admitted(limiter, 3), 3);
      limiter.reload(policyOf({ ...algorithm, quota: 10 }));
      assert.equal(await admitted(limiter, 20), 0, "10 were admitted, those in shadow among them");
      limiter.reload(policyOf({ ...algorithm, onStoreError: "allow" }));
      assert.equal(await admitted(limiter, 4), 4);
      limiter.reload(policyOf({ ...algorithm, quota: 15, onStoreError: "local" }));
      assert.equal(await admitted(limiter, 20), 1);
      await heal();
      assert.equal(await usedIn(limiter), 15);
      await limiter.close({ withinMs: 0 });
    });

    it(`keeps the use of calls that are recorded during a stop: ${name}`, async () => {
      const { limiter, heal } = await cutOff(algorithm);
      assert.equal(await admitted(limiter, 3), 3);
      limiter.reload(policyOf({ ...algorithm, quota: 0 }));
      assert.equal((await limiter.record(call)).allowed, false);
      limiter.reload(policyOf(algorithm));
      assert.equal(await admitted(limiter, 20), 4);
      await heal();
      assert.equal(await usedIn(limiter), 10);
      await limiter.close({ withinMs: 0 });
    });

    it(`gives no fresh share for any number of reloads: ${name}`, async () => {
      const { limiter, heal } = await cutOff(algorithm, { instances: 2 });
      const policies = [
        {},
        { quota: 0 },
        { onStoreError: "deny" },
        { mode: "shadow", quota: 0, onStoreError: "deny" },
        { quota: 10, message: "Stopped." },
        { window: "364d" },
      ].filter((more) => !("window" in more) || "window" in algorithm);
      let count = 0;
      for (let round = 0; round < 4; round++) {
        for (const more of policies) {
          limiter.reload(policyOf({ ...algorithm, ...more }));
          if (!("mode" in more)) count += await admitted(limiter, 3);
        }
      }
      assert.equal(count, 4, "half of the 8 units that were left");
      await heal();
      assert.equal(await usedIn(limiter), 6);
      await limiter.close({ withinMs: 0 });
    });
  }

  it("stops calls by a quota of 0 also where onStoreError is allow", async () => {
    const { limiter } = await cutOff({ onStoreError: "allow" });
    assert.equal(await admitted(limiter, 20), 20);
    limiter.reload(policyOf({ onStoreError: "allow", quota: 0 }));
    assert.equal(await admitted(limiter, 1), 0);
    limiter.reload(policyOf({ onStoreError: "allow", overrides: [{ when: { plan: "blocked" }, quota: 0 }] }));
    assert.equal(await admitted(limiter, 1, { plan: "blocked" }), 0);
    assert.equal(await admitted(limiter, 1), 1);
    await limiter.close({ withinMs: 0 });
  });

  it("stops calls by a quota of 0 also where units were granted or values were seen", async () => {
    for (const limit of [{}, { distinct: "turn" }]) {
      const remote = new RemoteStore(clock);
      const { limiter, cut } = instanceOf(remote, policyOf(limit));
      await limiter.grant({ limit: "calls", session: "s1" }, { id: "g1", units: 5, durationMs: 60_000 });
      cut();
      assert.equal(await admitted(limiter, 3, { turn: "t1" }), 3);
      limiter.reload(policyOf({ ...limit, quota: 0 }));
      assert.equal(await admitted(limiter, 3, { turn: "t1" }), 0);
      limiter.reload(policyOf({ ...limit, onStoreError: "deny" }));
      assert.equal(await admitted(limiter, 3, { turn: "t1" }), 0);
      limiter.reload(policyOf(limit));
      assert.equal(await admitted(limiter, 20, { turn: "t1" }), "distinct" in limit ? 20 : 12);
      await limiter.close({ withinMs: 0 });
    }
  });

  it("knows of a grant that a quota of 0 has hidden meanwhile", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, cut, heal } = instanceOf(remote, policyOf());
    await limiter.grant({ limit: "calls", session: "s1" }, { id: "g1", units: 5, durationMs: 60_000 });
    limiter.reload(policyOf({ quota: 0 }));
    assert.equal(await admitted(limiter, 1), 0);
    limiter.reload(policyOf());
    assert.equal(await admitted(limiter, 3), 3);
    cut();
    assert.equal(await admitted(limiter, 20), 12);
    await heal();
    assert.equal(await usedIn(limiter), 15);
    await limiter.close({ withinMs: 0 });
  });

  it("divides what was left among the instances under the new quota", async () => {
    const { limiter } = await cutOff({}, { instances: 4 });
    limiter.reload(policyOf({ quota: 42 }));
    assert.equal(await admitted(limiter, 50), 10);
    limiter.reload(policyOf({ quota: 82 }));
    assert.equal(await admitted(limiter, 50), 10);
    limiter.reload(policyOf({ quota: 42, onStoreError: "local" }));
    assert.equal(await admitted(limiter, 50), 20);
    await limiter.close({ withinMs: 0 });
  });

  it("divides a token bucket among the instances as its new mode says", async () => {
    const tokenBucket = { algorithm: "token-bucket", window: "365d" };
    const { limiter } = await cutOff(tokenBucket, { instances: 2 });
    assert.equal(await admitted(limiter, 20), 4, "half of 8");
    limiter.reload(policyOf({ ...tokenBucket, onStoreError: "local" }));
    assert.equal(await admitted(limiter, 20), 4, "all of 8");
    for (let i = 0; i < 5; i++) {
      limiter.reload(policyOf(tokenBucket));
      assert.equal(await admitted(limiter, 20), 0);
      limiter.reload(policyOf({ ...tokenBucket, onStoreError: "local" }));
      assert.equal(await admitted(limiter, 20), 0);
    }
    await limiter.close({ withinMs: 0 });
  });

  it("counts from zero under an algorithm that keeps another kind of state, but only once", async () => {
    const { limiter } = await cutOff();
    const tokenBucket = policyOf({ algorithm: "token-bucket", window: "365d" });
    assert.equal(await admitted(limiter, 20), 8);
    limiter.reload(tokenBucket);
    assert.equal(await admitted(limiter, 20), 10);
    for (let i = 0; i < 3; i++) {
      for (const policy of [policyOf(), tokenBucket]) {
        limiter.reload(policy);
        assert.equal(await admitted(limiter, 20), 0);
      }
    }
    await limiter.close({ withinMs: 0 });
  });

  it("stops calls that `allow` admitted", async () => {
    const { limiter } = await cutOff({ onStoreError: "allow" });
    assert.equal(await admitted(limiter, 30), 30);
    limiter.reload(policyOf());
    assert.equal(await admitted(limiter, 20), 0);
    limiter.reload(policyOf({ quota: 40 }));
    assert.equal(await admitted(limiter, 20), 8);
    await limiter.close({ withinMs: 0 });
  });

  it("also applies where units were borrowed in advance, before and since", async () => {
    const lent = { algorithm: "fixed-window", window: "365d", borrow: "auto", quota: 10_000, overrides: undefined };
    const { limiter, heal } = await cutOff(lent);
    assert.equal(await admitted(limiter, 300), 300);
    for (const stop of [{ quota: 0 }, { onStoreError: "deny" }, { quota: 5 }]) {
      limiter.reload(policyOf({ ...lent, ...stop }));
      assert.equal(await admitted(limiter, 20), 0, JSON.stringify(stop));
      limiter.reload(policyOf(lent));
      assert.equal(await admitted(limiter, 20), 20);
    }
    await heal();
    await limiter.close({ withinMs: 0 });
  });

  it("lets calls end that were held before", async () => {
    const { limiter, heal } = await cutOff({ unit: "tokens", quota: 100 });
    const held = await limiter.reserve({ ...call, cost: { tokens: 40 } });
    assert.ok(held.allowed);
    limiter.reload(policyOf({ unit: "tokens", quota: 0 }));
    assert.equal((await limiter.reserve({ ...call, cost: { tokens: 1 } })).allowed, false);
    assert.equal((await held.hold.settle({ tokens: 30 })).status, "settled");
    await heal();
    assert.equal(await usedIn(limiter), 30);
    await limiter.close({ withinMs: 0 });
  });
});

describe("calls of one bucket under different quotas, while the store is unreachable", () => {
  for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
    it(`are judged by their own, whichever comes first: ${name}`, async () => {
      for (const first of ["pro", "free"]) {
        const { limiter, heal } = await cutOff(algorithm);
        let used = 2;
        if (first === "pro") used += await admitted(limiter, 5, { plan: "pro" });
        used += await admitted(limiter, 20);
        assert.equal(used, 10, first);
        assert.equal(await admitted(limiter, 20, { plan: "pro" }), 20);
        assert.equal(await admitted(limiter, 5), 0);
        assert.equal(await admitted(limiter, 100, { plan: "pro" }), 70);
        await heal();
        assert.equal(await usedIn(limiter), 100);
        await limiter.close({ withinMs: 0 });
      }
    });
  }

  it("are judged by an override that denies", async () => {
    const { limiter } = await cutOff({ overrides: [{ when: { plan: "blocked" }, quota: 0 }] });
    assert.equal(await admitted(limiter, 3), 3);
    assert.equal(await admitted(limiter, 20, { plan: "blocked" }), 0);
    assert.equal(await admitted(limiter, 20), 5);
    await limiter.close({ withinMs: 0 });
  });
});

describe("grants and resets that an instance saw before the store was unreachable", () => {
  const bucket = { limit: "calls", session: "s1" };

  for (const [name, algorithm] of Object.entries(ALGORITHMS)) {
    if (name === "token-bucket") continue;
    it(`count, also where more is granted than used: ${name}`, async () => {
      for (const [used, granted] of [
        [10, 5],
        [2, 5],
        [2, 15],
        [0, 5],
      ] as const) {
        const remote = new RemoteStore(clock);
        const { limiter, cut } = instanceOf(remote, policyOf(algorithm));
        assert.equal(await admitted(limiter, used), used);
        await limiter.grant(bucket, { id: "g1", units: granted, durationMs: 3_600_000 });
        cut();
        assert.equal(await admitted(limiter, 40), 10 + granted - used, `${granted} granted, ${used} used`);
        await limiter.close({ withinMs: 0 });
      }
    });
  }

  it("a reset removes a grant, too", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, cut } = instanceOf(remote, policyOf());
    await admitted(limiter, 10);
    await limiter.grant(bucket, { id: "g1", units: 5, durationMs: 3_600_000 });
    await limiter.reset(bucket);
    cut();
    assert.equal(await admitted(limiter, 40), 10);
    await limiter.close({ withinMs: 0 });
  });
});

describe("calls that were admitted under several policies", () => {
  it("are booked once, each unit in the window of its own policy", async () => {
    const hour = { algorithm: "fixed-window", window: "1h", quota: 1_000 };
    const day = { algorithm: "fixed-window", window: "24h", quota: 1_000 };
    const { limiter, heal } = await cutOff(hour);
    assert.equal(await admitted(limiter, 3), 3);
    limiter.reload(policyOf(day));
    assert.equal(await admitted(limiter, 4), 4);
    limiter.reload(policyOf(hour));
    assert.equal(await admitted(limiter, 5), 5);
    await heal();
    assert.equal(await usedIn(limiter), 14);
    await limiter.close({ withinMs: 0 });
  });

  it("are all booked when the algorithm changes", async () => {
    const tokenBucket = { algorithm: "token-bucket", window: "365d", quota: 1_000 };
    for (const [before, after] of [
      [{ quota: 1_000 }, tokenBucket],
      [tokenBucket, { quota: 1_000 }],
    ] as const) {
      const { limiter, heal } = await cutOff(before);
      assert.equal(await admitted(limiter, 3), 3);
      limiter.reload(policyOf(after));
      assert.equal(await admitted(limiter, 4), 4);
      limiter.reload(policyOf(before));
      assert.equal(await admitted(limiter, 5), 5);
      await heal();
      // The 3 that the store had when the algorithm changed are lost, as they are without an outage.
      assert.equal(await usedIn(limiter), 7);
      await limiter.close({ withinMs: 0 });
    }
  });
});

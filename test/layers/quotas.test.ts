// What stands between a limiter and its store, for limits that are unlimited for some calls, and for quotas that calls bring.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { createLimiter, type Limiter, type LimiterEvent, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { settled } from "./borrowing.ts";
import { RemoteStore } from "./remote.ts";
import { slowStore } from "./slow-store.ts";

type LimitInput = PolicyInput["limits"][number];

const WINDOW = { algorithm: "fixed-window", window: "365d", align: "first-use" } as const;
const FROM_CALL = { from: "call", default: 2, max: 1_000_000 } as const;
const CALL = { tool: "search", session: "s1" };
const PRO = { ...CALL, plan: "pro" };
const claim = (quota: number) => ({ quotas: { calls: quota } });

function limiterOn(store: Store, ...limits: readonly LimitInput[]): Limiter {
  return createLimiter({ policy: { version: 1, limits }, store });
}

describe("a denial that is kept", () => {
  it("is only for the quota under which it was made", async () => {
    const { store, asked } = slowStore();
    const limiter = limiterOn(store, { name: "calls", per: ["session"], ...WINDOW, quota: FROM_CALL });
    for (let n = 0; n < 2; n++) assert.ok((await limiter.consume(CALL, claim(2))).allowed);
    assert.equal((await limiter.consume(CALL, claim(2))).allowed, false);
    const before = asked.times;
    for (let n = 0; n < 10; n++) assert.equal((await limiter.consume(CALL, claim(2))).allowed, false);
    assert.equal(asked.times, before);
    const raised = await limiter.consume(CALL, claim(3));
    assert.deepEqual([raised.allowed, raised.verdicts[0]?.remaining], [true, 0]);
    assert.equal((await limiter.consume(CALL, claim(2))).allowed, false);
  });

  it("is repeated beside an unlimited limit, also one that counts nothing", async () => {
    for (const free of [{}, { algorithm: "token-bucket", window: "1m" }] as const) {
      const { store, asked } = slowStore();
      const limiter = limiterOn(store, { name: "free", per: ["session"], quota: "unlimited", ...free } as LimitInput, {
        name: "calls",
        per: ["session"],
        ...WINDOW,
        quota: 1,
      });
      assert.ok((await limiter.consume(CALL)).allowed);
      assert.equal((await limiter.consume(CALL)).allowed, false);
      const before = asked.times;
      for (let n = 0; n < 10; n++) assert.equal((await limiter.consume(CALL)).allowed, false);
      assert.equal(asked.times, before);
    }
  });
});

describe("units that are borrowed", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setInterval"] }));
  afterEach(() => mock.timers.reset());

  const lent: LimitInput = {
    name: "calls",
    per: ["tool"],
    ...WINDOW,
    borrow: "auto",
    quota: 1_000,
    quotas: { plan: { pro: "unlimited" } },
  };
  const ticked = async (times: number) => {
    for (let n = 0; n < times; n++) {
      mock.timers.tick(100);
      await settled();
    }
  };
  const usedOf = async (limiter: Limiter) => (await limiter.usage({ tool: "search" }))[0]?.used;

  it("are borrowed where a quota is unlimited, and all of the calls are counted", async () => {
    const { store, asked, clock } = slowStore();
    const limiter = limiterOn(store, lent);
    for (let n = 0; n < 5_000; n++) {
      assert.ok((await limiter.consume(PRO)).allowed);
      if (n % 100 === 0) {
        await settled();
        clock.advance(1);
      }
    }
    assert.ok(asked.requests.length < 2_500, `${asked.requests.length} requests`);
    await ticked(3);
    assert.equal(await usedOf(limiterOn(store, lent)), 5_000);
    assert.equal((await limiter.consume(CALL)).allowed, false);
  });

  it("belong to a quota, and are not used under another", async () => {
    const { store, clock } = slowStore();
    const limiter = limiterOn(store, { ...lent, quotas: {}, quota: FROM_CALL } as LimitInput);
    for (let n = 0; n < 1_000; n++) {
      assert.ok((await limiter.consume(CALL, claim(100_000))).allowed);
      if (n % 100 === 0) {
        await settled();
        clock.advance(1);
      }
    }
    const denied = await limiter.consume(CALL, claim(1_000));
    assert.deepEqual([denied.allowed, denied.verdicts[0]?.quota], [false, 1_000]);
    assert.ok((await limiter.consume(CALL, claim(100_000))).allowed);
    await ticked(3);
    assert.equal(await usedOf(limiterOn(store, lent)), 1_001);
  });
});

describe("an outage", () => {
  /** An instance with these limits, its store, and how to take that away and give it back. */
  function instanceOf(...limits: readonly LimitInput[]) {
    const remote = new RemoteStore({ nowMs: () => Date.now() });
    const back: (() => void)[] = [];
    const limiter = createLimiter({
      policy: { version: 1, limits },
      store: remote,
      failover: { deadlineMs: 250 },
      onEvent: (event: LimiterEvent) => {
        if (event.type === "store.recovered") for (const resolve of back.splice(0)) resolve();
      },
    });
    const heal = async () => {
      const isBack = new Promise<void>((resolve) => back.push(resolve));
      remote.fault = "answer";
      await isBack;
    };
    return { limiter, remote, heal };
  }

  const kinds: Record<string, LimitInput> = {
    budget: { name: "calls", per: ["session"], quota: 3, quotas: { plan: { pro: "unlimited" } } },
    "fixed-window": { name: "calls", per: ["session"], ...WINDOW, quota: 3, quotas: { plan: { pro: "unlimited" } } },
    "sliding-window": {
      name: "calls",
      per: ["session"],
      algorithm: "sliding-window",
      window: "365d",
      quota: 3,
      quotas: { plan: { pro: "unlimited" } },
    },
  };
  for (const [name, limit] of Object.entries(kinds)) {
    it(`admits all calls whose quota is unlimited, and books them afterwards: ${name}`, async () => {
      for (const onStoreError of ["share", "deny", "local"] as const) {
        const { limiter, remote, heal } = instanceOf({ ...limit, onStoreError } as LimitInput);
        assert.ok((await limiter.consume(PRO)).allowed);
        remote.fault = "lose-request";
        for (let n = 0; n < 10; n++) {
          const { allowed, degraded, verdicts, notice } = await limiter.consume(PRO);
          assert.deepEqual([allowed, degraded?.maxOvershoot, verdicts[0]?.remaining, notice], [true, 0, null, null]);
        }
        assert.equal((await limiter.consume(CALL)).allowed, false);
        await heal();
        assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 11);
        await limiter.close();
      }
    });
  }

  it("leaves the level of a token bucket as it is when calls without a rate pass", async () => {
    const { limiter, remote, heal } = instanceOf({
      name: "calls",
      per: ["session"],
      algorithm: "token-bucket",
      window: "365d",
      quota: 10,
      quotas: { plan: { pro: "unlimited" } },
    });
    for (let n = 0; n < 4; n++) assert.ok((await limiter.consume(CALL)).allowed);
    assert.ok((await limiter.consume(PRO)).allowed);
    remote.fault = "lose-request";
    let admitted = 0;
    for (let n = 0; n < 10; n++) {
      if ((await limiter.consume(CALL)).allowed) admitted++;
      assert.ok((await limiter.consume(PRO)).allowed);
    }
    assert.equal(admitted, 6);
    await heal();
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 10);
    await limiter.close();
  });

  it("shares out the quota that each call brings", async () => {
    const { limiter, remote, heal } = instanceOf({ name: "calls", per: ["session"], ...WINDOW, quota: FROM_CALL });
    for (let n = 0; n < 3; n++) assert.ok((await limiter.consume(CALL, claim(10))).allowed);
    remote.fault = "lose-request";
    let admitted = 0;
    for (let n = 0; n < 10; n++) if ((await limiter.consume(CALL, claim(10))).allowed) admitted++;
    assert.equal(admitted, 7);
    assert.equal((await limiter.consume(CALL)).allowed, false);
    assert.equal((await limiter.consume(CALL, claim(11))).allowed, true);
    await heal();
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 11);
    await limiter.close();
  });
});

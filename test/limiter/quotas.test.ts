// Quotas that calls bring, or that the program looks up.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type LimiterEvent, type LimiterOptions, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { isMisuse } from "./fixture.ts";

type LimitInput = PolicyInput["limits"][number];

const FROM_CALL = { from: "call", default: 2, max: 1_000 } as const;
const MONTHLY: LimitInput = { name: "monthly", per: ["tenant"], window: "month", quota: FROM_CALL };
const call = { tool: "x", tenant: "acme", session: "s1" };

function limiterOf(limits: LimitInput | readonly LimitInput[] = MONTHLY, options: Partial<LimiterOptions> = {}) {
  const clock = fakeClock(Date.UTC(2030, 0, 1, 12));
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({
    policy: { version: 1, limits: [limits].flat() as LimitInput[] },
    store: memoryStore({ clock }),
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { limiter, clock, events };
}

const claim = (quota: number | "unlimited", name = "monthly") => ({ quotas: { [name]: quota } });

describe("a quota that comes with the call", () => {
  it("holds for that call, at most the policy's max", async () => {
    const { limiter } = limiterOf();
    const quotaOf = async (quota: number | "unlimited") => (await limiter.peek(call, claim(quota))).verdicts[0]?.quota;
    assert.deepEqual(
      await Promise.all([7, 0, 1_000, 1_001, "unlimited"].map((each) => quotaOf(each as never))),
      [7, 0, 1_000, 1_000, 1_000],
    );
    assert.equal((await limiter.peek(call)).verdicts[0]?.quota, 2);
  });

  it("overrides the limiter's function, and does not call it", async () => {
    let asked = 0;
    const { limiter } = limiterOf(MONTHLY, { quotas: () => ++asked });
    assert.equal((await limiter.consume(call, claim(9))).verdicts[0]?.quota, 9);
    assert.equal(asked, 0);
    assert.equal((await limiter.consume(call)).verdicts[0]?.quota, 1);
  });

  it("leaves the bucket as it is: the use stays when the quota changes, up and down", async () => {
    const { limiter } = limiterOf();
    for (let n = 0; n < 5; n++) assert.ok((await limiter.consume(call, claim(5))).allowed);
    assert.equal((await limiter.consume(call, claim(5))).allowed, false);
    assert.equal((await limiter.consume(call, claim(6))).verdicts[0]?.remaining, 0);
    const low = await limiter.consume(call, claim(3));
    assert.deepEqual([low.allowed, low.verdicts[0]?.remaining, low.verdicts[0]?.quota], [false, 0, 3]);
    const [usage] = await limiter.usage({ tenant: "acme" }, claim(100));
    assert.deepEqual([usage?.used, usage?.quota, usage?.remaining], [6, 100, 94]);
  });

  it("is refused where it is invalid, or its limit takes none", async () => {
    const plain: LimitInput = { name: "plain", per: ["tenant"], quota: 1 };
    const { limiter } = limiterOf([MONTHLY, plain]);
    const wrong = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "5", "none", null, undefined, {}, 5n];
    for (const quota of wrong) {
      const options = claim(quota as number);
      for (const verb of ["consume", "record", "peek", "reserve"] as const) {
        await assert.rejects(limiter[verb](call, options), isMisuse("invalid-option", "quotas.monthly"), String(quota));
      }
      await assert.rejects(
        limiter.run(call, () => 1, options),
        isMisuse("invalid-option", "quotas.monthly"),
      );
      await assert.rejects(limiter.usage({ tenant: "acme" }, options), isMisuse("invalid-option", "quotas.monthly"));
      assert.throws(() => limiter.getHold("h", call, options), isMisuse("invalid-option", "quotas.monthly"));
    }
    for (const name of ["plain", "mouthly", "__proto__", "toString"]) {
      await assert.rejects(
        limiter.consume(call, { quotas: JSON.parse(`{"${name}":5}`) }),
        isMisuse("invalid-option", "quotas"),
      );
    }
    for (const quotas of [5, "monthly", [5], new Map([["monthly", 5]]), null]) {
      await assert.rejects(limiter.consume(call, { quotas } as never), isMisuse("invalid-option", "quotas"));
    }
    assert.deepEqual(
      (await limiter.usage({ tenant: "acme" })).map(({ used }) => used),
      [0, 0],
    );
    const { limiter: without } = limiterOf(plain);
    await assert.rejects(without.consume(call, claim(5)), /no limit of the policy has quota: \{ from: call \}/);
  });

  it("may be unlimited where the policy allows it, and counts then", async () => {
    const open: LimitInput = {
      name: "monthly",
      per: ["tenant"],
      quota: { from: "call", default: 1, max: "unlimited" },
    };
    const { limiter } = limiterOf(open);
    for (let n = 0; n < 5; n++) {
      const { allowed, verdicts } = await limiter.consume(call, claim("unlimited"));
      assert.deepEqual([allowed, verdicts[0]?.quota], [true, null]);
    }
    assert.equal((await limiter.consume(call, claim(5))).allowed, false);
    assert.equal((await limiter.consume(call, claim(6))).allowed, true);
  });

  it("loses against overrides and quotas of the policy", async () => {
    const { limiter } = limiterOf({
      ...MONTHLY,
      quotas: { tenant: { partner: 77 } },
      overrides: [{ when: { plan: "trial" }, quota: 1 }],
    } as LimitInput);
    const quotaOf = async (more: object) => (await limiter.peek({ ...call, ...more }, claim(9))).verdicts[0]?.quota;
    assert.deepEqual(
      [await quotaOf({ plan: "trial" }), await quotaOf({ tenant: "partner" }), await quotaOf({})],
      [1, 77, 9],
    );
  });

  it("is that of the first attempt for a retry, which gets the first answer", async () => {
    const { limiter } = limiterOf();
    const keyed = { ...call, idempotencyKey: "k" };
    for (let n = 0; n < 3; n++) await limiter.consume(call, claim(4));
    assert.ok((await limiter.consume(keyed, claim(4))).allowed);
    const again = await limiter.consume(keyed, claim(1));
    assert.deepEqual([again.allowed, again.replayed], [true, true]);
    assert.equal((await limiter.usage({ tenant: "acme" }))[0]?.used, 4);
  });

  it("is kept while the call waits, also when the policy changes meanwhile", async () => {
    const rate: LimitInput = {
      name: "monthly",
      per: ["tenant"],
      window: "1s",
      burst: 1,
      quota: { ...FROM_CALL, default: 1 },
    };
    const { limiter, clock } = limiterOf(rate);
    assert.ok((await limiter.consume(call, claim(10))).allowed);
    const waiting = limiter.consume(call, { ...claim(10), maxWaitMs: 1_000 });
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(100);
    assert.equal((await waiting).verdicts[0]?.quota, 10);

    const budget: LimitInput = {
      name: "monthly",
      per: ["tenant"],
      algorithm: "fixed-window",
      window: "1h",
      quota: FROM_CALL,
    };
    const { limiter: windowed, clock: later } = limiterOf(budget);
    for (let n = 0; n < 3; n++) await windowed.consume(call, claim(3));
    const patient = windowed.consume(call, { ...claim(3), maxWaitMs: 3_600_000 });
    await new Promise((resolve) => setImmediate(resolve));
    windowed.reload({ version: 1, limits: [{ ...budget, quota: { ...FROM_CALL, default: 1 } } as LimitInput] });
    later.advance(3_600_000);
    const decision = await patient;
    assert.deepEqual([decision.allowed, decision.verdicts[0]?.quota], [true, 3]);
  });

  it("is kept by a hold, and passed again where another process ends it", async () => {
    const rate: LimitInput = {
      name: "monthly",
      per: ["tenant"],
      unit: "tokens",
      algorithm: "token-bucket",
      window: "1h",
      quota: { from: "call", default: 10, max: 1_000 },
    };
    const { limiter } = limiterOf(rate);
    const priced = { ...call, cost: { tokens: 400 } };
    const usedBy = async (quota: number) => (await limiter.usage({ tenant: "acme" }, claim(quota)))[0]?.used;
    const own = await limiter.reserve(priced, claim(1_000));
    assert.ok(own.allowed);
    const { usages } = await own.hold.settle({ tokens: 100 });
    assert.deepEqual([usages[0]?.quota, usages[0]?.used], [1_000, 100]);
    const other = await limiter.reserve(priced, claim(1_000));
    assert.ok(other.allowed);
    await limiter.getHold(other.hold.id, priced, claim(1_000)).settle({ tokens: 50 });
    assert.equal(await usedBy(1_000), 150);
  });
});

describe("a quota that the limiter looks up", () => {
  it("holds for every verb, and is asked for once", async () => {
    const asked: string[] = [];
    const { limiter } = limiterOf(MONTHLY, {
      quotas: async ({ limit, dimensions }) => {
        asked.push(`${limit} ${dimensions.tenant}`);
        return 50;
      },
    });
    assert.equal((await limiter.usage({ tenant: "acme" }))[0]?.quota, 50);
    assert.equal((await limiter.consume(call)).verdicts[0]?.quota, 50);
    assert.equal((await limiter.consume(call)).verdicts[0]?.remaining, 48);
    assert.equal((await limiter.record(call)).verdicts[0]?.quota, 50);
    assert.equal((await limiter.peek(call)).verdicts[0]?.quota, 50);
    const held = await limiter.reserve(call);
    assert.ok(held.allowed);
    assert.equal((await limiter.getHold(held.hold.id, call).settle()).usages[0]?.quota, 50);
    assert.equal((await limiter.run(call, () => 1)).verdicts[0]?.quota, 50);
    assert.equal((await limiter.for({ tenant: "acme" }).consume({ tool: "y" })).verdicts[0]?.quota, 50);
    assert.equal((await limiter.reset({ limit: "monthly", tenant: "acme" }))?.after.quota, 50);
    assert.deepEqual(asked, ["monthly acme"]);
  });

  it("holds for calls of a changed plan after a minute, also for those that came before", async () => {
    let quota = 5;
    const { limiter, clock } = limiterOf(MONTHLY, { quotas: () => quota });
    for (let n = 0; n < 5; n++) assert.ok((await limiter.consume(call)).allowed);
    assert.equal((await limiter.consume(call)).allowed, false);
    quota = 7;
    clock.advance(59_999);
    assert.equal((await limiter.consume(call)).allowed, false);
    clock.advance(1);
    assert.deepEqual((await limiter.consume(call)).verdicts[0]?.remaining, 1);
    quota = 1;
    clock.advance(60_000);
    assert.deepEqual((await limiter.consume(call)).verdicts[0]?.quota, 1);
  });

  it("costs no call its answer when the function fails", async () => {
    const { limiter, events } = limiterOf(MONTHLY, { quotas: () => Promise.reject(new Error("no database")) });
    for (let n = 0; n < 3; n++) assert.equal((await limiter.consume(call)).allowed, n < 2);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["quota.unresolved"],
    );
  });

  it("does not delay calls outside of its limits, or after a close", async () => {
    let answer: (quota: number) => void = () => {};
    const { limiter, events } = limiterOf(MONTHLY, {
      quotas: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const waiting = limiter.consume(call);
    const closing = limiter.close();
    answer(5);
    await assert.rejects(waiting, isMisuse("limiter-closed"));
    await closing;
    assert.deepEqual(events, []);
    await assert.rejects(limiter.consume(call), isMisuse("limiter-closed"));
  });

  it("must be a function", () => {
    for (const quotas of [5, {}, "f", null]) {
      assert.throws(() => limiterOf(MONTHLY, { quotas } as never), isMisuse("invalid-option", "quotas"));
    }
  });
});

describe("two instances with different quotas of one bucket", () => {
  it("together never admit more than the larger one", async () => {
    const store = memoryStore();
    const one = limiterOf(MONTHLY, { store, quotas: () => 5 }).limiter;
    const other = limiterOf(MONTHLY, { store, quotas: () => 8 }).limiter;
    let admitted = 0;
    for (let n = 0; n < 20; n++) {
      const { allowed, verdicts } = await (n % 2 === 0 ? one : other).consume(call);
      if (allowed) admitted++;
      assert.equal(allowed, n % 2 === 0 ? admitted <= 5 && allowed : allowed);
      assert.equal(verdicts[0]?.quota, n % 2 === 0 ? 5 : 8);
    }
    assert.equal(admitted, 8);
  });
});

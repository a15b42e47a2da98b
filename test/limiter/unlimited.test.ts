// Limits whose quota is unlimited for some calls: they count, show, and never deny.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { isMisuse } from "./fixture.ts";

type LimitInput = PolicyInput["limits"][number];

/** Quota 2, and none for the plan `pro`. */
const PLANS = { quota: 2, quotas: { plan: { pro: "unlimited" } } } as const;
const COUNTED: Record<string, LimitInput> = {
  budget: { name: "l", per: ["user"], ...PLANS },
  "fixed-window": { name: "l", per: ["user"], ...PLANS, algorithm: "fixed-window", window: "1h" },
  calendar: { name: "l", per: ["user"], ...PLANS, window: "day" },
  "sliding-window": { name: "l", per: ["user"], ...PLANS, algorithm: "sliding-window", window: "1h" },
  distinct: { name: "l", per: ["user"], ...PLANS, distinct: "session" },
};
const call = { tool: "x", user: "u1", session: "s1" };
const pro = { ...call, plan: "pro" };

function limiterOf(limit: LimitInput, ...more: readonly LimitInput[]) {
  const clock = fakeClock(Date.UTC(2030, 0, 1, 12));
  const policy: PolicyInput = { version: 1, limits: [limit, ...more] };
  const limiter = createLimiter({ policy, store: memoryStore({ clock }) });
  const used = async () => (await limiter.usage({ user: "u1", session: "s1" }))[0]?.used;
  return { limiter, clock, used };
}

describe("a quota that is unlimited", () => {
  for (const [name, limit] of Object.entries(COUNTED)) {
    it(`counts, is visible, and denies nothing: ${name}`, async () => {
      const { limiter } = limiterOf(limit);
      for (let n = 1; n <= 5; n++) {
        const { allowed, verdicts, notice } = await limiter.consume({ ...pro, session: `s${n}` });
        assert.equal(allowed, true);
        assert.equal(notice, null);
        const [{ windowMs: _, resetAfterMs, ...verdict }] = verdicts as [(typeof verdicts)[0]];
        assert.ok(resetAfterMs > 0);
        assert.deepEqual(verdict, {
          limit: "l",
          allowed: true,
          exceeded: false,
          mode: "enforce",
          unit: name === "distinct" ? "sessions" : "calls",
          cost: 1,
          quota: null,
          capacity: null,
          remaining: null,
          retryAfterMs: null,
        });
      }
      const [usage] = await limiter.usage({ user: "u1", plan: "pro" } as object);
      assert.deepEqual(
        { ...usage, resetAfterMs: 0, unit: "" },
        {
          limit: "l",
          dimensions: { user: "u1" },
          unit: "",
          quota: null,
          capacity: null,
          granted: 0,
          used: 5,
          remaining: null,
          resetAfterMs: 0,
          grants: [],
        },
      );
    });

    it(`keeps what was counted when the plan changes, and back: ${name}`, async () => {
      const { limiter, used } = limiterOf(limit);
      const session = (n: number) => ({ session: `s${n}` });
      await limiter.consume({ ...call, ...session(1) });
      for (let n = 2; n <= 4; n++) assert.ok((await limiter.consume({ ...pro, ...session(n) })).allowed);
      assert.equal(await used(), 4);
      const denied = await limiter.consume({ ...call, ...session(5) });
      assert.deepEqual([denied.allowed, denied.verdicts[0]?.remaining], [false, 0]);
      assert.ok((await limiter.consume({ ...pro, ...session(5) })).allowed);
      assert.equal(await used(), 5);
      limiter.reload({ version: 1, limits: [{ ...limit, quota: 6 } as LimitInput] });
      assert.deepEqual((await limiter.consume({ ...call, ...session(6) })).verdicts[0]?.remaining, 0);
      limiter.reload({ version: 1, limits: [{ ...limit, quota: "unlimited" } as LimitInput] });
      assert.ok((await limiter.consume({ ...call, ...session(7) })).allowed);
      assert.equal(await used(), 7);
    });

    it(`is emptied by a reset: ${name}`, async () => {
      const { limiter, used } = limiterOf(limit);
      for (let n = 0; n < 3; n++) await limiter.consume({ ...pro, session: `s${n}` });
      const reset = await limiter.reset({ limit: "l", user: "u1", plan: "pro" } as never);
      assert.deepEqual([reset?.before.used, reset?.before.quota, reset?.after.used], [3, null, 0]);
      assert.equal(await used(), 0);
    });
  }

  it("shows how long a scope has lived, and never ends it", async () => {
    const { limiter, clock } = limiterOf({ name: "l", per: ["user"], algorithm: "elapsed", quota: "unlimited" });
    await limiter.consume(call);
    clock.advance(86_400_000);
    const { allowed, verdicts, notice } = await limiter.consume(call);
    assert.deepEqual([allowed, verdicts[0]?.quota, verdicts[0]?.remaining, notice], [true, null, null, null]);
    assert.equal((await limiter.usage({ user: "u1" }))[0]?.used, 86_400_000);
    limiter.reload({ version: 1, limits: [{ name: "l", per: ["user"], algorithm: "elapsed", quota: "1h" }] });
    assert.equal((await limiter.consume(call)).allowed, false);
  });

  it("shows how long a streak is, and never ends it", async () => {
    const { limiter } = limiterOf({ name: "l", per: ["user"], algorithm: "streak", of: "errors", quota: "unlimited" });
    for (let n = 0; n < 5; n++) await limiter.reportOutcome(call, { error: new Error("no") });
    const { allowed, verdicts } = await limiter.consume(call);
    assert.deepEqual([allowed, verdicts[0]?.quota, verdicts[0]?.exceeded], [true, null, false]);
    assert.equal((await limiter.usage({ user: "u1" }))[0]?.used, 5);
  });

  it("has nothing to count for a rate, and keeps the use of others", async () => {
    const { limiter, used, clock } = limiterOf({ name: "l", per: ["user"], ...PLANS, window: "1h", burst: 2 });
    for (let n = 0; n < 2; n++) await limiter.consume(call);
    clock.advance(1);
    for (let n = 0; n < 100; n++) {
      const { allowed, verdicts } = await limiter.consume(pro);
      assert.deepEqual([allowed, verdicts[0]?.quota, verdicts[0]?.capacity, verdicts[0]?.cost], [true, null, null, 1]);
    }
    assert.equal((await limiter.usage({ user: "u1", plan: "pro" } as object))[0]?.used, 0);
    assert.equal(await used(), 2);
    assert.equal((await limiter.consume(call)).allowed, false);
    clock.advance(1_800_000);
    assert.equal((await limiter.consume(call)).allowed, true);
  });

  it("takes no slots of a concurrency limit, so that there are never too many", async () => {
    const { limiter, used } = limiterOf({ name: "l", per: ["user"], algorithm: "concurrency", ...PLANS });
    assert.ok((await limiter.consume(pro)).allowed);
    await assert.rejects(limiter.consume(call), isMisuse("needs-reserve"));
    const first = await limiter.reserve(call);
    const held = await Promise.all(Array.from({ length: 1_200 }, () => limiter.reserve(pro)));
    assert.ok(held.every(({ allowed }) => allowed));
    assert.equal(await used(), 1);
    assert.ok((await limiter.reserve(call)).allowed);
    assert.equal((await limiter.reserve(call)).allowed, false);
    const [one] = held;
    assert.ok(one?.allowed && first.allowed);
    assert.equal((await one.hold.settle()).status, "settled");
    assert.equal((await first.hold.settle()).status, "settled");
    assert.equal(await used(), 1);
    assert.equal((await limiter.run(pro, () => "done", { maxWaitMs: 1_000 })).allowed, true);
  });
});

describe("a call that runs under a quota that is unlimited", () => {
  const tokens: LimitInput = {
    name: "l",
    per: ["user"],
    unit: "tokens",
    ...PLANS,
    quotas: { plan: { pro: "unlimited" } },
  };
  const priced = { ...pro, cost: { tokens: 400 } };

  it("is booked when it ends, by its usage, so that any number may run", async () => {
    const { limiter, used } = limiterOf(tokens);
    const held = await Promise.all(Array.from({ length: 1_200 }, () => limiter.reserve(priced)));
    assert.ok(held.every(({ allowed }) => allowed));
    assert.equal(await used(), 0);
    const [first, second, third] = held;
    assert.ok(first?.allowed && second?.allowed && third?.allowed);
    const settlement = await first.hold.settle({ tokens: 123 });
    assert.deepEqual(
      [settlement.status, settlement.usages[0]?.used, settlement.usages[0]?.quota],
      ["settled", 123, null],
    );
    assert.equal((await first.hold.settle({ tokens: 123 })).replayed, true);
    await second.hold.settle();
    await third.hold.release();
    assert.equal(await used(), 523);
    assert.equal(await first.hold.extend(), true);
  });

  it("charges what run adds, else the estimate, and asks the store twice", async () => {
    const { limiter, used } = limiterOf(tokens);
    await limiter.run(priced, ({ addUsage }) => addUsage({ tokens: 5 }));
    assert.equal(await used(), 5);
    await limiter.run(priced, () => {});
    assert.equal(await used(), 405);
  });

  it("is settled once by its id when the policy becomes limited, and the other way round", async () => {
    const { limiter, used } = limiterOf({ ...tokens, quota: 1_000 } as LimitInput);
    const free = await limiter.reserve(priced);
    const bound = await limiter.reserve({ ...call, cost: { tokens: 300 } });
    assert.ok(free.allowed && bound.allowed);
    assert.equal(await used(), 300);
    const before = { ...call, cost: { tokens: 300 } };
    limiter.reload({ version: 1, limits: [{ ...tokens, quota: "unlimited" } as LimitInput] });
    assert.equal((await limiter.getHold(bound.hold.id, before).settle({ tokens: 100 })).status, "settled");
    assert.equal(await used(), 100);
    limiter.reload({
      version: 1,
      limits: [{ ...tokens, quota: 2_000, quotas: { plan: { pro: 1_000 } } } as LimitInput],
    });
    await limiter.getHold(free.hold.id, priced).settle({ tokens: 50 });
    assert.equal(await used(), 150);
  });

  it("repeats its first answer under an idempotency key", async () => {
    const { limiter, used } = limiterOf(tokens);
    const keyed = { ...priced, idempotencyKey: "k1" };
    assert.equal((await limiter.reserve(keyed)).replayed, false);
    const again = await limiter.reserve({ ...keyed, cost: { tokens: 7 } });
    assert.ok(again.allowed && again.replayed);
    await again.hold.settle();
    assert.equal(await used(), 7);
  });
});

describe("a limit that is unlimited beside others", () => {
  const budget: LimitInput = { name: "budget", per: ["user"], quota: 1 };

  it("is not charged for a call that another limit denies, and denies nothing", async () => {
    const { limiter, used } = limiterOf({ name: "free", per: ["user"], quota: "unlimited" }, budget);
    assert.ok((await limiter.consume(call)).allowed);
    const denied = await limiter.consume(call);
    assert.deepEqual(
      [denied.allowed, denied.deniedBy, denied.verdicts.map(({ allowed }) => allowed)],
      [false, "budget", [true, false]],
    );
    assert.doesNotMatch(`${denied.message} ${denied.detail}`, /free|null|9007199254740991/);
    assert.equal(await used(), 1);
  });

  it("refuses grants, which could add nothing", async () => {
    const { limiter } = limiterOf({ name: "free", per: ["user"], quota: "unlimited" });
    const grant = { id: "g", units: 5, durationMs: 1_000 };
    await assert.rejects(
      limiter.grant({ limit: "free", user: "u1" }, grant as never),
      isMisuse("invalid-option", "limit"),
    );
    assert.equal((await limiter.revoke({ limit: "free", user: "u1" }, "g"))?.revoked, false);
  });

  it("books recorded calls, and counts as far as it can", async () => {
    const { limiter, used } = limiterOf({ name: "free", per: ["user"], unit: "tokens", quota: "unlimited" });
    const most = { ...call, cost: { tokens: Number.MAX_SAFE_INTEGER } };
    for (let n = 0; n < 3; n++) assert.ok((await limiter.consume(most)).allowed);
    assert.ok((await limiter.record(most)).allowed);
    assert.equal(await used(), Number.MAX_SAFE_INTEGER);
    assert.ok((await limiter.consume(call)).allowed);
    assert.deepEqual(
      [(await limiter.peek(most)).allowed, (await limiter.peek(most)).verdicts[0]?.remaining],
      [true, null],
    );
  });
});

// Units that are reserved before they are spent.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Call, Denied, Reserved } from "tollgate";
import { isMisuse, limiterFor } from "./fixture.ts";

const call: Call = { tool: "model", session: "s1", cost: { tokens: 400 } };

function allowed(reservation: Reserved | Denied): Reserved {
  assert.ok(reservation.allowed, reservation.message ?? "");
  return reservation;
}

describe("reserve", () => {
  it("holds the estimate of a call, and settles its usage", async () => {
    const { limiter, used } = limiterFor();
    const held = allowed(await limiter.reserve({ ...call, user: "u1", tool: "book" }));
    assert.deepEqual(
      held.verdicts.map(({ limit, cost, remaining }) => [limit, cost, remaining]),
      [
        ["calls", 1, 4],
        ["tokens", 400, 600],
        ["money", 300, 700],
        ["at-once", 1, null],
      ],
    );
    assert.deepEqual(await used(), { calls: 1, tokens: 400, money: 300 });
    const settlement = await held.hold.settle({ tokens: 312 });
    assert.deepEqual([settlement.status, settlement.replayed], ["settled", false]);
    assert.deepEqual(
      settlement.usages.map(({ limit, used }) => [limit, used]),
      [
        ["calls", 1],
        ["tokens", 312],
        ["money", 300],
      ],
    );
    assert.deepEqual(await used(), { calls: 1, tokens: 312, money: 300 });
  });

  it("books the whole usage, as an overshoot for which the next call has to wait", async () => {
    const { limiter, clock } = limiterFor();
    clock.advance(1_000);
    const held = allowed(await limiter.reserve({ ...call, cost: { tokens: 100 } }));
    await held.hold.settle({ tokens: 5_000 });
    const denied = await limiter.reserve(call);
    assert.ok(!denied.allowed);
    assert.deepEqual([denied.retryAfterMs, denied.verdicts[1]?.remaining], [3_599_000, 0]);
    assert.equal("settle" in denied, false);
    const unpriced = await limiter.consume({ tool: "search", session: "s1" });
    assert.deepEqual([unpriced.allowed, unpriced.retryAfterMs], [false, 3_599_000]);
    clock.advance(3_599_000);
    assert.ok((await limiter.reserve(call)).allowed);
  });

  it("gives everything back on release", async () => {
    const { limiter, used } = limiterFor();
    const held = allowed(await limiter.reserve(call));
    await held.hold.release();
    assert.deepEqual(await used(), { calls: 0, tokens: 0, money: 0 });
    assert.equal((await held.hold.release()).replayed, true);
  });

  it("settles once for any number of equal settles, and refuses other numbers", async () => {
    const { limiter, used } = limiterFor();
    const held = allowed(await limiter.reserve(call));
    await held.hold.settle({ tokens: 50 });
    const again = await limiter.getHold(held.hold.id, call).settle({ tokens: 50 });
    assert.equal(again.replayed, true);
    assert.equal(again.usages[1]?.used, 50);
    await assert.rejects(held.hold.settle({ tokens: 51 }), isMisuse("already-settled"));
    await assert.rejects(held.hold.settle(), isMisuse("already-settled"));
    await assert.rejects(held.hold.release(), isMisuse("already-settled"));
    assert.deepEqual(await used(), { calls: 1, tokens: 50, money: 0 });
  });

  it("lets holds expire as each limit says, and corrects late settles", async () => {
    const { limiter, clock, used } = limiterFor();
    const held = allowed(await limiter.reserve({ ...call, user: "u1", tool: "book" }));
    clock.advance(120_000);
    assert.deepEqual(await used(), { calls: 1, tokens: 400, money: 0 });
    const settlement = await held.hold.settle({ tokens: 500, usd_micros: 250 });
    assert.equal(settlement.status, "late");
    assert.deepEqual(await used(), { calls: 1, tokens: 500, money: 250 });
  });

  it("lives as long as it is extended", async () => {
    const { limiter, clock, used } = limiterFor();
    const held = allowed(await limiter.reserve({ ...call, user: "u1", tool: "book" }, { leaseMs: 1_000 }));
    clock.advance(999);
    assert.equal(await held.hold.extend({ leaseMs: 5_000 }), true);
    clock.advance(4_999);
    assert.deepEqual((await used()).money, 300);
    assert.equal(await held.hold.extend(), true);
    clock.advance(120_000);
    assert.equal(await held.hold.extend(), false);
    assert.deepEqual((await used()).money, 0);
  });

  it("reports an unknown hold, and books the usage", async () => {
    const { limiter, used } = limiterFor();
    const hold = limiter.getHold("never", call);
    await assert.rejects(hold.extend(), isMisuse("unknown-hold"));
    assert.equal((await hold.settle({ tokens: 70 })).status, "unknown-hold");
    assert.deepEqual(await used(), { calls: 1, tokens: 70, money: 0 });
    await assert.rejects(limiter.getHold("nor-this", call).release(), isMisuse("unknown-hold"));
    assert.throws(() => limiter.getHold("a b", call), isMisuse("invalid-option", "id"));
  });

  it("books usage also where the estimate was 0", async () => {
    const { limiter, used } = limiterFor();
    const held = allowed(await limiter.reserve({ ...call, cost: { tokens: 0 } }));
    assert.deepEqual(
      held.verdicts.map(({ limit }) => limit),
      ["calls", "at-once"],
    );
    await held.hold.settle({ tokens: 20 });
    assert.deepEqual(await used(), { calls: 1, tokens: 20, money: 0 });
  });

  it("refuses calls that it cannot hold or settle", async () => {
    const { limiter } = limiterFor();
    await assert.rejects(limiter.reserve({ tool: "model", session: "s1" }), isMisuse("missing-cost", "cost.tokens"));
    await assert.rejects(limiter.reserve({ ...call, cost: { euros: 1 } }), isMisuse("unknown-unit"));
    for (const leaseMs of [0, 1.5, 86_400_001, Number.NaN]) {
      await assert.rejects(limiter.reserve(call, { leaseMs }), isMisuse("invalid-option", "leaseMs"));
    }
    const held = allowed(await limiter.reserve(call));
    await assert.rejects(held.hold.settle({ euros: 1 }), isMisuse("unknown-unit"));
    await assert.rejects(held.hold.settle({ tokens: -1 }), isMisuse("invalid-cost", "usage.tokens"));
    await assert.rejects(held.hold.extend({ leaseMs: -1 }), isMisuse("invalid-option", "leaseMs"));
    await assert.rejects(held.hold.settle({}, { signal: AbortSignal.abort("gone") }), (reason) => reason === "gone");
    assert.equal((await held.hold.settle()).replayed, false);
    await limiter.close();
    await assert.rejects(held.hold.settle(), isMisuse("limiter-closed"));
  });

  it("holds nothing when a limit denies, and calls onDecision once", async () => {
    const told: boolean[] = [];
    const { limiter, used } = limiterFor({ onDecision: ({ allowed }) => told.push(allowed) });
    assert.equal((await limiter.reserve({ ...call, cost: { tokens: 1_001 } })).allowed, false);
    assert.deepEqual(await used(), { calls: 0, tokens: 0, money: 0 });
    await limiter.reserve(call);
    assert.deepEqual(told, [false, true]);
  });
});

describe("a limit of concurrency", () => {
  const inSession = { tool: "search", session: "s2", cost: { tokens: 1 } };

  it("is held while a call has not ended", async () => {
    const { limiter, clock } = limiterFor();
    const held = allowed(await limiter.reserve(inSession));
    const denied = await limiter.reserve(inSession);
    assert.deepEqual(
      [denied.allowed, denied.retryAfterMs, denied.verdicts.at(-1)?.retryAfterMs],
      [false, 60_000, 60_000],
    );
    assert.equal((await limiter.peek(inSession)).allowed, false);
    clock.advance(10_000);
    await held.hold.settle();
    assert.equal((await limiter.peek(inSession)).allowed, true);
    assert.ok((await limiter.reserve(inSession)).allowed);
    clock.advance(59_999);
    assert.equal((await limiter.peek(inSession)).retryAfterMs, 1);
    clock.advance(1);
    assert.equal((await limiter.peek(inSession)).allowed, true);
  });

  it("is not part of a settlement", async () => {
    const { limiter } = limiterFor();
    const held = allowed(await limiter.reserve(inSession));
    await held.hold.settle({ calls: 3 });
    assert.equal((await held.hold.settle({ calls: 3 })).replayed, true);
    assert.equal((await limiter.usage({ session: "s2" })).find(({ limit }) => limit === "at-once")?.used, 0);
  });

  it("needs calls that end", async () => {
    const { limiter } = limiterFor();
    await assert.rejects(limiter.consume(inSession), isMisuse("needs-reserve", "call"));
    await assert.rejects(limiter.record(inSession), isMisuse("needs-reserve", "call"));
    assert.ok((await limiter.consume({ ...inSession, cost: { calls: 0, tokens: 1 } })).allowed);
  });
});

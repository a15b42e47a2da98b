// Calls that are sent again under their idempotency key.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Call, createLimiter } from "tollgate";
import { isMisuse, limiterFor, POLICY } from "./fixture.ts";

const call: Call = { tool: "search", session: "s1", cost: { tokens: 100 }, idempotencyKey: "k1" };

describe("an idempotency key", () => {
  it("charges once, and gives the first answer again", async () => {
    const { limiter, clock, used } = limiterFor();
    const first = await limiter.consume(call);
    clock.advance(599_999);
    const { idempotencyKey, ...other } = call;
    await limiter.consume(other);
    const again = await limiter.consume({ ...call, cost: { tokens: 900 } });
    assert.deepEqual(again, { ...first, replayed: true });
    assert.deepEqual(await used(), { calls: 2, tokens: 200, money: 0 });
    clock.advance(1);
    assert.equal((await limiter.consume(call)).replayed, false);
    assert.deepEqual(await used(), { calls: 3, tokens: 300, money: 0 });
  });

  it("holds once, and another limiter can settle that hold", async () => {
    const { limiter, store, used } = limiterFor();
    const other = createLimiter({ policy: POLICY, store });
    const [first, again] = await Promise.all([limiter.reserve(call), other.reserve(call)]);
    assert.ok(first.allowed && again.allowed);
    assert.deepEqual([first.replayed, again.replayed, again.hold.id], [false, true, first.hold.id]);
    assert.deepEqual(await used(), { calls: 1, tokens: 100, money: 0 });
    await again.hold.settle({ tokens: 40 });
    assert.equal((await first.hold.settle({ tokens: 40 })).replayed, true);
    assert.deepEqual(await used(), { calls: 1, tokens: 40, money: 0 });
  });

  it("settles by the first hold, also where the retry has another estimate", async () => {
    const { limiter, used } = limiterFor();
    await limiter.reserve(call);
    const again = await limiter.reserve({ ...call, cost: { tokens: 700 } });
    assert.ok(again.allowed);
    assert.equal(again.verdicts[1]?.cost, 100);
    await again.hold.settle();
    assert.deepEqual(await used(), { calls: 1, tokens: 100, money: 0 });
  });

  it("keeps no denial", async () => {
    const { limiter, clock } = limiterFor();
    const dear = { ...call, cost: { tokens: 1_000 } };
    await limiter.consume({ tool: "search", session: "s1", cost: { tokens: 1 } });
    assert.equal((await limiter.consume(dear)).allowed, false);
    clock.advance(3_600_000);
    const decision = await limiter.consume(dear);
    assert.deepEqual([decision.allowed, decision.replayed], [true, false]);
  });

  it("is scoped to its partition, and deduplicates recorded calls", async () => {
    const { limiter } = limiterFor();
    assert.equal((await limiter.record(call)).replayed, false);
    assert.equal((await limiter.record(call)).replayed, true);
    assert.equal((await limiter.record({ ...call, session: "s3" })).replayed, false);
  });

  it("refuses another call under the same key", async () => {
    const { limiter, used } = limiterFor();
    await limiter.consume(call);
    const conflict = isMisuse("idempotency-conflict", "idempotencyKey");
    await assert.rejects(limiter.consume({ ...call, tool: "book", user: "u1" }), conflict);
    await assert.rejects(limiter.reserve(call), conflict);
    await assert.rejects(limiter.record(call), conflict);
    assert.deepEqual(await used(), { calls: 1, tokens: 100, money: 0 });
    for (const idempotencyKey of ["", 5] as unknown as string[]) {
      await assert.rejects(limiter.consume({ ...call, idempotencyKey }), isMisuse("invalid-call", "idempotencyKey"));
    }
  });

  it("has no effect on a peek, or on a call that no limit counts", async () => {
    const { limiter, used } = limiterFor();
    await limiter.peek(call);
    assert.equal((await limiter.consume(call)).replayed, false);
    assert.equal((await limiter.peek(call)).verdicts[0]?.remaining, 3);
    assert.deepEqual(await used(), { calls: 1, tokens: 100, money: 0 });
    const limits = [{ name: "per-user", per: ["user"], onMissing: "skip", quota: 1 }] as const;
    const unlimited = limiterFor({ policy: { version: 1, partition: "agent", limits } }).limiter;
    const inSession = { tool: "search", session: "s1", idempotencyKey: "k1" };
    assert.equal((await unlimited.consume(inSession)).allowed, true);
    assert.equal((await unlimited.consume(inSession)).replayed, false);
    assert.equal((await unlimited.consume({ ...inSession, user: "u1" })).replayed, false);
    assert.equal((await unlimited.consume({ ...inSession, user: "u1" })).replayed, true);
  });
});

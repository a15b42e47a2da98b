// Taking over a call that another instance began, on any store: each interruption is taken over once.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Call, PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import type { FakeClock } from "tollgate/testing";
import { createHostedLimiter } from "../../src/limiter.ts";
import { isMisuse } from "./fixture.ts";

const POLICY: PolicyInput = {
  version: 1,
  tools: { book: { cost: { tokens: 100 } } },
  limits: [
    { name: "calls", per: ["session"], quota: 1_000 },
    { name: "tokens", per: ["session"], when: { tool: ["book"] }, unit: "tokens", quota: 1_000 },
    { name: "at-once", per: ["session"], when: { tool: ["book"] }, algorithm: "concurrency", quota: 1 },
    // Its bucket may be in another shard.
    { name: "of-user", per: ["user"], onMissing: "skip", algorithm: "concurrency", quota: 2 },
  ],
};
const CALLS_ALONE: PolicyInput = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1_000 }] };
const NO_LIMIT: PolicyInput = {
  version: 1,
  limits: [{ name: "calls", per: ["session"], when: { tool: ["other"] }, quota: 1_000 }],
};

/** @param open opens a store of the same server or file for another instance */
export function testResume(name: string, clock: FakeClock, open: () => Store): void {
  const stores = [open(), open()] as const;
  const instancesOf = (policy: PolicyInput) => {
    const [one, other] = stores.map((store) => createHostedLimiter({ policy, store, failover: false }));
    return { one, other } as { one: Limiter; other: Limiter };
  };
  type Limiter = ReturnType<typeof createHostedLimiter>;
  let sessions = 0;
  const nextCall = (): Call => ({ tool: "book", session: `s-${name}-${++sessions}`, user: `u-${name}-${sessions}` });
  const used = async (limiter: Limiter, { session, user }: Call) => {
    const usages = await limiter.usage({ session: String(session), user: String(user) });
    return Object.fromEntries(usages.map((usage) => [usage.limit, usage.used]));
  };
  const begun = async (limiter: Limiter, call: Call) => {
    const { running } = await limiter.begin(call, {});
    return running ?? assert.fail("it was denied");
  };
  /** Presents a call five times to both instances at once. */
  const present = async ({ one, other }: ReturnType<typeof instancesOf>, id: string, call: Call, mark: string) => {
    const resumed = [one, other, one, other, one].map((limiter) => limiter.resume(id, call, { mark }));
    const answers = await Promise.all(resumed);
    return {
      statuses: answers.map(({ status }) => status).sort(),
      running: answers.find(({ running }) => running !== null)?.running ?? null,
    };
  };
  const ONCE = ["resumed", "taken", "taken", "taken", "taken"];

  describe(`a call that is taken over (${name})`, () => {
    it("is taken over once of five times at once, and settled by the instance that has it", async () => {
      const both = instancesOf(POLICY);
      for (let i = 0; i < 5; i++) {
        const call = nextCall();
        const { hold } = await begun(both.one, call);
        const held = { calls: 1, tokens: 100, "at-once": 1, "of-user": 1 };
        const { statuses, running } = await present(both, hold.id, call, "1");
        assert.deepEqual(statuses, ONCE);
        assert.deepEqual(await used(both.one, call), held);
        assert.deepEqual([running?.hold.id, running?.leaseMs, running?.prices.tokens], [hold.id, 120_000, 100]);
        assert.equal((await running?.settle({ tokens: 40 }, "held"))?.status, "settled");
        assert.deepEqual(await used(both.other, call), { calls: 1, tokens: 40, "at-once": 0, "of-user": 0 });
      }
    });

    it("is taken over again after its next interruption, which has another mark", async () => {
      const both = instancesOf(POLICY);
      const call = nextCall();
      const { hold } = await begun(both.one, call);
      for (const mark of ["1", "2", "3"]) assert.deepEqual((await present(both, hold.id, call, mark)).statuses, ONCE);
      assert.equal((await both.other.resume(hold.id, call, { mark: "2" })).status, "taken");
      assert.equal((await used(both.one, call)).calls, 1);
    });

    it("is extended by its lease, and its mark is kept for ten minutes", async () => {
      const both = instancesOf(POLICY);
      const call = nextCall();
      const { hold } = await begun(both.one, call);
      await hold.extend({ leaseMs: 1_200_000 });
      clock.advance(540_000);
      const { running } = await both.other.resume(hold.id, call, { mark: "1", leaseMs: 900_000 });
      assert.equal(running?.leaseMs, 900_000);
      clock.advance(599_999);
      assert.equal((await both.one.resume(hold.id, call, { mark: "1" })).status, "taken");
      assert.equal((await used(both.one, call))["at-once"], 1);
      assert.equal((await running?.settle({}, "held"))?.status, "settled");
    });

    it("is taken over once where nothing is held", async () => {
      for (const policy of [CALLS_ALONE, NO_LIMIT]) {
        const both = instancesOf(policy);
        const call = nextCall();
        const { hold, leaseMs } = await begun(both.one, call);
        assert.equal(leaseMs, null);
        const { statuses, running } = await present(both, hold.id, call, "1");
        assert.deepEqual([statuses, running?.leaseMs], [ONCE, null]);
        const usages = policy === CALLS_ALONE ? { calls: 1 } : { calls: 0 };
        assert.deepEqual(await used(both.one, call), usages);
      }
    });

    it("has ended when it was settled, when its lease is over, and where there is no such hold", async () => {
      const both = instancesOf(POLICY);
      const call = nextCall();
      const settled = await begun(both.one, call);
      await settled.settle({ tokens: 10 }, "held");
      const expired = await begun(both.one, call);
      clock.advance(120_001);
      const open = await begun(both.one, call);
      const before = await used(both.one, call);
      const ended = ["ended", "taken", "taken", "taken", "taken"];
      for (const id of [settled.hold.id, expired.hold.id, "run-0123"]) {
        assert.deepEqual((await present(both, id, call, "1")).statuses, ended);
      }
      assert.deepEqual((await present(both, open.hold.id, { ...call, tool: "book2" }, "1")).statuses.at(0), "ended");
      assert.deepEqual(await used(both.one, call), before);
    });

    it("has ended where no mark can be kept", async () => {
      const { one } = instancesOf(NO_LIMIT);
      const call = { tool: "book" };
      const { hold } = await begun(one, call);
      assert.deepEqual(await one.resume(hold.id, call, { mark: "1" }), { status: "ended", running: null });
    });

    it("is refused without a mark", async () => {
      const { one } = instancesOf(NO_LIMIT);
      const call = nextCall();
      for (const mark of ["", "a b", "x".repeat(65), undefined, 1] as string[]) {
        await assert.rejects(one.resume("run-1", call, { mark }), isMisuse("invalid-option", "mark"));
      }
      await assert.rejects(one.resume("run 1", call, { mark: "1" }), isMisuse("invalid-option", "id"));
    });
  });
}

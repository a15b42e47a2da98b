// What calls over several objects do, in plain code that runs inside workerd.

import assert from "node:assert/strict";
import type { PolicyInput } from "../../src/kernel/policy/input.ts";
import { createLimiter } from "../../src/limiter.ts";
import type { Store } from "../../src/store/store.ts";

type Open = (options?: object) => Store;

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "per-session", per: ["session"], quota: 100 },
    { name: "per-user", per: ["user"], algorithm: "fixed-window", window: "365d", quota: 20 },
    { name: "tenant-rate", per: ["tenant"], algorithm: "token-bucket", window: "1h", quota: 50 },
    { name: "new-users", per: ["session"], distinct: "user", quota: 3 },
    { name: "slow", per: ["tool"], algorithm: "concurrency", quota: 2, when: { tool: ["slow"] } },
  ],
};

/** Dimensions that no other call has. */
function whose() {
  const id = crypto.randomUUID().slice(0, 8);
  return { user: `u-${id}`, tenant: `t-${id}`, session: `s-${id}` };
}

async function usedOf(limiter: ReturnType<typeof open>, of: ReturnType<typeof whose>) {
  const usages = await limiter.usage({ ...of, tool: "a" });
  return Object.fromEntries(usages.map((usage) => [usage.limit, usage.used]));
}

const open = (store: Store) => createLimiter({ policy: POLICY, store });

export const scenarios: Record<string, (openStore: Open) => Promise<void>> = {
  async "charges a call in all objects, or in none"(openStore) {
    const limiter = open(openStore());
    const of = whose();
    for (let i = 0; i < 20; i++) {
      const { allowed, verdicts } = await limiter.consume({ tool: "a", ...of });
      assert.deepEqual([allowed, verdicts[0]?.remaining, verdicts[1]?.remaining], [true, 99 - i, 19 - i]);
    }
    const denied = await limiter.consume({ tool: "a", ...of });
    assert.deepEqual(
      denied.verdicts.map(({ limit, allowed, remaining }) => [limit, allowed, remaining]),
      [
        ["per-session", true, 80],
        ["per-user", false, 0],
        ["tenant-rate", true, 30],
        ["new-users", true, 2],
      ],
    );
    const used = { "per-session": 20, "per-user": 20, "tenant-rate": 20, "new-users": 1 };
    assert.deepEqual(await usedOf(limiter, of), used);
  },

  async "does not count a value when another object denies the call"(openStore) {
    const limiter = open(openStore());
    const of = whose();
    for (let i = 0; i < 20; i++) await limiter.consume({ tool: "a", ...of, session: `other-${of.session}` });
    assert.equal((await limiter.consume({ tool: "a", ...of })).allowed, false);
    const used = await usedOf(limiter, of);
    assert.deepEqual([used["per-session"], used["new-users"]], [0, 0]);
    const keyed = { tool: "a", ...of, idempotencyKey: "k1" };
    assert.equal((await limiter.consume(keyed)).allowed, false);
    assert.equal((await usedOf(limiter, of))["new-users"], 0);
  },

  async "never passes a quota, at any concurrency"(openStore) {
    const limiter = open(openStore());
    const { user, tenant, session } = whose();
    const call = (i: number) => ({ tool: "a", user, tenant, session: `${session}-${i % 3}` });
    const decisions = await Promise.all(Array.from({ length: 120 }, (_, i) => limiter.consume(call(i))));
    const admitted = decisions.filter(({ allowed }) => allowed).length;
    // Calls that hold on their way may deny others that would have passed.
    assert.ok(admitted <= 20 && admitted > 0, `${admitted}`);
    for (let i = 0; admitted + i < 20; i++) assert.equal((await limiter.consume(call(0))).allowed, true);
    assert.equal((await limiter.consume(call(0))).allowed, false);
    assert.equal((await usedOf(limiter, { user, tenant, session: `${session}-0` }))["per-user"], 20);
  },

  async "holds, settles and releases in all objects"(openStore) {
    const limiter = open(openStore());
    const of = whose();
    const held = await limiter.reserve({ tool: "slow", ...of });
    const second = await limiter.reserve({ tool: "slow", ...of });
    assert.ok(held.allowed && second.allowed);
    assert.equal((await limiter.reserve({ tool: "slow", ...of })).allowed, false);
    assert.equal((await usedOf(limiter, of))["per-user"], 2);
    await held.hold.release();
    await second.hold.settle();
    const used = { "per-session": 1, "per-user": 1, "tenant-rate": 1, "new-users": 1 };
    assert.deepEqual(await usedOf(limiter, of), used);
  },

  async "charges a call once under its key"(openStore) {
    const limiter = open(openStore());
    const of = whose();
    const call = { tool: "a", ...of, idempotencyKey: "k1" };
    const first = await limiter.consume(call);
    const again = await limiter.consume(call);
    assert.deepEqual([first.replayed, again.allowed, again.replayed], [false, true, true]);
    const both = await Promise.all([1, 2].map(() => limiter.consume({ ...call, idempotencyKey: "k2" })));
    assert.deepEqual(both.map(({ replayed }) => replayed).sort(), [false, true]);
    assert.equal((await usedOf(limiter, of))["tenant-rate"], 2);
  },

  async "judges a call without the partition in the objects of its other limits"(openStore) {
    const { user, session } = whose();
    const perSession = { name: "per-session", per: ["session"], quota: 3 } as const;
    const perUser = { name: "per-user", per: ["user"], quota: 2 } as const;
    const limiterOf = (onMissing: "error" | "skip" | "shared") => {
      const policy: PolicyInput = { version: 1, limits: [{ ...perSession, onMissing }, perUser] };
      return createLimiter({ policy, store: openStore(), prefix: session });
    };
    await assert.rejects(limiterOf("error").consume({ tool: "a", user }), { code: "missing-dimension" });
    const limiter = limiterOf("skip");
    const call = { tool: "a", user, idempotencyKey: "k1" };
    for (const replayed of [false, true]) assert.equal((await limiter.consume(call)).replayed, replayed);
    const shared = limiterOf("shared");
    const decisions = [];
    for (let i = 0; i < 2; i++) decisions.push(await shared.consume({ tool: "a", user }));
    assert.deepEqual(
      decisions.map(({ allowed }) => allowed),
      [true, false],
    );
  },

  async "gives a call its kept answer also where its quota is used up"(openStore) {
    const limiter = open(openStore());
    const of = whose();
    const call = { tool: "a", ...of, idempotencyKey: "k1" };
    await limiter.consume(call);
    for (let i = 0; i < 20; i++) await limiter.consume({ tool: "a", ...of });
    const [again, other] = [await limiter.consume(call), await limiter.consume({ ...call, idempotencyKey: "k2" })];
    assert.deepEqual([again.allowed, again.replayed, other.allowed], [true, true, false]);
    const held = await limiter.reserve({ tool: "slow", ...of, user: `${of.user}-2`, idempotencyKey: "k3" });
    assert.ok(held.allowed);
    for (const replayed of [false, true]) assert.equal((await held.hold.settle()).replayed, replayed);
    assert.equal((await usedOf(limiter, of))["per-session"], 21);
  },

  async "keeps the counts of two limiters with different policies"(openStore) {
    const { user, tenant, session } = whose();
    const policy = (quota: number, name = "per-session"): PolicyInput => {
      return { version: 1, limits: [{ name, per: ["session"], algorithm: "fixed-window", window: "365d", quota }] };
    };
    const wide = createLimiter({ policy: policy(10), store: openStore() });
    const narrow = createLimiter({ policy: policy(3), store: openStore() });
    const call = { tool: "a", user, tenant, session };
    for (let i = 0; i < 3; i++) assert.equal((await wide.consume(call)).allowed, true);
    assert.equal((await narrow.consume(call)).allowed, false);
    assert.equal((await wide.consume(call)).allowed, true);
  },
};

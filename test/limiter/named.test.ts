// Wrong names of buckets, limits and options: their errors, in process and over HTTP.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { createLimiter, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { parsePolicy } from "tollgate/policy";
import { memoryStore } from "tollgate/stores/memory";
import { served } from "../service/served.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "tokens-per-day", per: ["session"], unit: "tokens", quota: 5 },
    { name: "monthly-calls", per: ["session"], quota: { from: "call", default: 9, max: 9 } },
  ],
};

/** What a program without types may write. */
type Untyped = { readonly [Verb in "reset" | "grant" | "revoke"]: (...given: unknown[]) => Promise<unknown> };

async function messageOf(act: () => unknown): Promise<string> {
  try {
    await act();
  } catch (error) {
    assert.ok(MisuseError.isInstance(error), String(error));
    return error.message;
  }
  return "nothing";
}

const server = await served({ policy: POLICY });
const limiters: Record<string, Limiter> = {
  "in process": createLimiter({ policy: POLICY, store: memoryStore() }),
  "over HTTP": createRemoteLimiter({ url: server.url }),
};
after(async () => {
  await Promise.all(Object.values(limiters).map((limiter) => limiter.close()));
  await server.close();
});

for (const [where, limiter] of Object.entries(limiters)) {
  const { reset, grant, revoke } = limiter as unknown as Untyped;
  const untyped: Untyped = {
    reset: (...given) => reset.apply(limiter, given),
    grant: (...given) => grant.apply(limiter, given),
    revoke: (...given) => revoke.apply(limiter, given),
  };
  describe(`a name that is wrong, ${where}`, () => {
    it("of a bucket that is only a name, is refused with the right form", async () => {
      const given = { id: "g1", units: 1, durationMs: 1_000 };
      const told = {
        reset: await messageOf(() => untyped.reset("tokens-per-day", { session: "s1" })),
        grant: await messageOf(() => untyped.grant("tokens-per-day", { session: "s1" }, given)),
        revoke: await messageOf(() => untyped.revoke("tokens-per-day", "g1")),
      };
      const [bucket, rest] = ['{ limit: "tokens-per-day", session: "…" }', "with all dimensions of the limit's per."];
      assert.ok(told.reset.endsWith(`Write reset(${bucket}), ${rest}`), told.reset);
      assert.ok(told.grant.endsWith(`Write grant(${bucket}, { id, units, durationMs }), ${rest}`), told.grant);
      assert.ok(told.revoke.endsWith(`Write revoke(${bucket}, id), ${rest}`), told.revoke);
    });

    it("of a limit, is refused with a suggestion", async () => {
      const bucket = { limit: "token-per-day", session: "s1" };
      const given = { id: "g1", units: 1, durationMs: 1_000 };
      for (const act of [
        () => limiter.reset(bucket),
        () => limiter.grant(bucket, given),
        () => limiter.revoke(bucket, "g1"),
      ]) {
        assert.match(await messageOf(act), /got "token-per-day"\. Did you mean "tokens-per-day"\?$/);
      }
    });

    it("of a missing dimension, is refused with where to set it", async () => {
      const told = await messageOf(() => limiter.consume({ tool: "x" }));
      assert.match(told, where === "in process" ? /limiter\.for\(\{ session: … \}\)/ : /Say it with each call, or let/);
      for (const act of [
        () => limiter.reset({ limit: "tokens-per-day" }),
        () => limiter.grant({ limit: "tokens-per-day" }, { id: "g1", units: 1, durationMs: 1_000 }),
        () => limiter.revoke({ limit: "tokens-per-day" }, "g1"),
      ]) {
        assert.match(await messageOf(act), /Write session: "…" beside limit, or bind it with limiter\.for\.$/);
      }
    });

    it("of a dimension that chooses nothing, is refused", async () => {
      const grant = { id: "g1", units: 1, durationMs: 1_000 };
      const bucket = { limit: "tokens-per-day", session: "s1" };
      for (const [name, value, got] of [
        ["user", "u1", '"u1"'],
        ["tool", "x", '"x"'],
        ["args", { secret: 1 }, "arguments"],
      ] as const) {
        const more = { ...bucket, [name]: value };
        const expected = `${name}: expected nothing, because the limit tokens-per-day is per session, and ${name} chooses neither the bucket nor the quota, got ${got}. Leave it out.`;
        for (const act of [
          () => limiter.reset(more),
          () => limiter.grant(more, grant),
          () => limiter.revoke(more, "g1"),
        ])
          assert.equal(await messageOf(act), expected);
      }
      assert.equal((await limiter.grant(bucket, grant)).granted, 1);
      assert.equal((await limiter.usage({ session: "s1", user: "u1" })).length, 2);
    });
  });
}

describe("a dimension that chooses the quota, the calls or the group", () => {
  it("is refused with the advice to use another limiter where it was bound and chooses nothing", async () => {
    const policy: PolicyInput = {
      version: 1,
      limits: [
        { name: "calls", per: ["session"], quota: 5 },
        { name: "all", per: ["user"], quota: 9 },
      ],
    };
    const limiter = createLimiter({ policy, store: memoryStore() }).for({ user: "u1", session: "s1" });
    await assert.rejects(limiter.reset({ limit: "calls" }), /got "u1"\. Use a limiter that is not bound to a user\.$/);
    await limiter.close();
  });

  it("is accepted beside those of per", async () => {
    const policy: PolicyInput = {
      version: 1,
      tools: { read: { group: "slow", ignoreArgs: ["id"] } },
      limits: [
        { name: "planned", per: ["session"], quota: 5, quotas: { plan: { pro: 9 } } },
        { name: "regional", per: ["session"], quota: 5, overrides: [{ when: { region: "eu" }, quota: 7 }] },
        { name: "trials", per: ["session"], quota: 5, when: { plan: "!free", tool: "read" } },
        { name: "groups", per: ["session"], quota: 5, quotas: { group: { slow: 2 } } },
        { name: "same", per: ["session", "args"], quota: 5 },
      ],
    };
    const limiter = createLimiter({ policy, store: memoryStore() });
    const quota = async (limit: string, more: object) =>
      (await limiter.reset({ limit, session: "s1", ...more })).after.quota;
    assert.equal(await quota("planned", { plan: "pro" }), 9);
    assert.equal(await quota("regional", { region: "eu" }), 7);
    assert.equal(await quota("trials", { plan: "pro", tool: "read" }), 5);
    assert.equal(await quota("groups", { tool: "read" }), 2);
    assert.equal(await quota("same", { args: { id: 1 }, tool: "read" }), 5);
    await assert.rejects(quota("groups", { group: "slow", tool: "read" }), /tool: expected nothing/);
  });
});

describe("a quota that is not in the policy", () => {
  it("of a misspelt limit, is refused with a suggestion", async () => {
    const call = { tool: "x", session: "s1" };
    const act = () => limiters["in process"]?.consume(call, { quotas: { "monthly-call": 3 } } as object);
    assert.match(await messageOf(act), /got "monthly-call"\. Did you mean "monthly-calls"\?$/);
  });

  it("is refused where no limit would take it from a function", async () => {
    const [limit] = POLICY.limits;
    const policy = { version: 1, limits: [limit] } as PolicyInput;
    const act = () => createLimiter({ policy, store: memoryStore(), quotas: () => 5 });
    assert.match(await messageOf(act), /^quotas: expected a policy with a limit .* Write quota: \{ from: call, /);
  });

  it("gets a hint where a policy in a file takes it from a database", async () => {
    for (const from of ["db", "database"]) {
      const quota = { from, default: 1, max: 2 };
      const act = () => parsePolicy(JSON.stringify({ version: 1, limits: [{ name: "a", per: ["session"], quota }] }));
      assert.match(await messageOf(act), /Write "from: call": the option quotas of createLimiter is asked then/);
    }
    const policy = { version: 1, limits: [{ name: "a", per: ["session"], quota: { from: "call" } }] };
    const act = () => parsePolicy(JSON.stringify(policy));
    assert.match(await messageOf(act), /Say all three, such as "quota: \{ from: call, default: 1000, max: 1M \}"/);
  });
});

describe("a hold that has ended", () => {
  it("is reported once, however it ended", async () => {
    const limiter = createLimiter({ policy: POLICY, store: memoryStore() });
    const call = { tool: "model", session: "s1", cost: { tokens: 2 } };
    const [one, other] = [await limiter.reserve(call), await limiter.reserve(call)];
    assert.ok(one.allowed && other.allowed);
    await one.hold.release();
    await other.hold.settle({ tokens: 1 });
    const settled = await messageOf(() => one.hold.settle({ tokens: 1 }));
    assert.match(settled, /A hold ends once\. This one was settled with other numbers, or released/);
    assert.match(await messageOf(() => other.hold.release()), /what it used is booked, and nothing is left to release/);
    await limiter.close();
  });
});

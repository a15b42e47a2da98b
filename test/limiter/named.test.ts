// What somebody who writes a bucket's, a limit's or an option's name in the wrong way is told, in process and over HTTP.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { createLimiter, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { served } from "../service/served.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "tokens-per-day", per: ["session"], unit: "tokens", quota: 5 },
    { name: "monthly-calls", per: ["session"], quota: { from: "call", default: 9, max: 9 } },
  ],
};

/** What anybody may write who does not know the types. */
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
    it("of a bucket that is only a name, is answered with how to write it", async () => {
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

    it("of a limit, is answered with the one that was meant", async () => {
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

    it("of a dimension that is missing, is answered with where to say it", async () => {
      assert.match(await messageOf(() => limiter.consume({ tool: "x" })), /limiter\.for\(\{ session: … \}\)/);
      for (const act of [
        () => limiter.reset({ limit: "tokens-per-day" }),
        () => limiter.grant({ limit: "tokens-per-day" }, { id: "g1", units: 1, durationMs: 1_000 }),
        () => limiter.revoke({ limit: "tokens-per-day" }, "g1"),
      ]) {
        assert.match(await messageOf(act), /Write session: "…" beside limit, or bind it with limiter\.for\.$/);
      }
    });
  });
}

describe("a quota that is not in the policy", () => {
  it("of a limit that is misspelt, is answered with the one that was meant", async () => {
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

  it("is hinted at where the policy wants it from a database", async () => {
    for (const from of ["db", "database"]) {
      const quota = { from, default: 1, max: 2 };
      const policy = { version: 1, limits: [{ name: "a", per: ["session"], quota }] } as unknown as PolicyInput;
      const act = () => createLimiter({ policy, store: memoryStore() });
      assert.match(await messageOf(act), /Write "from: call": the option quotas of createLimiter is asked then/);
    }
    const policy = { version: 1, limits: [{ name: "a", per: ["session"], quota: { from: "call" } }] };
    const act = () => createLimiter({ policy: policy as unknown as PolicyInput, store: memoryStore() });
    assert.match(await messageOf(act), /Say all three, such as "quota: \{ from: call, default: 1000, max: 1M \}"/);
  });
});

describe("a hold that has ended", () => {
  it("is said to end once, by whatever ended it", async () => {
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

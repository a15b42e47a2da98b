// `onMissing: shared`: calls that lack a dimension share one bucket, which no value's calls are in. In every store that can
// keep it, and over HTTP.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Call, createLimiter, type LimitInput, MisuseError, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { documentStore } from "tollgate/stores/document";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { anyRedis } from "../servers.ts";
import { keysOf, served } from "../service/served.ts";
import { temporaryFolder } from "../temporary.ts";
import { isMisuse } from "./fixture.ts";

const folder = temporaryFolder();
const redis = await anyRedis();
let opened = 0;
const stores: Readonly<Record<string, () => Store>> = {
  memory: () => memoryStore(),
  sqlite: () => sqliteStore(join(folder, `${opened}.db`)),
  redis: () => redisStore(redis.ioredis()),
};
/** Values that a caller may choose to get into the shared bucket. */
const NAMES = ["%none", "none", "null", "undefined", "{%none}", " ", "#", "user=%none"];

const perUser: LimitInput = { name: "per-user", per: ["user"], onMissing: "shared", quota: 2 };
const perSession: LimitInput = { name: "per-session", per: ["session", "user"], onMissing: "shared", quota: 2 };

for (const [name, open] of Object.entries(stores)) {
  const limiterFor = (...limits: LimitInput[]) =>
    createLimiter({ policy: { version: 1, limits }, store: open(), prefix: `shared-${opened++}` });

  describe(`calls without a dimension, on ${name}`, () => {
    it("share a bucket that has no calls with a value", async () => {
      const limiter = limiterFor(perUser);
      const allowed = async (call: object) => (await limiter.consume({ tool: "x", ...call })).allowed;
      // Again and again: denials are kept, and so are prepared calls.
      const found = [];
      for (const user of [undefined, null, undefined, undefined]) found.push(await allowed({ user }));
      assert.deepEqual(found, [true, true, false, false]);
      for (const user of NAMES) assert.deepEqual([await allowed({ user }), await allowed({ user })], [true, true]);
      assert.equal(await allowed({}), false);
      await limiter.close();
    });

    it("share one for each value of the dimensions that they have, also where the partition is missing", async () => {
      const limiter = limiterFor(perSession);
      const remaining = async (call: object) => (await limiter.consume({ tool: "x", ...call })).verdicts[0]?.remaining;
      for (const call of [{}, { session: "s1" }, { user: "u1" }, { session: "s1", user: "u1" }, { session: "%none" }]) {
        assert.deepEqual([await remaining(call), await remaining(call)], [1, 0], JSON.stringify(call));
      }
      await limiter.close();
    });

    it("are listed, reset and granted by leaving the dimension out", async () => {
      const limiter = limiterFor(perUser, perSession);
      const call = { tool: "x", session: "s1" };
      for (const _ of [1, 2]) await limiter.consume(call);
      assert.deepEqual(
        (await limiter.usage({ session: "s1" })).map(({ limit, dimensions, used }) => [limit, dimensions, used]),
        [
          ["per-user", {}, 2],
          ["per-session", { session: "s1" }, 2],
        ],
      );
      assert.deepEqual(
        (await limiter.usage()).map(({ limit, dimensions, used }) => [limit, dimensions, used]),
        [
          ["per-user", {}, 2],
          ["per-session", {}, 0],
        ],
      );
      const reset = await limiter.reset({ limit: "per-user" });
      assert.deepEqual([reset?.before.used, reset?.after.used, reset?.after.dimensions], [2, 0, {}]);
      assert.equal((await limiter.consume(call)).allowed, false);
      await limiter.reset({ limit: "per-session", session: "s1" });
      assert.equal((await limiter.consume(call)).allowed, true);
      assert.equal((await limiter.usage({ user: "u1" }))[0]?.used, 0);
      await limiter.close();
    });

    it("are distinguished by their idempotency keys, without a partition", async () => {
      const limiter = limiterFor(perUser, perSession);
      const call = { tool: "x", idempotencyKey: "job-1" };
      const first = await limiter.consume(call);
      const again = await limiter.consume(call);
      assert.deepEqual([first.replayed, again.replayed, again.allowed], [false, true, true]);
      assert.equal((await limiter.usage())[0]?.used, 1);
      await assert.rejects(limiter.consume({ ...call, tool: "y" }), isMisuse("idempotency-conflict"));
      await limiter.close();
    });

    it("are held there while they run", async () => {
      const limiter = limiterFor({ ...perUser, unit: "tokens", quota: 10 } as LimitInput);
      const call: Call = { tool: "x", cost: { tokens: 6 } };
      await limiter.run(call, async () => assert.equal((await limiter.consume(call)).allowed, false));
      assert.equal((await limiter.usage())[0]?.used, 6);
      await limiter.close();
    });
  });
}

describe("a shared bucket", () => {
  it("does not exist for tools without a group, and never for a tool or arguments", async () => {
    const limiter = createLimiter({
      policy: {
        version: 1,
        tools: { write: { group: "w" } },
        limits: [
          { name: "group", per: ["user", "group"], onMissing: "shared", quota: 2 },
          { name: "tool", per: ["user", "tool", "args"], onMissing: "shared", quota: 2 },
        ],
      },
      store: memoryStore(),
    });
    const namesFor = async (tool: string) => (await limiter.consume({ tool })).verdicts.map(({ limit }) => limit);
    assert.deepEqual([await namesFor("write"), await namesFor("x")], [["group", "tool"], ["tool"]]);
    await assert.rejects(limiter.reset({ limit: "tool" }), isMisuse("missing-dimension", "tool"));
    await assert.rejects(limiter.reset({ limit: "group" }), isMisuse("missing-dimension", "group"));
    assert.deepEqual(
      (await limiter.usage({ tool: "write", args: {} })).map(({ limit, dimensions, used }) => [
        limit,
        dimensions,
        used,
      ]),
      [
        ["group", { group: "w" }, 1],
        ["tool", { tool: "write", args: "c89a148be40e6752261e3038609a4b68" }, 1],
      ],
    );
  });

  it("counts calls without the value that is counted as one", async () => {
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "sessions", per: ["user"], onMissing: "shared", distinct: "session", quota: 2 }],
    };
    const limiter = createLimiter({ policy, store: memoryStore() });
    const allowed = async (session?: string) => (await limiter.consume({ tool: "x", session })).allowed;
    const found = [];
    for (const session of [undefined, undefined, "null", "s2", undefined]) found.push(await allowed(session));
    assert.deepEqual(found, [true, true, true, false, true]);
  });

  it("is refused by a store that keeps one value for each partition", () => {
    const store = documentStore({ transact: () => Promise.reject(new Error("unused")) });
    assert.throws(
      () => createLimiter({ policy: { version: 1, limits: [perSession] }, store }),
      (error) =>
        MisuseError.isInstance(error) &&
        error.code === "unsupported-limit" &&
        error.faults[0]?.path === "limits.per-session.onMissing" &&
        /error or skip/.test(error.message),
    );
  });

  it("of several tenants is neither seen nor changed by a key that is bound to one", async () => {
    const { keys, texts } = keysOf({
      acme: { scopes: ["decide", "read", "admin"], tenants: ["acme"] },
      root: { scopes: ["decide", "read", "admin"] },
    });
    const policy: PolicyInput = {
      version: 1,
      limits: [
        { name: "per-user", per: ["user"], onMissing: "shared", quota: 5 },
        { name: "per-tenant", per: ["tenant", "user"], onMissing: "shared", quota: 5 },
      ],
    };
    const { ask, post, service } = await served({ policy, keys });
    await service.limiter.consume({ tool: "x" });
    const { json } = await post("/v1/consume", { call: BODY }, { key: texts.acme });
    assert.equal(json.allowed, true);
    const named = async (path: string, key?: string) => {
      const { items } = (await ask("GET", path, { key })).json;
      return items.map(({ limit, dimensions, used }: { limit: string; dimensions: object; used: number }) => [
        limit,
        dimensions,
        used,
      ]);
    };
    assert.deepEqual(await named("/v1/usage", texts.acme), [["per-tenant", { tenant: "acme" }, 1]]);
    assert.deepEqual(await named("/v1/usage?user=u1", texts.acme), [
      ["per-user", { user: "u1" }, 0],
      ["per-tenant", { tenant: "acme", user: "u1" }, 0],
    ]);
    assert.deepEqual(await named("/v1/usage", texts.root), [
      ["per-user", {}, 2],
      ["per-tenant", {}, 1],
    ]);
    const change = (limit: string, dimensions = {}) =>
      post("/v1/reset", { limit, dimensions, reason: "x" }, { key: texts.acme });
    const shared = await change("per-user");
    assert.deepEqual([shared.status, shared.json.code], [403, "shared-bucket"]);
    assert.equal((await change("per-user", { user: "u1" })).status, 200);
    assert.equal((await change("per-tenant")).json.before.used, 1);
    assert.deepEqual((await named("/v1/usage", texts.root))[0], ["per-user", {}, 2]);
  });
});

const BODY = { tool: "x" };

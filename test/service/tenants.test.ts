// Keys that are bound to tenants: nothing that one's key does shows to, or counts for, another.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Act } from "../../src/service/audit.ts";
import { keysOf, served } from "./served.ts";

const policy = `
version: 1
partition: session
tools: { search: { group: T1 }, book: { group: T2, cost: { tokens: 5 } } }
limits:
  - { name: per-tenant, per: [tenant], quota: 100000 }
  - { name: per-session, per: [session], quota: 100000, overrides: [{ when: { plan: pro }, quota: 200000 }] }
  - { name: per-user-tool, per: [user, tool], quota: 100000 }
  - { name: per-turn, per: [session, turn, group], quota: 100000, resetAfterIdle: 1h }
  - { name: per-desk, per: [desk], onMissing: skip, quota: 100000 }
  - { name: tokens, per: [agent], onMissing: skip, unit: tokens, quota: 1000000 }
  - { name: users, per: [tenant], distinct: user, quota: 1000 }
  - { name: failing, per: [session, tool], algorithm: streak, of: errors, quota: 100, resetAfterIdle: 1h }
`;
const shared = `
version: 1
limits:
  - { name: per-tool, per: [tool], quota: 100 }
  - { name: per-session, per: [session], quota: 100 }
`;
const TENANTS = ["acme", "globex", "a/b", "a", "ümlaut %2F", "acme/globex"];
const { keys, texts } = keysOf({
  ...Object.fromEntries(
    TENANTS.map((tenant, i) => [`t${i}`, { scopes: ["decide", "read", "admin"] as const, tenants: [tenant] }]),
  ),
  both: { scopes: ["decide", "read", "admin"], tenants: ["acme", "globex"] },
  root: { scopes: ["decide", "read", "admin"] },
});
const keyOf = (tenant: string) => texts[`t${TENANTS.indexOf(tenant)}`];

/** Names as a caller might choose to act as another tenant. */
const name = fc.constantFrom("s1", "acme/s1", "globex/s1", "a", "b/s1", "../s1", "a%2Fb/s1", "acme%2Fs1", 7);
const call = fc.record(
  {
    tool: fc.constantFrom("search", "book"),
    session: name,
    user: name,
    turn: name,
    agent: name,
    desk: name,
    plan: fc.constant("pro"),
  },
  { requiredKeys: ["tool", "session", "user", "turn"] },
);
const act = fc.oneof(
  fc.record({ path: fc.constantFrom("/v1/consume", "/v1/record", "/v1/peek"), body: fc.record({ call }) }),
  fc.record({
    path: fc.constant("/v1/consume"),
    body: call.chain((each) => name.map((key) => ({ call: { ...each, idempotencyKey: `k${key}` } }))),
  }),
  fc.record({
    path: fc.constantFrom("/v1/reserve", "/v1/begin"),
    body: call.map((each) => ({ call: { ...each, cost: { tokens: 3 } } })),
  }),
  fc.record({
    path: fc.constantFrom("/v1/settle", "/v1/release", "/v1/extend"),
    body: fc
      .tuple(call, fc.constantFrom("theirs", "run-theirs"))
      .map(([each, holdId]) => ({ holdId, call: { ...each, cost: { tokens: 3 } } })),
  }),
  fc.record({ path: fc.constant("/v1/report"), body: call.map((each) => ({ call: each, error: true })) }),
  fc.record({
    path: fc.constant("/v1/end"),
    body: call.map((each) => ({ holdId: "run-theirs", call: { ...each, cost: { tokens: 3 } }, error: true })),
  }),
  fc.record({
    path: fc.constant("/v1/reset"),
    body: name.map((session) => ({ limit: "per-session", dimensions: { session } })),
  }),
  fc.record({
    path: fc.constant("/v1/revoke"),
    body: name.map((session) => ({ limit: "per-session", dimensions: { session }, id: "g" })),
  }),
  fc.record({
    path: fc.constant("/v1/grant"),
    body: name.map((session) => ({
      limit: "per-session",
      dimensions: { session },
      grant: { id: "g", units: 9, durationMs: 60_000 },
    })),
  }),
);

/** What stands in a decision that no time changes. */
const numbersOf = ({ verdicts }: { verdicts: { limit: string; remaining: number; quota: number }[] }) =>
  verdicts.map(({ limit, remaining, quota }) => [limit, remaining, quota]);

describe("a policy that the limiter reloads itself", () => {
  it("keeps tenants apart by its own dimensions", async () => {
    const server = await served({ policy: shared, keys });
    const limits = [{ name: "per-project", per: ["project"], quota: 1 }];
    server.service.limiter.reload({ version: 1, limits });
    const call = { tool: "search", project: "p1" };
    for (const tenant of ["acme", "globex"]) {
      const { json } = await server.post("/v1/consume", { call }, { key: keyOf(tenant) });
      assert.equal(json.allowed, true, tenant);
    }
  });
});

describe("tenants", () => {
  it("neither change nor see each other's usage", async () => {
    const { ask, post } = await served({ policy, keys });
    const seen = async (tenant: string) => {
      const usages: string[] = [];
      for (const whose of ["s1", "acme/s1", "a", "b/s1", "7"]) {
        const query = new URLSearchParams({ session: whose, user: whose, turn: whose, agent: whose, desk: whose });
        const { status, json } = await ask("GET", `/v1/usage?${query}`, { key: keyOf(tenant) });
        assert.equal(status, 200);
        // Time passes: only what stands in the bucket counts.
        for (const { resetAfterMs: _, grants, ...usage } of json.items) {
          const ids = grants.map(({ id }: { readonly id: string }) => id);
          usages.push(JSON.stringify({ ...usage, grants: ids }));
        }
      }
      return usages;
    };
    const pair = fc
      .tuple(fc.constantFrom(...TENANTS), fc.constantFrom(...TENANTS))
      .filter(([one, other]) => one !== other);
    await fc.assert(
      fc.asyncProperty(pair, fc.array(act, { minLength: 1, maxLength: 8 }), async ([one, other], acts) => {
        const before = await seen(other);
        for (const { path, body } of acts) {
          const { status, text } = await post(path, body, { key: keyOf(one) });
          assert.ok(status < 500, text);
        }
        assert.deepEqual(await seen(other), before);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  it("see their own names, without a prefix", async () => {
    const { ask, post } = await served({ policy, keys });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...TENANTS), call, async (tenant, said) => {
        const key = keyOf(tenant);
        const before = await post("/v1/peek", { call: said }, { key });
        const { status, json } = await post("/v1/consume", { call: said }, { key });
        assert.equal(status, 200, JSON.stringify(json));
        assert.deepEqual(numbersOf(json), numbersOf(before.json));
        const query = new URLSearchParams({ session: String(said.session), user: String(said.user), tool: said.tool });
        const { items } = (await ask("GET", `/v1/usage?${query}`, { key })).json;
        const found = items.find(({ limit }: { limit: string }) => limit === "per-user-tool");
        assert.deepEqual(found.dimensions, { user: String(said.user), tool: said.tool });
        assert.equal(items.find(({ limit }: { limit: string }) => limit === "per-tenant").dimensions.tenant, tenant);
      }),
      { numRuns: 60, seed: 8 },
    );
  });

  it("fill in the key's only tenant, and refuse another's", async () => {
    const { ask, post } = await served({ policy, keys });
    const said = { tool: "search", session: "s", user: "u", turn: 1 };
    const other = await post("/v1/consume", { call: { ...said, tenant: "globex" } }, { key: keyOf("acme") });
    assert.deepEqual([other.status, other.json.code], [403, "other-tenant"]);
    const usage = await ask("GET", "/v1/usage?tenant=globex", { key: keyOf("acme") });
    assert.equal(usage.status, 403);
    const reset = await post(
      "/v1/reset",
      { limit: "per-tenant", dimensions: { tenant: "globex" } },
      { key: keyOf("acme") },
    );
    assert.equal(reset.status, 403);
    const which = await post("/v1/consume", { call: said }, { key: texts.both });
    assert.deepEqual(
      [which.status, which.json.code, which.json.faults[0].path],
      [400, "missing-dimension", "call.tenant"],
    );
    const named = await post("/v1/consume", { call: { ...said, tenant: "globex" } }, { key: texts.both });
    assert.equal(named.json.allowed, true);
    const root = await ask("GET", "/v1/usage?session=globex%2Fs", { key: texts.root });
    assert.equal(root.json.items.find(({ limit }: { limit: string }) => limit === "per-session").used, 1);
  });

  it("choose a quota by a dimension that makes no bucket", async () => {
    const { post } = await served({ policy, keys });
    const said = { tool: "search", session: "s", user: "u", turn: 1, plan: "pro" };
    const { json } = await post("/v1/consume", { call: said }, { key: keyOf("acme") });
    assert.equal(json.verdicts.find(({ limit }: { limit: string }) => limit === "per-session").quota, 200_000);
  });

  it("share models: a limit per model is one for all tenants", async () => {
    const policy =
      "version: 1\nlimits: [{ name: per-model, per: [model], quota: 1 }, { name: own, per: [tenant, model], quota: 9 }]";
    const { post, ask } = await served({ policy, keys });
    const call = { tool: "model", model: "gpt-5" };
    assert.equal((await post("/v1/consume", { call }, { key: keyOf("acme") })).json.allowed, true);
    assert.equal((await post("/v1/consume", { call }, { key: keyOf("globex") })).json.allowed, false);
    const mine = await ask("GET", "/v1/usage?model=gpt-5", { key: keyOf("acme") });
    assert.deepEqual(
      mine.json.items.map(({ limit, dimensions }: { limit: string; dimensions: object }) => [limit, dimensions]),
      [["own", { tenant: "acme", model: "gpt-5" }]],
    );
  });

  it("neither settle nor book on another's bucket by a hold that they do not know", async () => {
    const { ask, post } = await served({ policy, keys });
    const theirs = { tool: "book", session: "s1", user: "u1", turn: 1, agent: "a1" };
    const held = await post("/v1/reserve", { call: theirs }, { key: keyOf("globex") });
    const { holdId } = held.json;
    const usageOf = async (tenant: string) =>
      (await ask("GET", "/v1/usage?session=s1&user=u1&agent=a1&turn=1", { key: keyOf(tenant) })).json.items.map(
        ({ limit, used }: { limit: string; used: number }) => [limit, used],
      );
    const before = await usageOf("globex");
    for (const session of ["s1", "globex/s1"]) {
      for (const id of [holdId, "made-up"]) {
        const body = { holdId: id, call: { ...theirs, session }, usage: { tokens: 50 } };
        const { status, json } = await post("/v1/settle", body, { key: keyOf("acme") });
        assert.deepEqual([status, json.status], [200, "unknown-hold"]);
        const other = await post(
          "/v1/settle",
          { ...body, call: { ...theirs, tenant: "globex" } },
          { key: keyOf("acme") },
        );
        assert.deepEqual([other.status, other.json.code], [403, "other-tenant"]);
      }
    }
    assert.deepEqual(await usageOf("globex"), before);
    assert.notDeepEqual(await usageOf("acme"), before);
    const settled = await post("/v1/settle", { holdId, call: theirs, usage: { tokens: 7 } }, { key: keyOf("globex") });
    assert.equal(settled.json.status, "settled");
  });

  it("are charged for shared buckets, and neither see nor change them, and the audit log says so", async () => {
    const acts: Act[] = [];
    const { ask, post } = await served({ policy: shared, keys, audit: (act) => acts.push(act) });
    const key = keyOf("acme");
    const held = await post("/v1/reserve", { call: { tool: "x", session: "s" } }, { key });
    assert.equal(held.json.allowed, true);
    const settled = await post("/v1/settle", { holdId: held.json.holdId, call: { tool: "x", session: "s" } }, { key });
    const limitsOf = (usages: { limit: string }[]) => usages.map(({ limit }) => limit);
    assert.deepEqual(limitsOf(settled.json.usages), ["per-session"]);
    const mine = await ask("GET", "/v1/usage?session=s&tool=x", { key });
    assert.deepEqual(limitsOf(mine.json.items), ["per-session"]);
    const all = await ask("GET", "/v1/usage?tool=x", { key: texts.root });
    assert.equal(all.json.items[0].used, 1);
    const bucket = { limit: "per-tool", dimensions: { tool: "x" } };
    const grant = { id: "g", units: 1, durationMs: 1_000 };
    for (const [path, body] of [
      ["/v1/reset", bucket],
      ["/v1/revoke", { ...bucket, id: "g" }],
      ["/v1/grant", { ...bucket, grant }],
    ] as const) {
      const { status, json } = await post(path, body, { key });
      assert.deepEqual([status, json.code], [403, "shared-bucket"]);
    }
    const other = { limit: "per-session", dimensions: { session: "s", tenant: "globex" } };
    assert.equal((await post("/v1/reset", other, { key })).status, 403);
    assert.deepEqual(
      acts.map(({ act, keyId, failed }) => [act, keyId, failed]),
      [
        ...["reset", "revoke", "grant"].flatMap((act) => [
          [act, "t0", undefined],
          [act, "t0", "shared-bucket"],
        ]),
        ["reset", "t0", undefined],
        ["reset", "t0", "other-tenant"],
      ],
    );
    assert.equal((await ask("GET", "/v1/policy", { key })).status, 403);
  });

  it("have idempotency keys of their own, also in shared buckets", async () => {
    const everybodys = "version: 1\nlimits: [{ name: per-tool, per: [tool], quota: 100 }]";
    const { post } = await served({ policy: everybodys, keys });
    const wish = { tool: "x", idempotencyKey: "k1" };
    const replayed = async (tenant: string) =>
      (await post("/v1/consume", { call: wish }, { key: keyOf(tenant) })).json.replayed;
    assert.deepEqual([await replayed("acme"), await replayed("globex"), await replayed("acme")], [false, false, true]);
  });
});

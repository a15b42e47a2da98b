// What a key that is bound to tenants sees of the decision log: its own entries alone, in its own names.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { memoryLog } from "tollgate/log";
import { LOG_ROUTES } from "../../scripts/log-routes.ts";
import { logPart } from "../../src/service-log/log.ts";
import { keysOf, served } from "./served.ts";

const POLICY = `
version: 1
limits:
  - { name: per-session, per: [session], onMissing: skip, quota: 5 }
  - { name: per-tenant, per: [tenant], onMissing: skip, quota: 8 }
  - { name: per-tool, per: [tool], quota: 20 }
`;
const SECRETS = /globex|initech|secret-|acme%|acme\//;

const { keys, texts } = keysOf({
  root: { scopes: ["decide", "read", "admin"] },
  acme: { scopes: ["decide", "read", "admin"], tenants: ["acme"] },
  globex: { scopes: ["decide", "read", "admin"], tenants: ["globex"] },
  two: { scopes: ["read"], tenants: ["acme", "umbrella"] },
  empty: { scopes: ["read"], tenants: ["umbrella"] },
});
const log = memoryLog({ flushMs: 10 });
const { ask, post } = await served({ policy: POLICY, keys, log, parts: [logPart(log)] });

const call = (key: string | undefined, of: object) => post("/v1/consume", { call: { tool: "search", ...of } }, { key });
for (let i = 0; i < 7; i++) {
  await call(texts.acme, { session: "s1", user: "ann" });
  await call(texts.globex, { session: "s1", user: "secret-user" });
  await call(texts.globex, { tool: "secret-tool", session: "secret-session" });
}
// A key of no tenant names what it likes, also a tenant.
await call(texts.root, { session: "secret-own", user: "secret-root" });
await call(texts.root, { tenant: "initech", session: "secret-initech" });
const grant = { grant: { id: "g1", units: 1, durationMs: 60_000 } };
await post("/v1/grant", { limit: "per-tenant", dimensions: {}, ...grant, reason: "my-reason" }, { key: texts.acme });
await post(
  "/v1/grant",
  { limit: "per-tenant", dimensions: {}, ...grant, reason: "secret-reason" },
  { key: texts.globex },
);
// By an administrator, and by the tenants themselves, of a limit that is not per tenant.
const ofSession = { limit: "per-session", dimensions: { session: "s2" } };
await post("/v1/reset", { ...ofSession, asTenant: "acme", reason: "secret-reset" }, { key: texts.root });
for (const key of [texts.acme, texts.globex]) {
  await post("/v1/grant", { ...ofSession, grant: grant.grant, reason: "a ticket", actor: "ann" }, { key });
}
await post("/v1/reset", { limit: "per-tool", dimensions: { tool: "search" } }, { key: texts.root });
await log.flush();

const { lastPosition } = (await ask("GET", "/v1/decisions", { key: texts.root })).json;
const { items: whole } = (await ask("GET", "/v1/decisions?pageSize=500", { key: texts.root })).json;

describe("a key of a tenant", () => {
  it("finds its calls and the changes of its buckets, in its names", async () => {
    const { json, text } = await ask("GET", "/v1/decisions", { key: texts.acme });
    assert.doesNotMatch(text, SECRETS);
    const calls = json.items.filter(({ kind }: { kind: string }) => kind === "decision");
    const changes = json.items.filter(({ kind }: { kind: string }) => kind === "event");
    assert.deepEqual(
      changes.map(({ type, limit, dimensions }: Record<string, unknown>) => [type, limit, dimensions]),
      [
        ["bucket.granted", "per-session", { tenant: "acme", session: "s2" }],
        ["bucket.reset", "per-session", { tenant: "acme", session: "s2" }],
        ["bucket.granted", "per-tenant", { tenant: "acme" }],
      ],
    );
    assert.deepEqual(changes[0].data, { grant: { id: "g1", units: 1, durationMs: 60_000 } });
    assert.equal(calls.length, 7);
    for (const { dimensions } of calls) assert.deepEqual(dimensions, { session: "s1", user: "ann", tenant: "acme" });
  });

  it("reads the actor and the reason of its own changes alone", async () => {
    const notes = async (key: string | undefined, query = "") =>
      (await ask("GET", `/v1/decisions?kind=event${query}`, { key })).json.items.map(
        ({ actor, reason }: Record<string, unknown>) => [actor, reason],
      );
    const mine = [
      ["key:acme for ann", "a ticket"],
      [null, null],
      ["key:acme", "my-reason"],
    ];
    assert.deepEqual(await notes(texts.acme), mine);
    const none = mine.map(() => [null, null]);
    assert.deepEqual(await notes(texts.two, "&tenant=acme"), none, "another key of the tenant");
    assert.deepEqual(await notes(texts.root, "&asTenant=acme"), none, "an administrator, as the tenant");
  });

  it("names sessions and users as its calls do", async () => {
    const count = async (query: string) =>
      (await ask("GET", `/v1/decisions?${query}`, { key: texts.acme })).json.items.length;
    assert.equal(await count("session=s1"), 7);
    assert.equal(await count("user=ann"), 7);
    assert.equal(await count("session=secret-session"), 0);
    assert.equal(await count("session=acme%2Fs1"), 0);
  });

  it("finds its figures alone", async () => {
    const read = async (path: string) => (await ask("GET", path, { key: texts.acme })).json.items;
    assert.deepEqual(await read("/v1/top?by=tool"), [{ value: "search", calls: 7, denied: 2, units: 0, error: 0 }]);
    assert.deepEqual(await read("/v1/top?by=tenant"), [{ value: "acme", calls: 7, denied: 2, units: 0, error: 0 }]);
    assert.deepEqual(await read("/v1/top?by=session"), [{ value: "s1", calls: 7, denied: 2, units: 0, error: 0 }]);
    assert.deepEqual(
      (await read("/v1/sessions")).map(({ session, user, calls }: Record<string, unknown>) => [session, user, calls]),
      [["s1", "ann", 7]],
    );
    assert.equal((await read("/v1/sessions?prefix=s")).length, 1);
    assert.equal((await read("/v1/sessions?prefix=secret")).length, 0);
    const near: { limit: string; dimensions: object }[] = await read("/v1/near");
    assert.deepEqual(
      near.map(({ limit, dimensions }) => ({ limit, dimensions })),
      [{ limit: "per-session", dimensions: { session: "s1" } }],
    );
  });

  it("sees nothing of others, whatever it asks", async () => {
    const paths = LOG_ROUTES.filter(({ method }) => method === "GET").map(({ path }) => path);
    const names = [
      "kind",
      "allowed",
      "limit",
      "tool",
      "session",
      "user",
      "fromMs",
      "toMs",
      "after",
      "cursor",
      "pageSize",
    ];
    const more = ["by", "count", "over", "prefix", "stepMinutes", "tenant", "asTenant"];
    const values = ["decision", "event", "true", "false", "per-tool", "per-session", "search", "s1", "secret-session"];
    const odd = [
      "globex",
      "globex/s1",
      "acme",
      "",
      "0",
      "1",
      "500",
      "0.8",
      "tenant",
      "session",
      "user",
      "limit",
      lastPosition,
    ];
    const query = fc.dictionary(fc.constantFrom(...names, ...more), fc.constantFrom(...values, ...odd), { maxKeys: 4 });
    const ids = fc.constantFrom(...whole.map(({ id }: { id: string }) => id as string), "none");
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        query,
        ids,
        fc.constantFrom("acme", "two", "empty"),
        async (path, q, id, key) => {
          const url = `${path.replace(":id", id)}?${new URLSearchParams(q)}`;
          const { status, text, json } = await ask("GET", url, { key: texts[key] });
          assert.ok(status < 500, text);
          // A fault shows what the caller wrote itself.
          if (status === 200) assert.doesNotMatch(text, SECRETS, `${key} ${url}`);
          if (status === 200 && key === "empty" && "items" in json) assert.deepEqual(json.items, []);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("is refused for other tenants", async () => {
    for (const query of ["tenant=globex", "asTenant=globex", "tenant=acme&asTenant=globex"]) {
      const { status } = await ask("GET", `/v1/decisions?${query}`, { key: texts.acme });
      assert.ok(status === 403 || status === 400, query);
    }
  });

  it("of several tenants says which one it means by a name", async () => {
    const { json } = await ask("GET", "/v1/decisions?session=s1", { key: texts.two });
    assert.deepEqual([json.code, json.faults[0].path], ["invalid-query", "tenant"]);
    const named = await ask("GET", "/v1/decisions?session=s1&tenant=acme", { key: texts.two });
    assert.equal(named.json.items.length, 7);
  });

  it("of several tenants has a denial of one of them explained, with what that tenant did", async () => {
    const [denied] = (await ask("GET", "/v1/decisions?allowed=false", { key: texts.two })).json.items;
    const { status, json, text } = await ask("GET", `/v1/explain/${denied.id}`, { key: texts.two });
    assert.deepEqual([status, json.entry.dimensions.tenant], [200, "acme"], text);
    assert.match(json.stood[0], / Of this session, /);
    assert.doesNotMatch(text, SECRETS);
  });
});

describe("a key of no tenant", () => {
  it("sees all, one tenant, or what a tenant sees", async () => {
    const events = whole.filter(({ kind }: { kind: string }) => kind === "event");
    assert.deepEqual(
      events.map(({ actor }: { actor: string | null }) => actor),
      ["key:root", "key:globex for ann", "key:acme for ann", "key:root", "key:globex", "key:acme", null],
    );
    const read = async (query: string) => (await ask("GET", `/v1/decisions?${query}`, { key: texts.root })).json.items;
    assert.ok(whole.length >= 25);
    const one = await read("tenant=acme");
    assert.equal(one[0].dimensions.session, "acme/s2");
    assert.equal(one[1].reason, "secret-reset");
    assert.equal((await read("tenant=acme&session=acme%2Fs1")).length, 7);
    assert.equal((await read("tenant=acme&session=acme%2Fs2")).length, 2);
    const asTenant = await read("asTenant=acme&session=s1");
    assert.deepEqual([asTenant.length, asTenant[0].dimensions.session], [7, "s1"]);
  });
});

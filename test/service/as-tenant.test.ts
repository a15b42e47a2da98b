// An administrator whose key is bound to no tenant, and the buckets that keys of one tenant count in.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Act } from "../../src/service/audit.ts";
import { keysOf, served } from "./served.ts";

const policy = `
version: 1
limits:
  - { name: per-session, per: [session], quota: 5 }
  - { name: per-tenant, per: [tenant], onMissing: skip, quota: 100 }
  - { name: per-tool, per: [tool], quota: 1000 }
`;
const { keys, texts } = keysOf({
  root: { scopes: ["read", "admin"] },
  acme: { scopes: ["decide", "read", "admin"], tenants: ["acme"] },
});
const root = { key: texts.root };
const call = { tool: "search", session: "s1" };
const limit = "per-session";

describe("a tenant that a bucket is named with", () => {
  it("and that chooses none, is refused with the form of a bound key's bucket", async () => {
    const { post } = await served({ policy, keys });
    const dimensions = { tenant: "acme", session: "s1" };
    for (const [path, more] of [
      ["/v1/grant", { grant: { id: "g", units: 1, durationMs: 60_000 } }],
      ["/v1/revoke", { id: "g" }],
      ["/v1/reset", {}],
    ] as const) {
      const { status, json } = await post(path, { limit, dimensions, ...more }, root);
      assert.deepEqual([status, json.code, json.faults[0].path], [400, "invalid-dimension", "tenant"]);
      assert.match(json.detail, /the limit per-session is per session, and tenant chooses neither/);
      assert.match(json.detail, /For the bucket of a key that is bound to acme, say asTenant: "acme"\.$/);
    }
  });
});

describe("asTenant", () => {
  it("names the buckets that a key of the tenant has", async () => {
    const acts: Act[] = [];
    const { ask, post } = await served({ policy, keys, audit: (act) => acts.push(act) });
    await post("/v1/consume", { call }, { key: texts.acme });
    const named = { limit, dimensions: { session: "s1" }, asTenant: "acme" };
    const grant = { id: "g", units: 3, durationMs: 60_000 };
    const granted = await post("/v1/grant", { ...named, grant }, root);
    const { used, remaining, dimensions } = granted.json.after;
    assert.deepEqual([used, remaining, dimensions], [1, 7, { session: "s1" }]);
    const [theirs, seen] = await Promise.all([
      ask("GET", "/v1/usage?session=s1", { key: texts.acme }),
      ask("GET", "/v1/usage?session=s1&asTenant=acme", root),
    ]);
    const untimed = (text: string) => text.replace(/"(resetAfterMs|endsInMs)":\d+/g, "");
    assert.equal(untimed(seen.text), untimed(theirs.text));
    assert.equal((await post("/v1/revoke", { ...named, id: "g" }, root)).json.revoked, true);
    assert.equal((await post("/v1/reset", named, root)).json.before.used, 1);
    assert.deepEqual(
      acts.map(({ dimensions }) => dimensions),
      Array(3).fill({ session: "acme/s1", tenant: "acme" }),
    );
    const tenant = { limit: "per-tenant", dimensions: {}, asTenant: "acme" };
    assert.equal((await post("/v1/reset", tenant, root)).json.before.used, 1);
  });

  it("gives no caller more than its key", async () => {
    const { ask, post } = await served({ policy, keys });
    const named = { limit, dimensions: { session: "s1" } };
    const other = await post("/v1/reset", { ...named, asTenant: "globex" }, { key: texts.acme });
    assert.deepEqual([other.status, other.json.code], [403, "other-tenant"]);
    assert.equal((await ask("GET", "/v1/usage?asTenant=globex", { key: texts.acme })).status, 403);
    const two = { limit, dimensions: { session: "s1", tenant: "globex" }, asTenant: "acme" };
    const both = await post("/v1/reset", two, root);
    assert.deepEqual([both.status, both.json.faults[0].path], [400, "tenant"]);
    const half = await post("/v1/reset", { ...named, asTenant: "\ud800" }, root);
    assert.deepEqual([half.status, half.json.faults[0].path], [400, "asTenant"]);
    const shared = { limit: "per-tool", dimensions: { tool: "search" }, asTenant: "acme" };
    assert.equal((await post("/v1/reset", shared, root)).json.code, "shared-bucket");
  });
});

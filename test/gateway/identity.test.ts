// Whose a call is: what is proven, what is claimed, and what shares one bucket.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "tollgate";
import type { AuthConfig, Source } from "../../src/gateway/config/config.ts";
import type { Origin, Principal } from "../../src/gateway/contract.ts";
import { createAuthenticator } from "../../src/gateway/identity/authenticator.ts";
import { createDimensionsOf } from "../../src/gateway/identity/dimensions.ts";

const UNPROVEN: Principal = { user: null, tenant: null, claims: {} };
const originOf = (
  principal: Principal = UNPROVEN,
  session: string | null = null,
  headers: Record<string, string> = {},
): Origin => ({
  transport: "http",
  era: "modern",
  server: "server",
  scope: "s",
  session,
  principal,
  header: (name) => headers[name],
});
const ALICE: Principal = { user: "alice", tenant: null, claims: { org_id: "acme", level: 3, nested: {} } };
const log = { warn() {}, error() {} };

function dimensions(
  sources: Record<string, Source>,
  origin: Origin,
  meta: object = {},
  auth: AuthConfig["kind"] | null = null,
) {
  return createDimensionsOf(new Map(Object.entries(sources)), auth)(origin, meta as never) as Record<string, string>;
}

describe("the dimensions of a call", () => {
  it("are unidentified where nothing proves or claims them", () => {
    const all = { user: "unidentified", tenant: "unidentified", session: "unidentified", turn: "unidentified" };
    assert.deepEqual(dimensions({}, originOf()), all);
    const sources = { session: { header: "x-session" }, turn: { meta: "turn" }, agent: { meta: "agent" } };
    assert.deepEqual(dimensions(sources, originOf()), all);
  });

  it("are what the credential and the session prove", () => {
    assert.deepEqual(dimensions({}, originOf({ ...ALICE, tenant: "acme" }, "sealed")), {
      user: "alice",
      tenant: "acme",
      session: "sealed",
      turn: "unidentified",
    });
    const sources = {
      tenant: { claim: "org_id" },
      level: { claim: "level" },
      agent: { value: "cli" },
      bad: { claim: "nested" },
    };
    const found = dimensions(sources, originOf(ALICE));
    assert.deepEqual([found.tenant, found.level, found.agent, "bad" in found], ["acme", "3", "cli", false]);
    const fixed = { user: { value: "root" }, session: { value: "process-1" } };
    assert.deepEqual(Object.values(dimensions(fixed, originOf(ALICE, "sealed"))).slice(0, 3), [
      "root",
      "unidentified",
      "process-1",
    ]);
  });

  it("take a claimed session only beneath the user, and after a sealed one", () => {
    const sources = { session: { header: "x-session" } };
    const sessionOf = (principal: Principal, claim: string, sealed: string | null = null) =>
      dimensions(sources, originOf(principal, sealed, { "x-session": claim })).session;
    assert.equal(sessionOf(ALICE, "s1"), "alice~s1");
    assert.equal(sessionOf(UNPROVEN, "s1"), "unidentified~s1");
    assert.equal(sessionOf(ALICE, "s1", "sealed"), "sealed");
    const named = (user: string, claim: string) => sessionOf({ ...ALICE, user }, claim);
    assert.notEqual(named("a~b", "c"), named("a", "b~c"));
    assert.notEqual(named("a%7Eb", "c"), named("a~b", "c"));
  });

  it("take no claim that cannot be used, and fail for none", () => {
    const sources = { turn: { meta: "turn" } };
    const turnOf = (turn: unknown) => dimensions(sources, originOf(), { turn }).turn;
    for (const claim of ["", "x".repeat(257), "a\nb", "\ud800", 1.5, null, {}, [], true, Number.NaN]) {
      assert.equal(turnOf(claim), "unidentified", String(claim));
    }
    assert.deepEqual(
      [turnOf("t1"), turnOf(7), turnOf("x".repeat(256))?.length, turnOf("é~%")],
      ["t1", "7", 256, "é~%"],
    );
    assert.equal(dimensions({ turn: { meta: "toString" } }, originOf()).turn, "unidentified");
  });

  it("are refused where a client could choose its user or tenant", () => {
    const made = (dimension: string, source: Source, auth: AuthConfig["kind"] | null) => () =>
      createDimensionsOf(new Map([[dimension, source]]), auth);
    for (const dimension of ["user", "tenant"]) {
      for (const auth of [null, "keys", "jwt"] as const)
        assert.throws(made(dimension, { header: "x-user" }, auth), MisuseError);
      for (const auth of [null, "proxy"] as const) assert.throws(made(dimension, { meta: "user" }, auth), MisuseError);
      assert.doesNotThrow(made(dimension, { header: "x-user" }, "proxy"));
    }
    // Without the secret of the proxy its headers are the client's.
    const sources = { tenant: { header: "x-tenant" } };
    const tenantOf = (principal: Principal) =>
      dimensions(sources, originOf(principal, null, { "x-tenant": "acme" }), {}, "proxy").tenant;
    assert.deepEqual([tenantOf(ALICE), tenantOf(UNPROVEN)], ["acme", "unidentified"]);
  });
});

describe("the credential of a request", () => {
  it("is a key, whose only tenant is the tenant", async () => {
    const keys: Record<string, readonly string[] | null> = {
      one: ["acme"],
      two: ["acme", "beta"],
      all: null,
      none: [],
    };
    const config: AuthConfig = {
      kind: "keys",
      find: (authorization) => {
        const id = authorization.slice("Bearer ".length);
        return Object.hasOwn(keys, id) ? { id, tenants: keys[id] ?? null } : null;
      },
    };
    const { check, ownHeaders, metadata } = createAuthenticator({ config, isOptional: false }, null, log);
    const found = await Promise.all(Object.keys(keys).map((id) => check({ authorization: `Bearer ${id}` })));
    const tenants = found.map((each) => ("status" in each ? each.status : [each.user, each.tenant]));
    assert.deepEqual(tenants, [
      ["one", "acme"],
      ["two", null],
      ["all", null],
      ["none", null],
    ]);
    const [missing, wrong] = await Promise.all([check({}), check({ authorization: "Bearer x" })]);
    assert.deepEqual(
      [
        "status" in missing && missing.headers["www-authenticate"],
        "status" in wrong && wrong.headers["www-authenticate"],
      ],
      ["Bearer", 'Bearer error="invalid_token"'],
    );
    assert.deepEqual([[...ownHeaders], metadata], [["authorization"], null]);
  });

  it("is the word of a proxy only with the proxy's secret", async () => {
    const config: AuthConfig = {
      kind: "proxy",
      secretHeader: "X-Secret",
      secret: "right",
      user: "X-User",
      tenant: "x-tenant",
    };
    for (const isOptional of [false, true]) {
      const { check, ownHeaders } = createAuthenticator({ config, isOptional }, null, log);
      const userOf = async (headers: Record<string, string | string[]>) => {
        const found = await check(headers);
        return "status" in found ? found.status : [found.user, found.tenant];
      };
      assert.deepEqual([...ownHeaders], ["x-secret", "x-user", "x-tenant"]);
      assert.deepEqual(await userOf({ "x-secret": "right", "x-user": "alice", "x-tenant": "acme" }), ["alice", "acme"]);
      assert.deepEqual(await userOf({ "x-secret": "right", "x-user": "alice" }), ["alice", null]);
      assert.deepEqual(await userOf({ "x-user": "alice" }), isOptional ? [null, null] : 401);
      for (const secret of ["", "wrong", "right "])
        assert.equal(await userOf({ "x-secret": secret, "x-user": "alice" }), 401);
      assert.equal(await userOf({ "x-secret": ["right", "right"], "x-user": "alice" }), 401);
      assert.equal(await userOf({ "x-secret": "right" }), 401);
      assert.equal(await userOf({ "x-secret": "right", "x-user": "" }), 401);
    }
  });

  it("is invalid where it cannot be checked, and the log does not show it", async () => {
    const logged: string[] = [];
    const noting = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`);
    const find = (authorization: string): never => {
      throw new TypeError(`cannot read ${authorization}`);
    };
    const keys = { config: { kind: "keys", find }, isOptional: true } as const;
    const { check } = createAuthenticator(keys, null, { warn: noting, error: noting });
    const found = await check({ authorization: "Bearer secret" });
    assert.equal("status" in found && found.status, 401);
    assert.deepEqual(logged, ['a credential could not be checked {"error":"TypeError"}']);
  });

  it("is none where none is asked for", async () => {
    const { check, ownHeaders, metadata } = createAuthenticator(null, null, log);
    assert.deepEqual([await check({ authorization: "Bearer x" }), ownHeaders.size, metadata], [UNPROVEN, 0, null]);
  });
});

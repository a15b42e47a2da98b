// What a program adds to a service: routes with a parameter, routes for any key, and what the documents say of them.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { openApiPart } from "../../scripts/openapi-document.ts";
import { healthSchema } from "../../src/http/answers.ts";
import { SCOPES } from "../../src/service/keys.ts";
import { type ServicePart, withPaths } from "../../src/service/parts.ts";
import { parameterOf, type Route } from "../../src/service/route.ts";
import { keysOf, served } from "./served.ts";

const THING: Route = {
  method: "GET",
  path: "/v1/things/:id",
  operationId: "getThing",
  scope: "read",
  summary: "One thing",
  response: healthSchema,
  run: ({ request }) => ({ status: parameterOf(request) }),
};
const MINE: Route = {
  method: "GET",
  path: "/v1/mine",
  operationId: "getMine",
  scope: "any",
  summary: "Who asks",
  response: healthSchema,
  run: ({ caller }) => ({ keyId: caller.keyId, scopes: [...caller.scopes] }),
};
const PUT: Route = { ...MINE, method: "PUT", operationId: "putMine", scope: "admin", run: () => null };
const PAGE: Route = {
  ...MINE,
  isHidden: true,
  path: "/page",
  operationId: "getPage",
  scope: null,
  response: "text/html",
};

const { keys, texts } = keysOf({ read: { scopes: ["read"] }, quotas: { scopes: ["quotas"] } });
const routes = [THING, MINE, PUT];
const things: ServicePart = { routes, describe: (document) => withPaths(document, openApiPart(routes)) };
const { ask } = await served({ keys, parts: [things, { routes: [PAGE] }] });

describe("a part of a service", () => {
  it("has routes with a parameter", async () => {
    const one = async (path: string) => (await ask("GET", path, { key: texts.read })).json;
    assert.equal((await one("/v1/things/a%20b%2Fc")).status, "a b/c");
    assert.equal((await one("/v1/things/%E0%A4%A")).code, "not-found");
    assert.match((await one("/")).detail, /^This is Tollgate, a service that decides calls of tools/);
    for (const path of ["/v1/things", "/v1/things/", "/v1/things/a/b"]) {
      assert.equal((await one(path)).code, "not-found", path);
    }
  });

  it("names the methods of such a route", async () => {
    const { status, headers } = await ask("DELETE", "/v1/things/a");
    assert.deepEqual([status, headers.get("allow")], [405, "GET, HEAD"]);
    assert.equal((await ask("PATCH", "/v1/mine")).headers.get("allow"), "GET, HEAD, PUT");
  });

  it("has routes for any key, and for none", async () => {
    for (const scope of ["read", "quotas"] as const) {
      const { json } = await ask("GET", "/v1/mine", { key: texts[scope] });
      assert.deepEqual(json, { keyId: scope, scopes: [scope] });
    }
    assert.equal((await ask("GET", "/v1/mine")).status, 401);
    assert.equal((await ask("GET", "/page")).status, 200);
    const keyless = await served({ parts: [things] });
    assert.deepEqual((await keyless.ask("GET", "/v1/mine")).json, { keyId: null, scopes: SCOPES });
  });

  it("checks other scopes as every route does", async () => {
    assert.equal((await ask("PUT", "/v1/mine", { key: texts.read })).json.code, "missing-scope");
    assert.equal((await ask("GET", "/v1/things/a", { key: texts.quotas })).status, 403);
  });

  it("is in the service's documents as far as it says", async () => {
    const { json } = await ask("GET", "/openapi.json");
    const { valid, errors } = await new Validator().validate(structuredClone(json));
    assert.deepEqual([valid, errors], [true, undefined]);
    assert.deepEqual(Object.keys(json.paths["/v1/mine"]), ["get", "put"]);
    assert.equal(json.paths["/v1/mine"].get.description, "Needs a key, whatever its scopes.");
    assert.deepEqual(json.paths["/v1/things/{id}"].get.parameters, [
      { name: "id", in: "path", required: true, schema: { type: "string", minLength: 1 } },
    ]);
    assert.ok("/v1/consume" in json.paths && !("/page" in json.paths));
    const { text } = await ask("GET", "/docs");
    assert.match(text, /GET \/v1\/things\/:id<\/code><\/td><td>read/);
    assert.doesNotMatch(text, /\/page/);
  });

  it("is closed with the service, also when it fails, after the limiter", async () => {
    const closed: string[] = [];
    const failing: ServicePart = { routes: [], close: () => Promise.reject(new Error("busy")) };
    const last: ServicePart = { routes: [], close: async () => void closed.push("part") };
    const { service } = await served({ parts: [failing, last] });
    await service.close();
    assert.deepEqual(closed, ["part"]);
  });

  it("is a part, or refused", async () => {
    // @ts-expect-error a part, not a list of them
    await assert.rejects(served({ parts: things }), /parts: expected a list of parts/);
  });
});

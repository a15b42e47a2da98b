import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import createClient from "openapi-fetch";
import { documentMark, documentSource } from "../../scripts/openapi.ts";
import { openApiDocument } from "../../scripts/openapi-document.ts";
import { ROUTES } from "../../src/service/routes.ts";
import type { paths } from "./api.gen.ts";
import { keysOf, served } from "./served.ts";

describe("the OpenAPI document", () => {
  it("is valid OpenAPI 3.1, and served unchanged", async () => {
    const { ask } = await served();
    const { json, headers } = await ask("GET", "/openapi.json");
    assert.equal(headers.get("content-type"), "application/json");
    assert.deepEqual(json, JSON.parse(JSON.stringify(openApiDocument(ROUTES))));
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(json));
    assert.deepEqual([valid, errors, validator.version], [true, undefined, "3.1"]);
  });

  it("names every route with its method, its scope and its problems", async () => {
    const { paths } = openApiDocument(ROUTES) as { paths: Record<string, Record<string, Record<string, object>>> };
    for (const { method, path, scope, request } of ROUTES) {
      const operation = paths[path]?.[method.toLowerCase()];
      assert.deepEqual(operation?.security, scope === null ? [] : [{ key: [] }], path);
      assert.equal("requestBody" in (operation ?? {}), request !== undefined, path);
      assert.ok("default" in (operation?.responses ?? {}), path);
    }
    assert.equal(Object.keys(paths).length, ROUTES.length);
  });

  it("is written into the file from which the service answers it", () => {
    const text = readFileSync(new URL("../../src/service/openapi.gen.ts", import.meta.url), "utf8");
    assert.equal(text, documentSource(), "run `npm run openapi`");
  });

  it("is the source of this test's client", () => {
    const text = readFileSync(new URL("api.gen.ts", import.meta.url), "utf8");
    assert.ok(text.startsWith(documentMark()), "run `npm run openapi`");
  });

  it("makes a client whose types fit the answers", async () => {
    const { keys, texts } = keysOf({ all: { scopes: ["decide", "read", "admin"] } });
    const { url } = await served({ keys });
    const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${texts.all}` } });
    const call = { tool: "book", session: "s1", cost: { calls: 1 }, args: { to: "Berlin" } };
    const consumed = await client.POST("/v1/consume", {
      body: { call },
      params: { header: { "Idempotency-Key": "k1" } },
    });
    assert.equal(consumed.data?.verdicts[0]?.remaining, 4);
    const reserved = await client.POST("/v1/reserve", { body: { call, leaseMs: 1_000 } });
    const holdId = reserved.data?.holdId ?? assert.fail("no hold");
    const settled = await client.POST("/v1/settle", { body: { holdId, call, usage: { tokens: 3 } } });
    assert.equal(settled.data?.status, "settled");
    const batch = await client.POST("/v1/batch", {
      body: { items: [{ op: "peek", call: { tool: "search", session: "s1" } }] },
    });
    assert.equal(batch.data?.items[0]?.status, 200);
    const reported = await client.POST("/v1/report", { body: { call, error: true } });
    assert.equal(reported.response.status, 204);
    const usage = await client.GET("/v1/usage", { params: { query: { session: "s1" } } });
    assert.deepEqual(usage.data?.items.map(({ limit, used }) => [limit, used])[0], ["per-session", 2]);
    const grant = { id: "g", units: 1, durationMs: 1_000 };
    const granted = await client.POST("/v1/grant", {
      body: { limit: "per-session", dimensions: { session: "s1" }, grant },
    });
    assert.equal(granted.data?.after?.remaining, 4);
    const policy = await client.GET("/v1/policy");
    assert.match(policy.data?.source ?? "", /per-session/);
    const wrong = await client.POST("/v1/consume", { body: { call: { tool: "", session: "s1" } } });
    assert.deepEqual([wrong.error?.code, wrong.error?.faults?.[0]?.path], ["invalid-body", "call.tool"]);
    // @ts-expect-error the tool is missing
    const missing = await client.POST("/v1/consume", { body: { call: { session: "s1" } } });
    assert.equal(missing.error?.status, 400);
    // @ts-expect-error there is no such path
    assert.equal((await client.POST("/v1/nothing", { body: {} })).error?.status, 404);
  });
});

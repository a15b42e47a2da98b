// Every code that a program can meet is in kebab case, and in the docs.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { MISUSE_CODES } from "../../src/kernel/errors.ts";
import { openApiDocument } from "../../src/service/openapi.ts";
import { PROBLEM_CODES } from "../../src/service/problems.ts";
import { ROUTES } from "../../src/service/routes.ts";
import { STORE_ERROR_CODES } from "../../src/store-error.ts";
import { ROOT } from "../sources.ts";
import { keysOf, served } from "./served.ts";

const read = (file: string) => readFileSync(`${ROOT}${file}`, "utf8");
const codes = [...new Set<string>([...PROBLEM_CODES, ...MISUSE_CODES, ...STORE_ERROR_CODES])];
const pages = globSync("docs/**/*.md", { cwd: ROOT, exclude: (name) => String(name).includes("decisions") })
  .map(read)
  .join("\n");

describe("codes", () => {
  it("are in kebab case", () => {
    for (const code of codes) assert.match(code, /^[a-z]+(-[a-z]+)*$/);
  });

  it("are in the docs", () => {
    assert.deepEqual(
      codes.filter((code) => !pages.includes(`\`${code}\``)),
      [],
    );
  });

  it("are in the OpenAPI document", () => {
    const document = JSON.stringify(openApiDocument(ROUTES));
    const [, listed = ""] = /"code":\{[^}]*"description":"One of ([a-z, -]+)\./.exec(document) ?? [];
    assert.deepEqual(listed.split(", "), codes.toSorted());
  });

  it("of problems are named once each in the source, and no other is", () => {
    const source = globSync("src/service/**/*.ts", { cwd: ROOT })
      .filter((file) => !file.endsWith("service/problems.ts"))
      .map(read)
      .join("\n");
    const used = [...source.matchAll(/new ProblemError\(\s*\d+,\s*"([^"]+)"/g)].map(([, code]) => code ?? "");
    assert.ok(used.length > 10);
    for (const code of used) assert.ok((PROBLEM_CODES as readonly string[]).includes(code), code);
  });

  it("of the policy's refusal for a key of tenants is one of them", async () => {
    const { keys, texts } = keysOf({ bound: { scopes: ["read"], tenants: ["acme"] } });
    const { ask } = await served({ keys });
    const { status, json } = await ask("GET", "/v1/policy", { key: texts.bound });
    assert.deepEqual([status, json.code, json.type], [403, "not-for-tenants", "urn:tollgate:problem:not-for-tenants"]);
  });
});

describe("the detail of a problem", () => {
  const cases: [path: string, body: unknown, detail: RegExp][] = [
    ["/v1/consume", { tool: "x", sesion: "s" }, /^call: expected only tenant, .*session.*, maxWaitMs.*, got "sesion"$/],
    ["/v1/consume", { tool: "x", session: "s", maxWait: 5 }, /maxWaitMs.*, got "maxWait"$/],
    ["/v1/reserve", { tool: "x", session: "s", lease: 5 }, /leaseMs.*, got "lease"$/],
    ["/v1/consume", { session: "s" }, /^tool: expected a text that is not empty, or a whole number, got nothing$/],
    ["/v1/consume", { tool: "x", session: "s", cost: { tokns: 1 } }, /^cost: expected .*tokens.*, got "tokns"$/],
    ["/v1/consume", { tool: "x", session: "s", cost: 5 }, /^cost: expected an object of whole numbers by unit, got 5$/],
    [
      "/v1/settle",
      { hold: "h", call: { tool: "x" }, costs: {} },
      /^body: expected only hold, call, cost, failed, got "costs"$/,
    ],
    ["/v1/settle", { hold: "a b", call: { tool: "x" } }, /^hold: expected 1 to 64 letters, digits, _ or -, got a text/],
    ["/v1/report", { call: { tool: "x" }, outcome: { eror: true } }, /^outcome: expected \{ "error": true \} or/],
    [
      "/v1/reset",
      { limit: "per-session", dimension: {} },
      /^body: expected only limit, dimensions, reason, got "dimen/,
    ],
    ["/v1/reset", { limit: "nope", dimensions: {} }, /^limit: expected one of .*per-session.*, got "nope"$/],
    ["/v1/batch", { item: [] }, /^body: expected only items, got "item"$/],
  ];
  for (const [path, body, detail] of cases) {
    it(`names the word that is wrong: ${path} ${JSON.stringify(body)}`, async () => {
      const { post } = await served();
      const { status, json } = await post(path, body);
      assert.equal(status, 400);
      assert.match(json.detail, detail);
    });
  }

  it("names what is wrong in a query", async () => {
    const { ask } = await served();
    const detailOf = async (path: string) => (await ask("GET", path)).json.detail;
    assert.match(await detailOf("/v1/usage?sesion=s"), /^query: expected only .*session.*, got "sesion"$/);
    assert.match(await detailOf("/v1/usage?session=a&session=b"), /^session: expected each name once, got it twice$/);
    assert.match(await detailOf("/v1/events?types=denials"), /^types: expected some of decision, .*, got "denials"$/);
  });
});

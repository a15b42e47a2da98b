// Every code that a program can meet is in kebab case, and in the docs.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { MISUSE_CODES } from "../../src/kernel/errors.ts";
import { openApiDocument } from "../../scripts/openapi-document.ts";
import { PROBLEM_CODES, PROBLEMS } from "../../src/http/problem-table.ts";
import { ROUTES } from "../../src/service/routes.ts";
import { STORE_ERROR_CODES } from "../../src/store/error.ts";
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
    assert.deepEqual(listed.split(", "), PROBLEM_CODES.toSorted());
  });

  it("of problems are in the table of docs/service.md with their status, and no others are", () => {
    const page = read("docs/service.md");
    const table = page.slice(page.indexOf("### Codes"), page.indexOf("## Keys"));
    const rows = [...table.matchAll(/^\| ([\d, ]+?) +\| (.+?) +\|/gm)];
    const shown = rows.flatMap(([, statuses = "", cell = ""]) =>
      [...cell.matchAll(/`([a-z-]+)`/g)].map(([, code = ""], i, { length }) => {
        const all = statuses.split(", ");
        assert.ok(all.length === 1 || all.length === length, cell);
        return [code, Number(all[i] ?? all[0])];
      }),
    );
    const known = Object.entries(PROBLEMS).map(([code, [status]]) => [code, status]);
    const own = new Map(shown as [string, number][]);
    assert.deepEqual(Object.fromEntries(own), Object.fromEntries(known));
  });

  it("of problems are on the page that the type of a problem names, each at its fragment", async () => {
    const { ask } = await served();
    const { json } = await ask("GET", "/nowhere");
    const [path = "", fragment] = json.type.split("#");
    const { status, text, headers } = await ask("GET", path);
    assert.deepEqual([status, fragment, headers.get("content-type")], [200, "not-found", "text/html; charset=utf-8"]);
    for (const code of PROBLEM_CODES) assert.ok(text.includes(`<tr id="${code}">`), code);
    assert.doesNotMatch(text, /<script|<link|<img|https?:|`/);
    assert.match(text, /<code>faults<\/code> names it/);
    const docs = await ask("GET", "/docs");
    assert.match(docs.text, /<pre><code>curl .*\/v1\/consume/);
    const example = /-d '([^']+)'/.exec(docs.text.replaceAll("&#34;", '"'))?.[1] ?? "";
    assert.equal((await ask("POST", "/v1/consume", { body: example })).status, 200);
  });

  it("of the policy's refusal for a key of tenants is one of them", async () => {
    const { keys, texts } = keysOf({ bound: { scopes: ["read"], tenants: ["acme"] } });
    const { ask } = await served({ keys });
    const { status, json } = await ask("GET", "/v1/policy", { key: texts.bound });
    assert.deepEqual([status, json.code, json.type], [403, "not-for-tenants", "/problems#not-for-tenants"]);
  });
});

describe("the detail of a problem", () => {
  const CALL = { tool: "x", session: "s" };
  const cases: [path: string, body: unknown, detail: RegExp][] = [
    [
      "/v1/consume",
      { call: { tool: "x", sesion: "s" } },
      /^call: expected only tenant, .*session.*, got "sesion"\. Did you mean "session"\?$/,
    ],
    ["/v1/consume", { call: CALL, maxWait: 5 }, /^body: expected only call, quotas, maxWaitMs, force, got "maxWait"$/],
    ["/v1/consume", CALL, /^body: expected only call, quotas, maxWaitMs, force, got "tool", "session"$/],
    ["/v1/consume", {}, /^call: expected an object, got nothing$/],
    ["/v1/peek", { call: CALL, maxWaitMs: 5 }, /^body: expected only call, quotas, got "maxWaitMs"$/],
    [
      "/v1/reserve",
      { call: CALL, lease: 5 },
      /^body: expected only call, quotas, leaseMs, maxWaitMs, force, got "lease"$/,
    ],
    ["/v1/consume", { call: { session: "s" } }, /^call.tool: expected a text that is not empty, or a whole .*nothing$/],
    ["/v1/consume", { call: { tool: "x" } }, /^call.session: expected .*, got nothing\. Say it with each call/],
    ["/v1/consume", { call: { ...CALL, cost: { tokns: 1 } } }, /^call.cost: expected .*tokens.*, got "tokns"$/],
    ["/v1/consume", { call: { ...CALL, cost: 5 } }, /^call.cost: expected an object of whole numbers by unit, got 5$/],
    [
      "/v1/settle",
      { holdId: "h", call: { ...CALL, cost: { tokens: 1 } }, usage: { tokns: 1 } },
      /^usage: expected .*tokens.*, got "tokns"$/,
    ],
    ["/v1/settle", { holdId: "h", call: CALL, failed: true }, /^failed: expected a hold that begin made, got "h"$/],
    ["/v1/end", { holdId: "h", call: CALL }, /^holdId: expected a hold that begin made, got "h"$/],
    ["/v1/end", { holdId: "h", call: CALL, error: false }, /^error: expected true, got false$/],
    [
      "/v1/end",
      { holdId: "run-1", call: CALL, error: true, result: 1 },
      /^body: expected "error": true or "result", not/,
    ],
    [
      "/v1/report",
      { call: CALL, error: true, result: 1 },
      /^body: expected "error": true or "result", not both, got both$/,
    ],
    ["/v1/report", { call: CALL }, /^body: expected "error": true or "result", got neither$/],
    [
      "/v1/settle",
      { holdId: "h", call: { tool: "x" }, costs: {} },
      /^body: expected only holdId, call, quotas, usage, failed, got "costs"$/,
    ],
    [
      "/v1/settle",
      { holdId: "a b", call: { tool: "x" } },
      /^holdId: expected 1 to 64 letters, digits, _ or -, got a text/,
    ],
    ["/v1/report", { call: CALL, eror: true }, /^body: expected only call, error, result, got "eror"$/],
    [
      "/v1/reset",
      { limit: "per-session", dimension: {} },
      /^body: expected only limit, dimensions, asTenant, reason, actor, got "dimen/,
    ],
    ["/v1/reset", { limit: "nope", dimensions: {} }, /^limit: expected one of .*per-session.*, got "nope"$/],
    ["/v1/batch", { item: [] }, /^body: expected only items, got "item"$/],
  ];
  for (const [path, body, detail] of cases) {
    it(`names the wrong key: ${path} ${JSON.stringify(body)}`, async () => {
      const { post } = await served();
      const { status, json } = await post(path, body);
      assert.equal(status, 400);
      assert.match(json.detail, detail);
    });
  }

  it("names the wrong header, and the service's bound on waits", async () => {
    const { post } = await served({ bounds: { maxWaitMs: 500 } });
    const call = { tool: "x", session: "s" };
    const headers = { "idempotency-key": '"a" "b"' };
    const header = await post("/v1/consume", { call }, { headers });
    assert.match(
      header.json.detail,
      /^Idempotency-Key: expected one key of visible ASCII characters, .*, got a header of 7/,
    );
    for (const maxWaitMs of [501, 3_600_000, 9_007_199_254_740_991]) {
      const { status, json } = await post("/v1/consume", { call, maxWaitMs });
      assert.deepEqual([status, json.code], [400, "invalid-option"]);
      assert.equal(json.detail, `maxWaitMs: expected at most 500, the bound of this service, got ${maxWaitMs}`);
    }
  });

  it("names the missing cost of a hold's call", async () => {
    const { post } = await served();
    const { json } = await post("/v1/settle", {
      holdId: "h1",
      call: { tool: "x", session: "s" },
      usage: { tokens: 1 },
    });
    assert.match(
      json.detail,
      /^call\.cost\.tokens: expected how many tokens the hold has, as the call that was reserved said/,
    );
  });

  it("names what is wrong in a query", async () => {
    const { ask } = await served();
    const detailOf = async (path: string) => (await ask("GET", path)).json.detail;
    assert.match(
      await detailOf("/v1/usage?sesion=s"),
      /^query: expected only .*session.*, got "sesion"\. Did you mean "session"\?$/,
    );
    assert.match(await detailOf("/v1/usage?session=a&session=b"), /^session: expected each name once, got it twice$/);
    assert.match(await detailOf("/v1/usage?__proto__=x"), /^__proto__: expected another name, got a reserved one$/);
    assert.match(
      await detailOf("/v1/events?types=denials"),
      /^types: expected some of call.allowed, .*, got "denials"$/,
    );
  });
});

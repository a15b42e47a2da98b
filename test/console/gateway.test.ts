// The page of the MCP gateway, and what it is made of.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { memoryLog } from "tollgate/log";
import { LOG_ROUTES } from "../../scripts/log-routes.ts";
import type { Schema } from "../../src/kernel/policy/schema-kinds.ts";
import { logPart } from "../../src/service-log/log.ts";
import { isExactly, served } from "../service/served.ts";
import { opened, SKIP, servedConsole, texts } from "./browser.ts";

describe("the gateway's servers and tools", () => {
  it("are answered to keys of no tenant", async () => {
    const { ask } = await servedConsole();
    const { json, status } = await ask("GET", "/v1/gateway", { key: texts.reader });
    assert.equal(status, 200);
    const [search, payments] = json.items;
    assert.deepEqual([search.url, search.state, payments.state], ["http://search.internal:9000/mcp", "up", "down"]);
    assert.deepEqual([search.tools[0].calls, search.tools[0].denied, search.tools[1].calls], [4, 1, 0]);
    const route = LOG_ROUTES.find(({ path }) => path === "/v1/gateway");
    assert.ok(isExactly(route?.response as Schema, json));
    const refused = await ask("GET", "/v1/gateway", { key: texts.acme });
    assert.deepEqual([refused.status, refused.json.code], [403, "not-for-tenants"]);
    assert.equal((await ask("GET", "/v1/me", { key: texts.reader })).json.hasGateway, true);
    assert.ok(!JSON.stringify(json).includes("secret"));
  });

  it("are not there without a gateway", async () => {
    const log = memoryLog();
    const { ask } = await served({ log, parts: [logPart(log)] });
    const { status, json } = await ask("GET", "/v1/gateway");
    assert.deepEqual([status, json.detail], [404, "No MCP gateway runs beside this service."]);
    assert.equal((await ask("GET", "/v1/me")).json.hasGateway, false);
  });

  it("have a page that links to their decisions", { skip: SKIP }, async () => {
    const { url } = await servedConsole();
    const { page, faults } = await opened(url, texts.reader);
    await page.getByRole("link", { name: "Gateway" }).click();
    await page.getByText("It cannot be reached (ECONNREFUSED).").waitFor();
    await page.getByText("No client has asked for its tools yet.").waitFor();
    const row = page.getByRole("row").filter({ hasText: "search_find" });
    assert.match(await row.innerText(), /Finds pages by words\.\s+4\s+1 \(25 %\)\s+(now|just|.*ago)/);
    await row.getByRole("link", { name: "search_find" }).click();
    await page.waitForURL(/#\/decisions\?tool=search_find$/);
    assert.deepEqual(faults, []);
  });

  it("have no page for a tenant", { skip: SKIP }, async () => {
    const { url } = await servedConsole();
    const { page } = await opened(url, texts.acme);
    assert.equal(await page.getByRole("link", { name: "Gateway" }).count(), 0);
  });
});

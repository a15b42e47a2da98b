// The console's page of the policy in Chromium: an edited policy is tried on what was called, and applied.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Page } from "playwright-core";
import { policyFile } from "../../src/service-log/policy-file-node.ts";
import { temporaryFolder } from "../temporary.ts";
import { opened, POLICY, SKIP, servedConsole, texts } from "./browser.ts";

const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core")), "utf8");

/** Edits the policy in the page. */
async function edit(page: Page, from: string, to: string): Promise<void> {
  const editor = page.getByLabel("Policy", { exact: true });
  await editor.fill((await editor.inputValue()).replace(from, to));
}

describe("the page of the policy", { skip: SKIP }, async () => {
  const path = join(temporaryFolder(), "policy.yaml");
  writeFileSync(path, POLICY);
  const { url, call, log, ask } = await servedConsole(policyFile(path));

  it("says that nothing was called, and what a policy would have denied, with links to sessions", async () => {
    const { page, faults, goTo } = await opened(url, texts.ops, { bypassCSP: true });
    await goTo("#/policy");
    await page.getByText("The policy is fine.").waitFor();
    assert.equal(await page.getByRole("button", { name: "Try it" }).count(), 0);
    await edit(page, "quota: 3 }", "quota: 1 }");
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByText("Nothing was called in this time").waitFor();
    for (let i = 0; i < 3; i++) await call({ session: "trial-1", turn: "t1" });
    await log.flush();
    await page.getByLabel("Time").selectOption("86400000");
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByText("3 calls of 1 session").waitFor();
    const byLimit = page.getByRole("table", { name: "Newly denied and newly allowed calls, by limit" });
    assert.match(await byLimit.getByRole("row").nth(1).innerText(), /tool-per-turn\s+2\s+0/);
    const examples = page.getByRole("table", { name: "Newly denied", exact: true });
    assert.match(await examples.getByRole("row").nth(1).innerText(), /trial-1.*t1.*search.*2.*tool-per-turn/s);
    await page.getByText("Both policies begin with empty buckets").waitFor();
    await page.addScriptTag({ content: AXE });
    const found = "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id }) => id))";
    assert.deepEqual(await page.evaluate<string[]>(found), []);
    await edit(page, "quota: 1 }", "quota: 3 } ");
    await byLimit.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Try it" }).click();
    await page.getByText("Nothing changes for these calls").waitFor();
    assert.deepEqual(faults, []);
  });

  it("applies a policy with a reason, and not over one that was applied meanwhile", async () => {
    const { page, goTo } = await opened(url, texts.ops);
    await goTo("#/policy");
    await edit(page, "quota: 3 }", "quota: 4 }");
    await page.getByText("The policy is fine.").waitFor();
    await page.getByRole("button", { name: "Apply" }).click();
    assert.equal(await page.getByText("Your policy is in force.").count(), 0);
    const { json, headers } = await ask("GET", "/v1/policy", { key: texts.ops });
    const other = json.source.replace("quota: 50", "quota: 60");
    const match = { "if-match": headers.get("etag") ?? "" };
    await ask("PUT", "/v1/policy", { body: { source: other, reason: "other" }, headers: match, key: texts.ops });
    await page.getByLabel("Reason").fill("more room");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("alert").getByText("Another policy was applied meanwhile").waitFor();
    assert.equal(readFileSync(path, "utf8"), other);
    await page.getByRole("button", { name: "Take the new one in" }).click();
    await page.getByText("-  - { name: calls-per-session").getByText("quota: 60").waitFor();
    await edit(page, "quota: 50", "quota: 60");
    await page.getByText("The policy is fine.").waitFor();
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("Your policy is in force.").waitFor();
    assert.equal(readFileSync(path, "utf8"), other.replace("quota: 3 }", "quota: 4 }"));
    assert.equal(await page.getByRole("button", { name: "Apply" }).count(), 0);
    await goTo("#/audit");
    await page.getByRole("row").filter({ hasText: "more room" }).waitFor();
  });

  it("says why a key cannot apply it", async () => {
    const { page, goTo } = await opened(url, texts.reader);
    await goTo("#/policy");
    await edit(page, "quota: 60", "quota: 70");
    await page.getByText("This key lacks the scope admin").waitFor();
    assert.equal(await page.getByRole("button", { name: "Apply" }).count(), 0);
  });
});

// The console in Chromium, against a service under traffic.

import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { describe, it } from "node:test";
import { opened, SKIP, servedConsole, texts } from "./browser.ts";

/** How soon a denial must be seen, ms. It is half a second on a machine that does nothing else. */
const SEEN_MS = 5_000;

describe("the console", { skip: SKIP }, async () => {
  const service = await servedConsole();
  const { url, call, ask } = service;

  it("shows a denial as soon as it happens, and says why on a click", async () => {
    const { page, faults, goTo } = await opened(url, texts.reader);
    await goTo("#/decisions?outcome=denied");
    await page.getByText("Nothing matches these filters.").waitFor();
    for (let i = 0; i < 4; i++) await call({ session: "live-1", turn: "t1", user: "ann" });
    const row = page.getByRole("row").filter({ hasText: "live-1" });
    await row.waitFor({ timeout: SEEN_MS });
    assert.match(await row.innerText(), /denied.*search.*live-1.*tool-per-turn.*3 of 3 calls; not by waiting/s);
    await row.getByRole("link").first().click();
    const why = page.getByRole("complementary");
    await why.getByText("tool-per-turn allows 3 calls per session, turn and tool.").first().waitFor();
    assert.match(
      await why.innerText(),
      /tollgate grant --limit tool-per-turn --session live-1 --turn t1 --tool search/,
    );
    assert.match(new URL(page.url()).hash, /^#\/decisions\?outcome=denied&id=01/);
    assert.deepEqual(faults, []);
  });

  it("grants with a reason, after which the agent goes on", async () => {
    const { page, faults, goTo } = await opened(url, texts.ops);
    await call({ session: "live-1", turn: "t1", user: "ann" });
    await service.log.flush();
    await goTo("#/who?session=live-1");
    const grant = page.getByRole("button", { name: "Grant units of tool-per-turn" });
    await grant.click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("3 of 3 calls").waitFor();
    await dialog.getByLabel("calls to add").fill("2");
    await dialog.getByRole("button", { name: "Grant" }).click();
    // A reason is required.
    assert.equal(await dialog.getByText("After").count(), 0);
    await dialog.getByLabel("Reason").fill("demo of the console");
    await dialog.getByRole("button", { name: "Grant" }).click();
    await dialog.getByText("3 of 5 calls").waitFor();
    await dialog.getByRole("button", { name: "Done" }).click();
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Grant");
    assert.equal((await call({ session: "live-1", turn: "t1", user: "ann" })).json.allowed, true);
    await goTo("#/audit");
    await page.getByRole("row").filter({ hasText: "demo of the console" }).waitFor();
    assert.deepEqual(faults, []);
  });

  it("resets a bucket, and shows how it stood before and after", async () => {
    const { page, goTo } = await opened(url, texts.ops);
    await goTo("#/who?session=live-1");
    await page.getByRole("button", { name: "Reset tool-per-turn" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Reason").fill("again");
    await dialog.getByRole("button", { name: "Reset" }).click();
    await dialog.getByText("0 of 3 calls").waitFor();
  });

  it("shows at which line a policy is wrong", async () => {
    const { page, faults, goTo } = await opened(url, texts.reader);
    await goTo("#/policy");
    await page.getByText("The policy is fine.").waitFor();
    const editor = page.getByLabel("Policy", { exact: true });
    await editor.fill((await editor.inputValue()).replace("quota: 50", "quota: lots"));
    await page.getByRole("alert").getByText("A service would refuse this policy").waitFor();
    await page.getByRole("button", { name: "line 5" }).click();
    const marked = await page.evaluate<string>(
      "[...document.querySelectorAll('.editor li.error')].map((each) => each.textContent).join()",
    );
    assert.equal(marked, "5");
    assert.match(await page.evaluate<string>("getSelection().toString()"), /calls-per-session.*quota: lots/);
    assert.match(await page.getByText("+  - { name: calls-per-session").innerText(), /quota: lots/);
    await page.getByRole("button", { name: "Undo all" }).click();
    await page.getByText("The policy is fine.").waitFor();
    assert.deepEqual(faults, []);
  });

  it("offers no change to a key that may only read", async () => {
    const { page, goTo } = await opened(url, texts.reader);
    await goTo("#/who?session=live-1");
    await page.getByRole("cell", { name: "tool-per-turn" }).first().waitFor();
    assert.equal(await page.getByRole("button", { name: /Grant|Reset/ }).count(), 0);
    await page.getByText("key reader, read-only").waitFor();
  });

  it("says what a key lacks, and that a key is wrong", async () => {
    const { page } = await opened(url, texts.decider);
    await page.getByText("it lacks the scope read").waitFor();
    await page.getByText("key decider, may not read").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").fill("tg_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("Paste what `tollgate keys create` printed").waitFor();
    assert.equal(await page.evaluate("sessionStorage.length"), 0);
  });

  it("keeps the key in the tab: neither in an address nor in a cookie", async () => {
    const { page } = await opened(url, texts.reader);
    await page.reload();
    await page.getByText("key reader").waitFor();
    assert.ok(!page.url().includes(texts.reader ?? "tg_"));
    assert.equal(await page.evaluate("document.cookie + localStorage.length"), "0");
  });

  it("shows a tenant nothing of other tenants", async () => {
    for (let i = 0; i < 5; i++) {
      await call({ session: "g1", turn: "t1", user: "globex-user" }, texts.globex);
      await call({ session: "a1", turn: "t1", user: "acme-user" }, texts.acme);
    }
    await service.log.flush();
    const { page, bodies, goTo } = await opened(url, texts.acme);
    for (const hash of [
      "#/overview",
      "#/limits",
      "#/limits?by=user",
      "#/who",
      "#/who?session=a1",
      "#/decisions",
      "#/audit",
    ]) {
      await goTo(hash);
      await page.waitForTimeout(300);
    }
    await page.getByText("Nothing was changed in this time.").waitFor();
    await goTo("#/decisions?session=a1");
    await page.getByRole("row").filter({ hasText: "acme-user" }).first().waitFor();
    const all = (await Promise.all(bodies)).join("\n");
    assert.match(all, /acme-user/);
    assert.doesNotMatch(all, /globex|"g1"|live-1|acme\/a1/);
  });

  it("leads from the figures of denials to the denials", async () => {
    const { page } = await opened(url, texts.reader);
    await page.getByText("Denied in the last hour").locator("..").getByRole("link").click();
    await page.getByRole("row").filter({ hasText: "denied" }).first().waitFor();
    assert.equal(new URL(page.url()).hash, "#/decisions?outcome=denied&last=1h");
  });

  it("says of which tool a bucket is that was granted", async () => {
    const { page, goTo } = await opened(url, texts.reader);
    await goTo("#/audit");
    const row = page.getByRole("row").filter({ hasText: "tool-per-turn" }).first();
    assert.match(await row.innerText(), /session live-1.*turn t1.*tool search/s);
  });

  it("is used by the keyboard alone", async () => {
    const { page, goTo } = await opened(url, texts.reader);
    await goTo("#/decisions?live=off");
    await page.getByRole("row").nth(3).waitFor();
    await page.getByRole("heading", { name: "Decisions" }).focus();
    for (const key of ["j", "j", "k"]) await page.keyboard.press(key);
    const focused = () => page.evaluate<string>(`document.activeElement?.getAttribute("data-id") ?? ""`);
    const id = await focused();
    assert.match(id, /^01/);
    await page.keyboard.press("Enter");
    await page.getByRole("complementary").getByText("Limits").first().waitFor();
    assert.equal(await focused(), "");
    await page.keyboard.press("Escape");
    await page.getByRole("complementary").waitFor({ state: "detached" });
    assert.equal(await focused(), id);
    await page.keyboard.press("Control+Home");
  });

  it("lists sessions, and finds one by its beginning", async () => {
    const { page, goTo } = await opened(url, texts.reader);
    await goTo("#/who");
    await page.getByLabel("Sessions that begin with").fill("live");
    await page.getByRole("row").filter({ hasText: "globex" }).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "live-1" }).click();
    await page.getByRole("heading", { name: "session live-1" }).waitFor();
    await page.goBack();
    assert.equal(await page.getByLabel("Sessions that begin with").inputValue(), "live");
  });

  it("works below the path of a proxy", async () => {
    const port = Number(new URL(url).port);
    const proxy = createServer((incoming, outgoing) => {
      const path = incoming.url?.replace(/^\/gate\//, "/");
      if (path === incoming.url) return void outgoing.writeHead(404).end();
      const { method, headers } = incoming;
      const asked = request({ port, path, method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(asked);
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port: own } = proxy.address() as { readonly port: number };
    const { page, faults } = await opened(`http://127.0.0.1:${own}/gate`, texts.reader);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await page.getByText("Decisions per second").waitFor();
    assert.deepEqual(faults, []);
    proxy.closeAllConnections();
    proxy.close();
  });

  it("asks for a key again when the one that it has was revoked", async () => {
    const { page } = await opened(url, texts.reader);
    await page.evaluate(`sessionStorage.setItem("tollgate-key", "tg_revoked")`);
    await page.getByLabel("API key").waitFor({ timeout: 15_000 });
  });

  it("says that the service is away, and goes on when it is back", async () => {
    const { page, goTo } = await opened(url, texts.reader);
    await goTo("#/decisions");
    await page.getByRole("row").nth(1).waitFor();
    await page.context().setOffline(true);
    await page.getByText("The service does not answer.").waitFor();
    await page.context().setOffline(false);
    await call({ session: "back-1", turn: "t1" });
    await page.getByRole("row").filter({ hasText: "back-1" }).waitFor({ timeout: 20_000 });
    assert.equal(await page.getByText("The service does not answer.").count(), 0);
    assert.equal((await ask("GET", "/healthz")).status, 200);
  });
});

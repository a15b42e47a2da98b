// What axe finds on each page, dark and light, on a narrow and a wide screen, and whether a page is wider than the screen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { isWide } from "../length.ts";
import { opened, SKIP, servedConsole, texts } from "./browser.ts";

const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core")), "utf8");
const PAGES = [
  "overview",
  "limits",
  "who",
  "who?session=s1",
  "decisions",
  "decisions?outcome=denied",
  "gateway",
  "policy",
  "audit",
];

interface Found {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { html: string }[];
  }[];
}

describe("each page", { skip: SKIP }, async () => {
  const { url, call, post, log } = await servedConsole();
  for (let i = 0; i < 5; i++) {
    await call({ session: "s1", turn: "t1", user: "u1", cost: { usd_micros: 900_000 } });
    await call({
      tool: "a-tool-with-a-very-long-name-that-no-one-shortened",
      session: `session-${"x".repeat(60)}`,
      turn: "t2",
    });
  }
  const grant = { id: "g1", units: 2, durationMs: 3_600_000 };
  await post(
    "/v1/grant",
    { limit: "calls-per-session", dimensions: { session: "s1" }, grant, reason: "demo" },
    { key: texts.ops },
  );
  await log.flush();

  const widths = isWide ? [400, 1_600] : [400];
  const schemes = ["light", "dark"] as const;

  it(`is accessible, light and dark, ${widths.join(" and ")} px wide`, async () => {
    const { page, goTo } = await opened(url, texts.ops, { bypassCSP: true, reducedMotion: "reduce" });
    await page.addScriptTag({ content: AXE });
    /** Only the contrast of colours differs from one way to another; a wide run looks for all in each. */
    const look = async (what: string, rules: string) => {
      const found = await page.evaluate<Found>(`axe.run({ resultTypes: ['violations']${isWide ? "" : rules} })`);
      const violations = found.violations.map(({ id, impact, nodes }) => `${what}: ${impact} ${id} ${nodes[0]?.html}`);
      assert.deepEqual(violations, []);
      const wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
      assert.equal(await page.evaluate(wider), 0, `${what} is wider than the screen`);
    };
    const check = async (what: string) => {
      let rules = "";
      for (const width of widths) {
        await page.setViewportSize({ width, height: 900 });
        for (const colorScheme of schemes) {
          await page.emulateMedia({ colorScheme });
          await look(`${what}, ${colorScheme}, ${width} px wide`, rules);
          rules = ", runOnly: ['color-contrast']";
        }
      }
    };
    for (const hash of PAGES) {
      await goTo(`#/${hash}`);
      await page.waitForFunction("!document.body.innerText.includes('Loading …')");
      await check(hash);
    }
    await goTo("#/overview");
    await page.getByText("As a table").click();
    await check("a chart as a table");
    await goTo("#/decisions?outcome=denied");
    await page.getByRole("row").nth(1).getByRole("link").first().click();
    await page.getByText("When it opens").waitFor();
    await page.getByText("As it was logged").click();
    await check("an explanation");
    await goTo("#/who?session=s1");
    await page.getByRole("button", { name: "Grant units of calls-per-session" }).click();
    await check("a dialog");
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").waitFor();
    await check("signing in");
  });
});

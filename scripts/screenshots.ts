// `npm run screenshots`: plays calls against a service, and takes pictures of its console: two for the docs, and each page at three
// widths, dark and light, in a temporary folder, to be looked at.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { consoleFiles } from "../src/cli/console.ts";
import { memoryLog } from "../src/log/log.ts";
import { createService } from "../src/service/handler.ts";
import { listen, prometheusMetrics } from "../src/service/node.ts";
import { consolePart } from "../src/service-log/console.ts";
import { logPart } from "../src/service-log/log.ts";
import { memoryStore } from "../src/stores/memory.ts";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const DOCS = new URL("../docs/", import.meta.url).pathname;
const WIDTHS = [400, 1_000, 1_600];
const PAGES = ["overview", "limits", "who", "who?session=airline-12", "decisions?outcome=denied", "policy", "audit"];

const POLICY = `version: 1
limits:
  # A turn that runs away ends here.
  - { name: tool-per-turn, per: [session, turn, tool], onMissing: skip, quota: 5, resetAfterIdle: 1h }
  - { name: calls-per-session, per: [session], onMissing: skip, quota: 60, resetAfterIdle: 24h }
  # What a user may spend on a day.
  - { name: money-per-user, per: [user], onMissing: skip, unit: usd_micros, quota: $5.00, algorithm: fixed-window, window: day, timezone: UTC }
`;
const TOOLS = ["search_flights", "get_reservation", "get_user", "book_reservation", "calculate", "send_email"];
const USERS = ["mia", "noah", "yusuf", "amelia", "raj", "lei"];

/** A number from 0 on below `count`, the same in each run. */
function numbers() {
  let seed = 7;
  return (count: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % count;
  };
}

async function played() {
  const log = memoryLog();
  const parts = [logPart(log), consolePart(consoleFiles)];
  const options = { policy: POLICY, keys: false, metrics: prometheusMetrics(), log, parts } as const;
  const service = createService({ ...options, store: memoryStore() });
  const { url, close } = await listen(service, { port: 0 });
  const below = numbers();
  const ask = async (path: string, body: object) => {
    const headers = { "content-type": "application/json" };
    await (await fetch(`${url}/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) })).text();
  };
  for (let i = 0; i < 1_500; i++) {
    const session = `airline-${10 + below(14)}`;
    const turn = `t${1 + below(12)}`;
    const tool = TOOLS[Math.min(below(TOOLS.length), below(TOOLS.length))] as string;
    const user = USERS[session.charCodeAt(session.length - 1) % USERS.length] as string;
    await ask("consume", { call: { tool, session, turn, user, cost: { usd_micros: 8_000 + below(30_000) } } });
  }
  const bucket = { limit: "calls-per-session", dimensions: { session: "airline-12" } };
  await ask("grant", { ...bucket, grant: { id: "g1", units: 20, durationMs: 3_600_000 }, reason: "A long booking" });
  await log.flush();
  return { url, close };
}

async function take(browser: Browser, url: string, folder: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of WIDTHS) {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
      const page = await context.newPage();
      for (const hash of PAGES) {
        await page.goto(`${url}/console/#/${hash}`);
        await page.waitForFunction("document.querySelector('main') && !document.body.innerText.includes('Loading …')");
        const isList = hash.startsWith("decisions");
        if (isList) await page.locator("[data-id]").first().click();
        await page.waitForTimeout(700);
        const name = hash.replace(/\W+/g, "-");
        await page.screenshot({ path: join(folder, `${name}-${width}-${colorScheme}.png`), fullPage: !isList });
        const isShown = width === 1_000 && colorScheme === "light";
        if (isShown && hash === "overview") await page.screenshot({ path: `${DOCS}console-overview.png` });
        if (isShown && isList) await page.screenshot({ path: `${DOCS}console-decisions.png` });
      }
      await context.close();
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "tollgate-screenshots-"));
const { url, close } = await played();
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
try {
  await take(browser, url, folder);
} finally {
  await browser.close();
  await close();
}
console.log(`docs/console-overview.png, docs/console-decisions.png, and to look at: ${folder}`);
process.exit(0);

// Chromium, and a service with a console for it.

import { existsSync } from "node:fs";
import { after, afterEach } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { memoryLog } from "tollgate/log";
import { consoleFiles } from "../../src/cli/console.ts";
import { createRegistry } from "../../src/gateway/registry.ts";
import { consolePart } from "../../src/service-log/console.ts";
import { logPart, type PolicyFile } from "../../src/service-log/log.ts";
import { keysOf, served } from "../service/served.ts";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** Why tests with a browser are skipped; `false`: they are not. */
export const SKIP = existsSync(CHROMIUM) ? false : `there is no ${CHROMIUM}`;

export const POLICY = `
version: 1
limits:
  - { name: tool-per-turn, per: [session, turn, tool], onMissing: skip, quota: 3 }
  - { name: calls-per-session, per: [session], onMissing: skip, quota: 50 }
  - { name: money-per-user, per: [user], onMissing: skip, unit: usd_micros, quota: $5.00 }
`;

const { keys, texts } = keysOf({
  ops: { scopes: ["decide", "read", "admin"] },
  reader: { scopes: ["read"] },
  decider: { scopes: ["decide"] },
  acme: { scopes: ["decide", "read"], tenants: ["acme"] },
  globex: { scopes: ["decide", "read"], tenants: ["globex"] },
});
export { texts };

let browser: Promise<Browser> | undefined;
after(async () => (await browser)?.close());

/** A page that is left open goes on asking. */
const contexts: BrowserContext[] = [];
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
});

function launched(): Promise<Browser> {
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  return browser;
}

/** What a gateway before two servers has seen. */
export function gatewayView() {
  const registry = createRegistry([
    { name: "search", url: new URL("http://search.internal:9000/mcp?key=secret") },
    { name: "payments", url: new URL("http://payments.internal/mcp") },
  ]);
  registry.sawServer("search", null);
  registry.sawTools("search", [
    { name: "search_find", description: "Finds pages by words." },
    { name: "search_open", description: null },
  ]);
  for (const isAllowed of [true, true, true, false]) registry.sawCall("search", "search_find", isAllowed);
  registry.sawServer("payments", "cannot be reached (ECONNREFUSED).");
  registry.leftOut("payments", "x".repeat(70), "its name would have more than 64 characters");
  return registry.view();
}

/** A service with a log and a console. Without a file its policy may not be written. */
export async function servedConsole(file?: PolicyFile) {
  const log = memoryLog({ flushMs: 50 });
  const part = logPart(log, { ...(file === undefined ? {} : { policyFile: file }), gateway: gatewayView });
  const parts = [part, consolePart(consoleFiles)];
  const service = await served({ policy: POLICY, keys, log, parts });
  const call = (more: object, key = texts.ops) =>
    service.post("/v1/consume", { call: { tool: "search", ...more } }, { key });
  return { ...service, log, call };
}

export interface Opened {
  readonly page: Page;
  /** What went wrong in the page: errors of scripts, and what the content security policy forbade. */
  readonly faults: string[];
  /** The bodies of all answers that the page got. */
  readonly bodies: Promise<string>[];
  goTo(hash: string): Promise<void>;
}

/** A page of the console, signed in; without a key where the service needs none. */
export async function opened(url: string, key?: string, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await (await launched()).newContext({ viewport: { width: 1_000, height: 800 }, ...options });
  contexts.push(context);
  const page = await context.newPage();
  const faults: string[] = [];
  const bodies: Promise<string>[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    // The first question without a key is refused: that is how the console learns that one is needed.
    if (message.type() === "error" && !message.text().includes("401")) faults.push(message.text());
  });
  page.on("response", (response) => bodies.push(response.text().catch(() => "")));
  await page.goto(`${url}/console/`);
  if (key !== undefined) {
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
  }
  await page.getByRole("navigation").waitFor();
  const goTo = async (hash: string) => {
    await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
    // The network is never idle: pages ask again, and reads of the log wait.
    await page.evaluate("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
    while ((await page.getByText("Loading …").count()) > 0) await sleep(20);
  };
  return { page, faults, bodies, goTo };
}

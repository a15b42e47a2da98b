// Programs that a project with the packed package runs, on each runtime.

import { SUBPATHS } from "./subpaths.ts";

/** Subpaths that need a package which the user installs, or the modules of Workers. */
const NEED_MORE = ["./adapters/langchain", "./edge", "./otel"];

const names = SUBPATHS.map(([subpath]) => subpath).filter((subpath) => !NEED_MORE.includes(subpath));

/** How many subpaths `everySubpath` imports. */
export const IMPORTED = names.length;

/** Imports every subpath, and decides calls by a policy file on a database file. */
export const everySubpath = `
${names.map((subpath, i) => `import * as m${i} from "${subpath.replace(".", "tollgate")}";`).join("\n")}
import schema from "tollgate/policy.schema.json" with { type: "json" };
import { writeFileSync } from "node:fs";
for (const names of [${names.map((_, i) => `m${i}`).join(", ")}]) if (Object.keys(names).length === 0) throw new Error("nothing");
if (schema.properties.limits === undefined) throw new Error("no schema");
const { createLimiter } = m0;
const { sqliteStore } = m${names.indexOf("./stores/sqlite")};
const { loadPolicy } = m${names.indexOf("./policy")};
writeFileSync("policy.json", JSON.stringify({ version: 1, limits: [{ name: "a", per: ["session"], quota: 1 }] }));
const limiter = createLimiter({ policy: loadPolicy("policy.json"), store: sqliteStore("check.db") });
const answers = [await limiter.consume({ tool: "x", session: "s" }), await limiter.consume({ tool: "x", session: "s" })];
await limiter.close();
if (answers[0].allowed !== true || answers[1].allowed !== false) throw new Error("wrong decisions");
`;

/** Exports `checkMemoryStore`: runs the cases of the store contract on the memory store, and returns how many there are. */
export const conformance = `
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock, storeCases } from "tollgate/testing";
export async function checkMemoryStore() {
  for (const { name, run } of storeCases) {
    const clock = fakeClock();
    const store = memoryStore({ clock });
    try {
      await run({ store, advance: clock.advance });
    } catch (error) {
      throw new Error("the memory store fails the case: it " + name, { cause: error });
    } finally {
      await store.close();
    }
  }
  return storeCases.length;
}
`;

/** Runs them, and prints how many there are. */
export const cases = `
import { checkMemoryStore } from "./conformance.js";
console.log(await checkMemoryStore());
`;

/** Runs them in a Worker. */
export const conformanceWorker = `
import { checkMemoryStore } from "./conformance.js";
export default {
  fetch: () => checkMemoryStore().then(String, ({ stack, cause }) => stack + "\\n" + cause?.stack).then((text) => new Response(text)),
};
`;

/** Starts the command's service, makes a decision through it, reads its metrics, and simulates its policy. */
export const service = `
import { spawn } from "node:child_process";
const args = ["node_modules/tollgate/bin/tollgate.js", "serve", "--port", "0", "--store", "memory:"];
const server = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
let log = "";
setTimeout(() => { throw new Error("the service does not start: " + log); }, 20_000).unref();
for await (const chunk of server.stdout.setEncoding("utf8")) {
  log += chunk;
  const url = /http:\\/\\/127\\.0\\.0\\.1:\\d+/.exec(log)?.[0];
  if (url === undefined) continue;
  const headers = { "content-type": "application/json" };
  const answer = await fetch(url + "/v1/consume", { method: "POST", headers, body: '{"call":{"tool":"x","session":"s","turn":"t","user":"u"}}' });
  const { allowed } = await answer.json();
  const metrics = await (await fetch(url + "/metrics")).text();
  const { source } = await (await fetch(url + "/v1/policy")).json();
  const simulated = await fetch(url + "/v1/policy/simulate", { method: "POST", headers, body: JSON.stringify({ source }) });
  server.kill("SIGKILL");
  if (allowed !== true || !metrics.includes("tollgate_")) throw new Error("wrong answers: " + answer.status + " and " + metrics);
  if (simulated.status !== 200) throw new Error("no simulation: " + (await simulated.text()));
  break;
}
`;

/** What a project that builds declaration files writes: they can name each type that they need. */
export const typed = `
import { createLimiter, definePolicy, type Limiter } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { memoryStore } from "tollgate/stores/memory";
const input = { version: 1, limits: [{ name: "a", per: ["session", "workspace"], quota: 5 }] } as const;
export const policy = definePolicy(input);
export const inline = createLimiter({ policy: input, store: memoryStore() }).for({ workspace: "w" });
export const fromText = createLimiter({ policy: parsePolicy(""), store: memoryStore() }).for({ workspace: "w" });
export class Service {
  constructor(readonly limiter: Limiter<typeof policy>) {}
  of = (workspace: string) => this.limiter.for({ workspace });
}
export const calls = [inline.consume({ tool: "x", session: "s" }), fromText.consume({ tool: "x", region: "eu" })];
`;

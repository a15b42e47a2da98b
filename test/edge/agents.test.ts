// The agents of docs/cloudflare.md with Cloudflare's own packages, in real workerd. These are no devDependencies: with Babel and
// rolldown they are 86 packages of 80 MB, and an experiment whose names change. TOLLGATE_AGENTS names a folder that has them:
// npm install agents@0.32.0 @cloudflare/ai-chat@0.12.2 ai@7 zod@4

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Plugin } from "esbuild";
import { ROOT } from "../sources.ts";
import { startWorker } from "./workerd.ts";

const folder = process.env.TOLLGATE_AGENTS;
const QUOTA = 5;

const page = readFileSync(`${ROOT}docs/cloudflare.md`, "utf8");
const [, section = ""] = page.split("\n## Inside an agent\n");
const [chat, harness] = [...section.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);

/** Node's modules, by the names that some of the packages still call them. */
const BUILTINS = /^(path|async_hooks|util|events|stream|buffer|crypto)$/;

/** The examples of the page, with Cloudflare's packages where the folder has them. */
const agents: Plugin = {
  name: "agents",
  setup({ onResolve, onLoad, initialOptions }) {
    initialOptions.nodePaths = [`${folder}/node_modules`];
    onResolve({ filter: /^\.\/page\.js$/ }, () => ({ path: "page", namespace: "page" }));
    onResolve({ filter: /^(chat|harness)$/, namespace: "page" }, ({ path }) => ({ path, namespace: "page" }));
    onResolve({ filter: /^\.\/model\.js$/, namespace: "page" }, () => ({ path: `${ROOT}test/edge/agents-worker.js` }));
    onLoad({ filter: /.*/, namespace: "page" }, ({ path }) => {
      const all = 'export * from "chat"; export * from "harness";';
      const contents = { page: all, chat, harness }[path] ?? "";
      return { contents, resolveDir: `${ROOT}test/edge` };
    });
    onResolve({ filter: BUILTINS }, ({ path }) => ({ path, namespace: "builtin" }));
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => {
      return { contents: `export * from "node:${path}"; export { default } from "node:${path}";` };
    });
  },
};

const options = { skip: folder === undefined ? "TOLLGATE_AGENTS names no folder with Cloudflare's agents" : false };

describe("agents of Cloudflare with limits in their own object", options, async () => {
  if (folder === undefined) return;
  const worker = await startWorker({
    file: "agents-worker.js",
    plugins: [agents],
    objects: {
      TestAssistant: { className: "TestAssistant", useSQLite: true },
      TestResearcher: { className: "TestResearcher", useSQLite: true },
    },
  });
  const on = <Answer>(agent: string, method: string, ...args: unknown[]) =>
    worker.ask<Answer>("", { agent, method, args });

  it("AIChatAgent runs no tool past the quota of a turn, also when it was evicted", async () => {
    assert.equal(await on("TestAssistant", "ask", "Find it."), QUOTA);
    await assert.rejects(on("TestAssistant", "evict"), /evicted/);
    assert.equal(await on("TestAssistant", "ask", "Find more."), QUOTA);
  });

  it("ThinkHarness charges a tool once that runs again after an eviction, and none past the quota", async () => {
    const operationId = await on<string>("TestResearcher", "begin", "q2");
    interface State {
      readonly status: string;
      readonly ran: readonly string[];
      readonly used: readonly number[];
      readonly messages: string;
    }
    const stateOf = () => on<State>("TestResearcher", "state", operationId).catch(() => null);
    let state = await stateOf();
    for (let tries = 0; state?.status !== "done" && tries < 100; tries++) {
      await sleep(100);
      state = await stateOf();
    }
    assert.equal(state?.status, "done");
    assert.deepEqual(state.ran, ["q0", "q1", "q2", "q2", "q3", "q4"]);
    assert.deepEqual(state.used, [QUOTA]);
    assert.match(state.messages, /Limit reached \(tool-per-turn\)/);
  });
});

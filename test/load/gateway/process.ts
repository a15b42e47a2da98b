// A gateway over HTTP as a process that says what it holds: its memory without garbage, and what it has open.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { sqliteStore } from "tollgate/stores/sqlite";
import { answerParent } from "../../../bench/children.ts";
import { collectGarbage } from "../../../bench/garbage.ts";
import { temporaryFolder } from "../../../bench/servers.ts";
import { startHttp } from "../../../src/gateway/gateway.ts";
import { createRegistry } from "../../../src/gateway/registry.ts";
import { createHostedLimiter } from "../../../src/limiter.ts";
import { configOf, serverOf } from "../../gateway/http-gateway.ts";

export type Question = "url" | "look" | "close";

export interface Look {
  readonly heapBytes: number;
  /** Sockets, timers and the like that keep the process alive. */
  readonly open: readonly string[];
}

const SESSION = { "mcp-session-id": "one" };
const upstream = createServer(async (request, response) => {
  if (request.method !== "POST") return void response.writeHead(204).end();
  const { id, method } = (await json(request)) as { readonly id: unknown; readonly method: string };
  const headers = { "content-type": "application/json", ...(method === "initialize" ? SESSION : {}) };
  response.writeHead(200, headers).end(JSON.stringify({ jsonrpc: "2.0", id, result: { content: [] } }));
});
await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));

const limits = [
  { name: "calls", per: ["session"], quota: 1_000_000 },
  { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 100 },
] as const;
const servers = [serverOf("one", `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/mcp`)];
// A store in memory would remember each settled call for an hour.
const store = sqliteStore(join(temporaryFolder().path, "state.db"));
const limiter = createHostedLimiter({ policy: { version: 1, limits }, store });
const log = { warn: console.error, error: console.error };
const running = await startHttp(configOf(servers), limiter, createRegistry(servers), log);

answerParent<Question, Look | string>(async (question) => {
  if (question === "url") return `${running.url}/mcp`;
  if (question === "close") {
    await running.close();
    await limiter.close();
    upstream.close();
    upstream.closeAllConnections();
  }
  // What was closed has gone by the next turn of the loop.
  await new Promise((resolve) => setTimeout(resolve, 50));
  collectGarbage();
  return { heapBytes: process.memoryUsage().heapUsed, open: process.getActiveResourcesInfo() };
});

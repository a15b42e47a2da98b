// A process of the gateway's benchmark: an MCP server that answers at once, or a gateway before one. It answers with its URL.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { Redis } from "ioredis";
import type { PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import type { Source } from "../../src/gateway/config/config.ts";
import { startHttp } from "../../src/gateway/gateway.ts";
import { createRegistry } from "../../src/gateway/registry.ts";
import { createHostedLimiter } from "../../src/limiter.ts";
import { configOf, serverOf } from "../../test/gateway/http-gateway.ts";
import { answerParent } from "../children.ts";
import { temporaryFolder } from "../servers.ts";

const policy: PolicyInput = {
  version: 1,
  limits: [
    { name: "tool-per-session", per: ["session", "tool"], quota: 1_000_000_000 },
    { name: "user-rate", per: ["user"], algorithm: "token-bucket", quota: 600_000_000, window: "1m" },
    { name: "at-once", per: ["user"], algorithm: "concurrency", quota: 1_000 },
  ],
};

async function serve(): Promise<string> {
  const server = createServer(async (request, response) => {
    const { id } = (await json(request)) as { readonly id: unknown };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text: "found" }] } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
}

function storeOf(kind: string, redisPort: string): Store {
  if (kind === "memory") return memoryStore();
  if (kind === "Redis") return redisStore(new Redis(Number(redisPort)));
  return sqliteStore(join(temporaryFolder().path, "state.db"));
}

async function limit(kind: string, upstream: string, redisPort: string): Promise<string> {
  const limiter = createHostedLimiter({ policy, store: storeOf(kind, redisPort) });
  const server = serverOf("server", upstream, { maxInFlight: 1_000 });
  const identity = new Map<string, Source>([
    ["user", { value: "ada" }],
    ["session", { header: "x-session" }],
  ]);
  const config = configOf([server], { calls: { identity } });
  const log = { warn: console.error, error: console.error };
  const { url } = await startHttp(config, limiter, createRegistry([server]), log);
  return `${url}/mcp`;
}

const [role = "", upstream = "", redisPort = ""] = process.argv.slice(2);
const url = role === "server" ? await serve() : await limit(role, upstream, redisPort);
answerParent(() => url);

// One of the processes of mcp-server.test.ts: an MCP server over HTTP whose only tool leaves marks. Whose request it is
// says the bearer of its token.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ReadableStream } from "node:stream/web";
import type { AuthInfo } from "@modelcontextprotocol/sdk/server/auth/types.js";
import { McpServer as McpServer1 } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { createMcpHandler, McpServer as McpServer2 } from "@modelcontextprotocol/server";
import { Redis } from "ioredis";
import { createLimiter } from "tollgate";
import { mcpServerGuard } from "tollgate/adapters/mcp-server";
import { redisStore } from "tollgate/stores/redis";
import { z } from "zod";
import { mark, QUOTA } from "./agents.ts";

/** What a process is told. */
export interface ServerOrder {
  readonly url: string;
  readonly marks: string;
  readonly version: 1 | 2;
}

const INFO = { name: "bookings", version: "1.0.0" };

process.on("message", ({ url, marks, version }: ServerOrder) => {
  const limiter = createLimiter({
    policy: {
      version: 1,
      limits: [{ name: "tool-per-user", per: ["user", "tool"], quota: QUOTA, resetAfterIdle: "1h" }],
    },
    store: redisStore(new Redis(url, { autoResendUnfulfilledCommands: false })),
    failover: { deadlineMs: 10_000 },
  });
  const search = () => {
    mark(marks);
    return { content: [{ type: "text" as const, text: "a hit" }] };
  };

  async function serve1(request: IncomingMessage & { auth?: AuthInfo }, response: ServerResponse) {
    const server = new McpServer1(INFO);
    mcpServerGuard(limiter)(server);
    server.registerTool("search", { inputSchema: { query: z.string() } }, search);
    const transport = new StreamableHTTPServerTransport({});
    // Its types are not made for exactOptionalPropertyTypes.
    await server.connect(transport as Parameters<typeof server.connect>[0]);
    request.auth = authOf(request);
    await transport.handleRequest(request, response);
  }

  const handler = createMcpHandler(() => {
    const server = new McpServer2(INFO);
    server.registerTool("search", { inputSchema: z.object({ query: z.string() }) }, search);
    mcpServerGuard(limiter)(server);
    return server;
  });

  async function serve2(request: IncomingMessage, response: ServerResponse) {
    const body = request.method === "POST" ? await text(request) : null;
    const headers = new Headers(request.headers as Record<string, string>);
    const asked = new Request(`http://127.0.0.1${request.url}`, { method: request.method ?? "GET", headers, body });
    const answer = await handler.fetch(asked, { authInfo: authOf(request) });
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    if (answer.body === null) response.end();
    else Readable.fromWeb(answer.body as ReadableStream).pipe(response);
  }

  const http = createServer(version === 1 ? serve1 : serve2);
  http.listen(0, "127.0.0.1", () => process.send?.((http.address() as AddressInfo).port));
});
process.on("disconnect", () => process.exit());
process.send?.("ready");

function authOf({ headers }: IncomingMessage): AuthInfo {
  const token = headers.authorization?.slice("Bearer ".length) ?? "";
  return { token, clientId: "an-app", scopes: [], extra: { userId: token } };
}

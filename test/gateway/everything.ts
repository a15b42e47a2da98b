// A server over HTTP made with the official SDK, of both revisions at one address: with sessions and resumable streams for clients
// that open with `initialize`, and without them for the others.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { ReadableStream } from "node:stream/web";
import {
  acceptedContent,
  createMcpHandler,
  type EventStore,
  inputRequired,
  isLegacyRequest,
  type JSONRPCMessage,
  McpServer,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import { z } from "zod";

/** A request as the server got it. */
export interface SeenRequest {
  readonly method: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface Everything {
  readonly url: string;
  readonly seen: SeenRequest[];
  /** What its tools did: `echo a`, `hang ended`. */
  readonly runs: string[];
  /** Sessions that have begun. */
  readonly sessions: number;
  /** Says to every client that its tools have changed. */
  changeTools(): void;
  close(): void;
}

const ANSWER = z.object({ word: z.string() });

export async function everything(): Promise<Everything> {
  const seen: SeenRequest[] = [];
  const runs: string[] = [];
  const legacy = new Map<string, { transport: WebStandardStreamableHTTPServerTransport; server: McpServer }>();
  const modern = createMcpHandler(() => toolsOf(runs), { legacy: "reject" });

  async function fetchLegacy(request: Request): Promise<Response> {
    const id = request.headers.get("mcp-session-id");
    const known = id === null ? undefined : legacy.get(id);
    if (known !== undefined) return known.transport.handleRequest(request);
    const server = toolsOf(runs);
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      eventStore: eventStore(),
      retryInterval: 1,
      onsessioninitialized: (sessionId) => void legacy.set(sessionId, { transport, server }),
    });
    await server.connect(transport);
    return transport.handleRequest(request);
  }

  async function answer(request: IncomingMessage, response: ServerResponse) {
    const { method = "GET", headers } = request;
    const body = await buffer(request);
    seen.push({ method, headers, body: String(body) });
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    const asked = new Request(`http://${headers.host}${request.url}`, {
      method,
      headers: new Headers(headers as Record<string, string>),
      body: method === "POST" ? body : null,
      signal: gone.signal,
    });
    const answered = (await isLegacyRequest(asked)) ? await fetchLegacy(asked) : await modern.fetch(asked);
    response.writeHead(answered.status, Object.fromEntries(answered.headers));
    response.flushHeaders();
    if (answered.body === null) response.end();
    else
      Readable.fromWeb(answered.body as ReadableStream)
        .on("error", () => response.destroy())
        .pipe(response);
    const readable = answered.body;
    response.on("close", () => void readable?.cancel().catch(() => {}));
  }

  const http = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp?key=planted-in-url`,
    seen,
    runs,
    get sessions() {
      return legacy.size;
    },
    changeTools() {
      modern.notify.toolsChanged();
      for (const { server } of legacy.values()) server.sendToolListChanged();
    },
    close() {
      http.close();
      http.closeAllConnections();
    },
  };
}

function toolsOf(runs: string[]): McpServer {
  const server = new McpServer(
    { name: "everything", version: "1.0.0" },
    { capabilities: { tools: { listChanged: true } } },
  );
  const text = (said: string) => ({ content: [{ type: "text" as const, text: said }] });
  server.registerTool(
    "echo",
    { description: "Says it again.", inputSchema: z.object({ word: z.string() }), outputSchema: ANSWER },
    ({ word }) => {
      runs.push(`echo ${word}`);
      return { ...text(word), structuredContent: { word } };
    },
  );
  server.registerTool("steps", { inputSchema: z.object({ n: z.number() }) }, async ({ n }, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken ?? "none";
    for (let progress = 1; progress <= n; progress++) {
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: n } });
    }
    return text(`steps ${n}`);
  });
  server.registerTool("hang", { inputSchema: z.object({}) }, async (_, { mcpReq }) => {
    runs.push("hang began");
    await mcpReq.notify({ method: "notifications/progress", params: { progressToken: "h", progress: 1 } });
    await new Promise((resolve) => mcpReq.signal.addEventListener("abort", resolve));
    runs.push("hang ended");
    return text("late");
  });
  server.registerTool("ask", { inputSchema: z.object({}) }, (_, { mcpReq }) => {
    const given = acceptedContent(mcpReq.inputResponses, "word", ANSWER);
    if (given !== undefined) {
      runs.push(`ask ${given.word}`);
      return text(given.word);
    }
    const params = { message: "Which word?", requestedSchema: ANSWER };
    return inputRequired({ inputRequests: { word: inputRequired.elicit(params) }, requestState: "own" });
  });
  server.registerTool("sample", { inputSchema: z.object({}) }, (_, { mcpReq }) => {
    const { say } = (mcpReq.inputResponses ?? {}) as { say?: { content?: { text?: string } } };
    if (say !== undefined) return text(String(say.content?.text));
    const messages = [{ role: "user" as const, content: { type: "text" as const, text: "A word, please." } }];
    return inputRequired({ inputRequests: { say: inputRequired.createMessage({ messages, maxTokens: 10 }) } });
  });
  server.registerTool("drop", { inputSchema: z.object({}) }, async (_, { mcpReq, http }) => {
    await mcpReq.notify({ method: "notifications/progress", params: { progressToken: "d", progress: 1 } });
    http?.closeSSE?.();
    runs.push("drop");
    return text("resumed");
  });
  return server;
}

/** Keeps the events of one session. */
function eventStore(): EventStore {
  const events: { stream: string; message: JSONRPCMessage }[] = [];
  return {
    async storeEvent(stream, message) {
      return String(events.push({ stream, message }));
    },
    async replayEventsAfter(last, { send }) {
      const after = Number(last);
      const stream = events[after - 1]?.stream ?? "";
      for (const [i, event] of events.entries()) {
        if (i >= after && event.stream === stream) await send(String(i + 1), event.message);
      }
      return stream;
    },
  };
}

// A gateway over HTTP inside the test's process, servers that it stands before, and clients of it.

import assert from "node:assert/strict";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { TestContext } from "node:test";
import {
  Client as Client2,
  type ClientOptions,
  StreamableHTTPClientTransport as Http2,
} from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Http1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import type { HttpConfig, ServerConfig } from "../../src/gateway/config/config.ts";
import { startHttp } from "../../src/gateway/gateway.ts";
import { createRegistry } from "../../src/gateway/registry.ts";
import { createHostedLimiter } from "../../src/limiter.ts";
import { SECRETS } from "./calls-fixture.ts";

/** All calls count, and cost nothing that matters. */
export const OPEN_POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "calls", per: [], quota: 1_000_000 },
    { name: "at-once", per: [], algorithm: "concurrency", quota: 1_000, hold: { lease: "1m" } },
  ],
};

export interface GatewayOptions extends Partial<Omit<HttpConfig, "servers" | "calls">> {
  readonly calls?: Partial<HttpConfig["calls"]>;
  readonly policy?: PolicyInput;
  readonly store?: Store;
  readonly drainMs?: number;
  readonly maxBodiesBytes?: number;
  readonly listMs?: number;
}

export function serverOf(name: string, url: string, more: Partial<ServerConfig> = {}): ServerConfig {
  const bounds = { maxInFlight: 256, connectMs: 10_000 };
  return { name, url: new URL(url), credentials: "forward", ...bounds, ...more };
}

export function configOf(servers: readonly ServerConfig[], options: GatewayOptions = {}): HttpConfig {
  const { calls, policy: _, store: __, drainMs: ___, maxBodiesBytes: ____, listMs: _____, ...more } = options;
  return {
    host: "127.0.0.1",
    port: 0,
    tls: null,
    hosts: [],
    origins: [],
    publicUrl: null,
    auth: null,
    servers,
    calls: { identity: new Map(), notices: "meta", maxWaitMs: 0, secrets: SECRETS, ...calls },
    maxRequestBytes: 4 * 1_048_576,
    maxMessageBytes: 32 * 1_048_576,
    ...more,
  };
}

/** A gateway before one server, or before several of given names. */
export async function httpGateway(
  t: TestContext,
  servers: string | readonly ServerConfig[],
  options: GatewayOptions = {},
) {
  const all = typeof servers === "string" ? [serverOf("one", servers)] : servers;
  const store = options.store ?? memoryStore();
  const limiter = createHostedLimiter({ policy: options.policy ?? OPEN_POLICY, store, failover: false });
  const registry = createRegistry(all);
  const logged: string[] = [];
  const log = (fields: object, message: string) => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const running = await startHttp(configOf(all, options), limiter, registry, { warn: log, error: log }, options);
  t.after(async () => {
    await running.close();
    await limiter.close();
  });
  /** What was used of each limit that is for all calls. */
  const used = async () => {
    const usages = await limiter.usage({});
    return Object.fromEntries(usages.map((usage) => [usage.limit, usage.used]));
  };
  const origin = running.url ?? "";
  return { ...running, origin, url: `${origin}/mcp`, limiter, registry, logged, used };
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => unknown;

/** A server without an SDK. */
export async function rawServer(t: TestContext, handler: Handler) {
  const seen: { method: string; headers: IncomingMessage["headers"]; body: string }[] = [];
  const server = createServer(async (request, response) => {
    const body = String(await buffer(request).catch(() => ""));
    seen.push({ method: request.method ?? "", headers: request.headers, body });
    await handler(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, seen };
}

/** Answers each request as JSON. */
export function json(result: unknown, headers: Record<string, string> = {}): Handler {
  return (_, response, body) => {
    const { id } = JSON.parse(body || "{}");
    response.writeHead(200, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
  readonly body: {
    readonly id?: unknown;
    readonly result?: Record<string, unknown>;
    readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
  };
}

/** One request as it is written, also with a `Host` that `fetch` would not send. */
export function ask(
  url: string,
  body: string | null,
  headers: Record<string, string | string[]> = {},
  method = body === null ? "GET" : "POST",
): Promise<RawAnswer> {
  const own = body === null ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const accept = "application/json, text/event-stream";
    const asked = request(url, { method, headers: { accept, ...own, ...headers }, agent: false }, async (answer) => {
      const text = String(await buffer(answer).catch(() => ""));
      const isJson = answer.headers["content-type"]?.startsWith("application/json") && text !== "";
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text, body: isJson ? JSON.parse(text) : {} });
    });
    asked.on("error", reject);
    asked.end(body ?? undefined);
  });
}

export const toolCall = (id: number | string, name = "echo", args = '{"word":"a"}', more = "") =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}","arguments":${args}${more}}}`;

const VERSION = "2026-07-28";
const KEY = "io.modelcontextprotocol";
/** A call of the modern revision with its headers. */
export function modernCall(id: number | string, name = "echo", args = '{"word":"a"}', more = "") {
  const meta = `"_meta":{"${KEY}/protocolVersion":"${VERSION}","${KEY}/clientInfo":{"name":"t","version":"1"},"${KEY}/clientCapabilities":{"elicitation":{}}}`;
  const headers = { "mcp-protocol-version": VERSION, "mcp-method": "tools/call", "mcp-name": name };
  return { body: toolCall(id, name, args, `,${meta}${more}`), headers };
}

const INITIALIZE = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`;

/** Begins a session without an SDK. Returns the header that names it. */
export async function openSession(url: string, headers: Record<string, string> = {}) {
  const { status, headers: answered, text } = await ask(url, INITIALIZE, headers);
  const token = answered["mcp-session-id"];
  assert.ok(status === 200 && typeof token === "string", text);
  return { "mcp-session-id": token };
}

const INFO = { name: "test", version: "1.0.0" };

/** A client of the official SDK in version 1, which opens with `initialize`. */
export async function legacyClient(t: TestContext, url: string, headers: Record<string, string> = {}) {
  const client = new Client1(INFO, { capabilities: { elicitation: {}, sampling: {} } });
  const transport = new Http1(new URL(url), {
    requestInit: { headers },
    reconnectionOptions: {
      initialReconnectionDelay: 1,
      maxReconnectionDelay: 5,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 2,
    },
  });
  await client.connect(transport as Parameters<Client1["connect"]>[0]);
  t.after(() => client.close());
  return Object.assign(client, { http: transport });
}

/** A client of version 2 of the SDK, which speaks the revision without sessions. */
export async function modernClient(t: TestContext, url: string, headers: Record<string, string> = {}) {
  const options: ClientOptions = {
    versionNegotiation: { mode: { pin: VERSION } },
    capabilities: { elicitation: {}, sampling: {} },
  };
  const client = new Client2(INFO, options);
  await client.connect(new Http2(new URL(url), { requestInit: { headers } }));
  t.after(() => client.close());
  return client;
}

/** Waits until something is so; what it waits for comes by itself. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise(setImmediate);
}

// Where the gateway listens: which request is for which server, in which order it is checked, and how it stops.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { isIP, type Socket } from "node:net";
import { inBackground } from "../../clock.ts";
import { MisuseError } from "../../kernel/errors.ts";
import { reasonOf } from "../../kernel/reason.ts";
import type { HttpConfig, HttpOptions, Running } from "../config/config.ts";
import type { Message } from "../contract.ts";
import { MergedAddress } from "../merged/merged.ts";
import { readMessage, TOOLS_CALL } from "../message.ts";
import { errorReply, jsonReply, Refusal, RPC } from "../refusal.ts";
import { type Asking, askedOf, type HttpRoom } from "./asked.ts";
import { callTool } from "./call.ts";
import { Exchange, HttpRefusal, readBody } from "./exchange.ts";
import { answerPreflight, createDoor, type Door } from "./hosts.ts";
import { pass } from "./pass.ts";
import { PROBE_MS, Upstream } from "./upstream.ts";

const HEAD_MS = 10_000;
/** How long a request may take to come, with its body. */
const REQUEST_MS = 30_000;
/** Longer than load balancers keep a connection without a request. */
const IDLE_MS = 65_000;
const MOST_CONNECTIONS = 10_000;
/** Requests that have no whole answer: a connection may send several. */
const MOST_EXCHANGES = 10_000;
/** Bytes of all bodies that are in memory: a body stays until its request is answered. */
const MOST_BODIES_BYTES = 268_435_456;
/** How long requests may go on when the gateway stops. */
const DRAINS_MS = 10_000;
/** How long a server has for an answer that is merged with those of others. */
const LIST_MS = 10_000;

const TOO_MANY = "The gateway has too many requests in flight; try again later.";
const METADATA_PATH = "/.well-known/oauth-protected-resource";
const METHODS = ["GET", "POST", "DELETE"];

/** @throws MisuseError `invalid-option` */
export async function listenHttp(config: HttpConfig, room: HttpRoom, options: HttpOptions): Promise<Running> {
  const gateway = new HttpGateway(config, room, options);
  const server = serverOf(config, (request, response) => void gateway.answer(request, response));
  const port = await listening(server, config);
  const { promise: ended, resolve } = Promise.withResolvers<number>();
  let closing: Promise<void> | undefined;
  return {
    url: `http${config.tls === null ? "" : "s"}://${isIP(config.host) === 6 ? `[${config.host}]` : config.host}:${port}`,
    ended,
    close() {
      closing ??= stop(gateway, server, options.drainMs ?? DRAINS_MS).then(() => resolve(0));
      return closing;
    },
  };
}

class HttpGateway {
  readonly #room: HttpRoom;
  readonly #door: Door;
  readonly #upstreams: ReadonlyMap<string, Upstream>;
  readonly #exchanges = new Set<Exchange>();
  /** `null`: with one server there is nothing to merge. */
  readonly #merged: MergedAddress | null;
  readonly #maxBodiesBytes: number;
  readonly #stopping = new AbortController();
  #bodiesBytes = 0;
  #isStopping = false;
  #idle: (() => void) | null = null;

  constructor(config: HttpConfig, room: HttpRoom, { maxBodiesBytes, listMs = LIST_MS }: HttpOptions) {
    this.#room = room;
    this.#maxBodiesBytes = maxBodiesBytes ?? MOST_BODIES_BYTES;
    this.#door = createDoor(config);
    const upstreams = config.servers.map((server) => new Upstream(server, room.registry, room.log));
    this.#upstreams = new Map(upstreams.map((upstream) => [upstream.config.name, upstream]));
    const merged = { ...room, upstreams: this.#upstreams, listMs, stopping: this.#stopping.signal };
    this.#merged = upstreams.length === 1 ? null : new MergedAddress(merged);
  }

  /** Never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = new Exchange(request, response);
    this.#exchanges.add(exchange);
    try {
      await this.#answer(exchange);
    } catch (error) {
      this.#refuse(exchange, error);
    } finally {
      this.#exchanges.delete(exchange);
      this.#bodiesBytes -= exchange.bodyBytes;
      if (this.#exchanges.size === 0) this.#idle?.();
    }
  }

  /** No request is answered from now on. Resolves when those that are in flight have ended. */
  async drain(): Promise<void> {
    this.#isStopping = true;
    for (const exchange of this.#exchanges) if (exchange.isLasting) exchange.destroy();
    if (this.#exchanges.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  async close(): Promise<void> {
    for (const exchange of this.#exchanges) exchange.destroy();
    this.#stopping.abort();
    for (const upstream of this.#upstreams.values()) upstream.close();
    await this.#room.ledger.close();
  }

  async #answer(exchange: Exchange): Promise<void> {
    const path = (exchange.request.url ?? "").replace(/\?.*$/s, "").replace(/(?<=.)\/$/, "");
    if (this.#isStopping) exchange.closeAfter();
    if (path === "/healthz") return this.#answerHealth(exchange);
    if (this.#isStopping) {
      throw new HttpRefusal(503, RPC.busy, "The gateway is stopping; try again later.");
    }
    if (this.#exchanges.size > MOST_EXCHANGES) {
      throw new HttpRefusal(503, RPC.busy, TOO_MANY);
    }
    this.#door.check(exchange);
    exchange.headers = [...exchange.headers, ...this.#door.headersFor(exchange)];
    if (exchange.request.method === "OPTIONS") return answerPreflight(exchange);
    const { authenticator } = this.#room;
    const { metadata } = authenticator;
    if (metadata !== null && `${path}/`.startsWith(`${METADATA_PATH}/`)) return exchange.reply(metadata);
    const target = this.#targetAt(path);
    const { method = "" } = exchange.request;
    if (!METHODS.includes(method)) throw new HttpRefusal(405, RPC.invalidRequest, `${method} means nothing here.`);
    const principal = await authenticator.check(exchange.request.headers);
    if ("status" in principal) return exchange.reply(principal);
    const message = method === "POST" ? await this.#read(exchange) : null;
    if (target instanceof MergedAddress) await target.answer({ exchange, principal }, message);
    else await ask({ exchange, upstream: target, principal }, message, this.#room);
  }

  async #read(exchange: Exchange): Promise<Message> {
    const { maxRequestBytes } = this.#room.bounds;
    return readMessage(await readBody(exchange, maxRequestBytes, (bytes) => this.#take(exchange, bytes)), "client");
  }

  #take(exchange: Exchange, bytes: number): void {
    exchange.bodyBytes += bytes;
    this.#bodiesBytes += bytes;
    if (this.#bodiesBytes <= this.#maxBodiesBytes) return;
    exchange.closeAfter();
    throw new HttpRefusal(503, RPC.busy, TOO_MANY);
  }

  #targetAt(path: string): Upstream | MergedAddress {
    const [, name] = /^\/mcp\/([^/]+)$/.exec(path) ?? [];
    const [first] = this.#upstreams.values();
    const target = path === "/mcp" ? (this.#merged ?? first) : this.#upstreams.get(name ?? "");
    if (target !== undefined) return target;
    const where = this.#merged === null ? "/mcp" : "/mcp or /mcp/<server>";
    throw new HttpRefusal(404, RPC.invalidRequest, `There is no server at this address; use ${where}.`);
  }

  #answerHealth(exchange: Exchange): void {
    const [text, status] = this.#isStopping ? (["stopping", 503] as const) : (["ok", 200] as const);
    exchange.reply(jsonReply(JSON.stringify({ status: text }), status));
  }

  #refuse(exchange: Exchange, error: unknown): void {
    if (exchange.gone.aborted) return;
    if (error instanceof Refusal) exchange.refuse(error);
    // A server has cut its answer short.
    else if (exchange.hasBegun) exchange.destroy();
    else {
      this.#room.log.error({ error: (error as Error | null)?.name }, "a request could not be answered");
      exchange.reply(errorReply(null, RPC.serverFailed, "The gateway could not answer this request.", 500));
    }
  }
}

async function ask(asking: Asking, message: Message | null, room: HttpRoom): Promise<void> {
  if (message === null) return pass(askedOf(asking, null, room), room);
  const asked = { ...askedOf(asking, message, room), message };
  await (message.method === TOOLS_CALL ? callTool(asked, room) : pass(asked, room));
}

function serverOf({ tls }: HttpConfig, listener: (request: IncomingMessage, response: ServerResponse) => void): Server {
  const bounds = {
    headersTimeout: HEAD_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: IDLE_MS,
    connectionsCheckingInterval: 1_000,
    keepAlive: true,
    keepAliveInitialDelay: PROBE_MS,
  };
  try {
    const server = tls === null ? createServer(bounds, listener) : createTlsServer({ ...bounds, ...tls }, listener);
    server.maxConnections = MOST_CONNECTIONS;
    return server.on("clientError", (error: NodeJS.ErrnoException, socket) => refuseBytes(error, socket as Socket));
  } catch (error) {
    const fault = { path: "listen.tls", expected: "a certificate and its key, in PEM", got: reasonOf(error) };
    throw new MisuseError("invalid-option", fault, { cause: error });
  }
}

/** Resolves with the port. */
function listening(server: Server, { host, port }: HttpConfig): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const fault = { path: "listen.host and port", expected: "an address to listen at", got: reasonOf(error) };
      reject(new MisuseError("invalid-option", fault, { cause: error }));
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

/** Answers bytes that never became a request, and closes the connection. */
function refuseBytes({ code }: NodeJS.ErrnoException, socket: Socket): void {
  if (code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const isLate = code === "ERR_HTTP_REQUEST_TIMEOUT";
  const text = isLate ? `The request took more than ${REQUEST_MS / 1_000} s to come.` : "This is no HTTP request.";
  const { body } = errorReply(null, RPC.invalidRequest, text);
  const head = [
    isLate ? "HTTP/1.1 408 Request Timeout" : "HTTP/1.1 400 Bad Request",
    "content-type: application/json",
    `content-length: ${body.length}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

async function stop(gateway: HttpGateway, server: Server, drainMs: number): Promise<void> {
  const closed = new Promise((resolve) => server.once("close", resolve));
  server.close();
  await Promise.race([gateway.drain(), new Promise<void>((resolve) => inBackground(drainMs, resolve))]);
  await gateway.close();
  server.closeAllConnections();
  await closed;
}

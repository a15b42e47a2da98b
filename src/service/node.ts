// Where the service listens: the only place that opens a port, with bounds for clients that are slow, many or strange.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions as HttpsOptions } from "node:https";
import { isIP, Server as NetServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { getRequestListener } from "@hono/node-server";
import { checkOptionKeys, checkWhole, invalidOption, MisuseError } from "../kernel/errors.ts";
import { reasonOf } from "../kernel/reason.ts";
import { problemResponse, requestId } from "./exchange.ts";
import type { Service } from "./handler.ts";
import { LISTEN_NUMBERS } from "./options.ts";
import type { ProblemCode } from "./problem-table.ts";
import { ProblemError } from "./problems.ts";

/** How a service listens. */
export interface ListenOptions {
  /** Default `127.0.0.1`. Any other than a loopback address wants keys. */
  readonly host?: string | undefined;
  /** 0 for any that is free, to 65,535. Default 8420. */
  readonly port?: number | undefined;
  /** Certificate and key, in PEM. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer } | undefined;
  /** Longest header, 1,000 to 1,000,000 bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number | undefined;
  /** How long a header may take, 100 to 600,000 ms. Default 10,000. */
  readonly headerMs?: number | undefined;
  /** How long a whole request may take to come, 100 to 600,000 ms. Default 30,000. */
  readonly requestMs?: number | undefined;
  /** How long a connection may be idle, 100 to 3,600,000 ms; longer than the load balancer's. Default 75,000. */
  readonly idleMs?: number | undefined;
  /** How long a request under way may be silent, 1,000 to 7,200,000 ms; longer than calls wait. Default 120,000. */
  readonly silentMs?: number | undefined;
  /** Most connections, 1 to 1,000,000. Default 10,000. */
  readonly maxConnections?: number | undefined;
  /** How long it goes on as before when it is closed, but is not ready, 0 to 600,000 ms. Default 0. */
  readonly drainMs?: number | undefined;
}

/** A service that listens. */
export interface Listening {
  readonly url: string;
  readonly port: number;
  /** Stops listening, ends what runs, and closes the service. */
  close(): Promise<void>;
}

/** How long answers that are made may take to be read when it ends. */
const LAST_ANSWERS_MS = 1_000;

/**
 * Listens for requests. It sets the process's global `Request` and `Response` to faster ones, as `@hono/node-server` does.
 *
 * @throws MisuseError `invalid-option`; where others than this machine can reach it and nobody needs a key, that, too
 */
export async function listen(service: Service, options: ListenOptions = {}): Promise<Listening> {
  checkOptionKeys(options, ["host", "port", "tls", ...LISTEN_NUMBERS]);
  const { host = "127.0.0.1", port = 8420, tls, maxHeaderBytes = 16_384, headerMs = 10_000 } = options;
  const { requestMs = 30_000, idleMs = 75_000, silentMs = 120_000, maxConnections = 10_000, drainMs = 0 } = options;
  if (typeof host !== "string" || host === "") throw invalidOption("host", "an address", host);
  checkWhole("port", port, 0, 65_535);
  checkWhole("maxHeaderBytes", maxHeaderBytes, 1_000, 1_000_000);
  checkWhole("headerMs", headerMs, 100, 600_000);
  checkWhole("requestMs", requestMs, 100, 600_000);
  checkWhole("idleMs", idleMs, 100, 3_600_000);
  checkWhole("silentMs", silentMs, 1_000, 7_200_000);
  checkWhole("maxConnections", maxConnections, 1, 1_000_000);
  checkWhole("drainMs", drainMs, 0, 600_000);
  if (service.isOpen && !isLoopback(host)) {
    throw new MisuseError("invalid-option", {
      path: "host",
      expected:
        "127.0.0.1, ::1 or localhost where nobody needs a key; elsewhere make one: tollgate keys create --file keys.json --scope decide, and start with --keys keys.json",
      got: host,
    });
  }
  const bounds = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: Math.min(headerMs, requestMs),
    requestTimeout: requestMs,
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: Math.min(1_000, headerMs),
  };
  const answer = getRequestListener((request) => service.fetch(request), { errorHandler: badRequest });
  const listener = untilLast(service, service.isOpen ? fromThisMachine(answer) : answer);
  const server = tls === undefined ? createServer(bounds, listener) : tlsServer({ ...bounds, ...tls }, listener);
  server.maxConnections = maxConnections;
  // Also of clients that do not read what they asked for.
  server.setTimeout(silentMs);
  server.on("drop", () => service.metrics.rejected("connections"));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => refuse(service, error, socket as Socket));
  const bound = await new Promise<number>((resolve, reject) => {
    server.once("error", (error) => reject(cannotListen(error)));
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
  let closing: Promise<void> | undefined;
  return {
    url: `http${tls === undefined ? "" : "s"}://${isIP(host) === 6 ? `[${host}]` : host}:${bound}`,
    port: bound,
    close() {
      closing ??= close(service, server, drainMs);
      return closing;
    },
  };
}

function tlsServer(options: HttpsOptions, listener: Listener): Server {
  try {
    return createTlsServer(options, listener);
  } catch (error) {
    const fault = { path: "tls", expected: "a certificate and its key, in PEM", got: reasonOf(error) };
    throw new MisuseError("invalid-option", fault, { cause: error });
  }
}

function cannotListen(error: Error): MisuseError {
  const fault = { path: "host and port", expected: "an address to listen at", got: reasonOf(error) };
  return new MisuseError("invalid-option", fault, { cause: error });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => unknown;

/** Where nobody needs a key, a page of another site must not ask in a visitor's name: such requests name another host. */
function fromThisMachine(answer: Listener): Listener {
  return (incoming, outgoing) => {
    const host = incoming.headers.host?.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1") ?? "";
    if (isLoopback(host)) return answer(incoming, outgoing);
    const { problem } = new ProblemError("other-host", "Without keys only this machine's own names are answered.");
    outgoing.writeHead(problem.status, {
      "content-type": "application/problem+json",
      "x-request-id": requestId(String(incoming.headers["x-request-id"] ?? "")),
      connection: "close",
    });
    outgoing.end(JSON.stringify(problem));
  };
}

/** Once the service leaves, each answer is the last of its connection. */
function untilLast(service: Service, answer: Listener): Listener {
  return (incoming, outgoing) => {
    if (service.isLeaving) outgoing.setHeader("connection", "close");
    return answer(incoming, outgoing);
  };
}

/** What was no request that could be answered. */
function badRequest(): Response {
  return problemResponse(new ProblemError("invalid-request", "The target or the host is none."), null);
}

const REFUSALS: Readonly<Record<string, readonly [line: string, code: ProblemCode]>> = {
  HPE_HEADER_OVERFLOW: ["Request Header Fields Too Large", "header-too-large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["Request Timeout", "too-slow"],
};

/** What never became a request. */
function refuse({ metrics }: Service, { code = "" }: NodeJS.ErrnoException, socket: Socket): void {
  if (code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  metrics.rejected("malformed");
  const [line, name] = REFUSALS[code] ?? ["Bad Request", "invalid-request"];
  const { problem } = new ProblemError(name, `${line}.`);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${line}`,
    "content-type: application/problem+json",
    `content-length: ${body.length}`,
    `x-request-id: ${requestId("")}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

async function close(service: Service, server: Server, drainMs: number): Promise<void> {
  service.leave();
  await sleep(drainMs);
  // Takes no more connections. Those that are there are told by their next answer that it is the last, and are not cut off.
  const closed = new Promise((resolve) => server.once("close", resolve));
  NetServer.prototype.close.call(server);
  await service.close();
  server.closeIdleConnections();
  await Promise.race([closed, sleep(LAST_ANSWERS_MS, undefined, { ref: false })]);
  server.closeAllConnections();
}

// Where the service listens: the only place that opens a port, with bounds for clients that are slow, many or strange.

import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer, type ServerOptions as HttpsOptions } from "node:https";
import { isIP, Server as NetServer, type Socket } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { inBackground, sleep } from "../clock.ts";
import { MisuseError } from "../kernel/errors.ts";
import { nonEmpty, type OptionsOf, readOptions, unchecked, whole } from "../kernel/options.ts";
import { reasonOf } from "../kernel/reason.ts";
import { LISTEN_BOUNDS } from "./bounds.ts";
import { problemResponse } from "./exchange.ts";
import type { Service } from "./service.ts";
import type { ProblemCode } from "../http/problem-table.ts";
import { PROBLEM_TYPE, ProblemError } from "./problems.ts";
import { REQUEST_ID_HEADER, requestIdOf } from "./request-ids.ts";

export type { WatchOptions as KeyFileOptions } from "../policy-file/watched-file.ts";
export { auditFile } from "./audit-file.ts";
export { createKey, keyFile, type NewKey, revokeKey } from "./key-file.ts";
export { prometheusMetrics } from "./prometheus.ts";

const OPTIONS = {
  /** The address. Default `127.0.0.1`; any other than a loopback address requires keys. */
  host: nonEmpty("an address", "127.0.0.1"),
  /** The port, 0 to 65,535. Default 8420. 0: any free port. */
  port: whole(0, 65_535, 8_420),
  /** The certificate and its key, in PEM. Default: no TLS. */
  tls: unchecked<{ readonly cert: string | Buffer; readonly key: string | Buffer }>(),
  ...LISTEN_BOUNDS,
};

/** How a service listens. */
export interface ListenOptions extends OptionsOf<typeof OPTIONS> {}

/** A service that listens. */
export interface Listening {
  readonly url: string;
  readonly port: number;
  /** Stops listening, ends what runs, and closes the service. */
  close(): Promise<void>;
}

/** How long clients may take to read their last answers when it closes, ms. */
const LAST_ANSWERS_MS = 1_000;

/**
 * Listens for requests. It sets the process's global `Request` and `Response` to faster ones, as `@hono/node-server` does.
 *
 * @throws MisuseError `invalid-option`; also if other machines can reach it and no key is needed
 */
export async function listen(service: Service, options: ListenOptions = {}): Promise<Listening> {
  const { host, port, tls, drainMs, ...bounds } = readOptions(OPTIONS, options);
  if (service.isKeyless && !isLoopback(host)) {
    throw new MisuseError("invalid-option", {
      path: "host",
      expected:
        "127.0.0.1, ::1 or localhost if no key is needed; otherwise make one: tollgate keys create --file keys.json --scope decide, and start with --keys keys.json",
      got: host,
    });
  }
  const limits = {
    maxHeaderSize: bounds.maxHeaderBytes,
    headersTimeout: Math.min(bounds.headerMs, bounds.requestMs),
    requestTimeout: bounds.requestMs,
    keepAliveTimeout: bounds.idleMs,
    connectionsCheckingInterval: Math.min(1_000, bounds.headerMs),
  };
  const fetch = service.isKeyless ? (request: Request) => fetchHere(service, request) : service.fetch;
  const answer = getRequestListener(fetch, { errorHandler: badRequest });
  const listener: RequestListener = (incoming, outgoing) => {
    // Once the service leaves, each answer is the last of its connection.
    if (service.isLeaving) outgoing.setHeader("connection", "close");
    return answer(incoming, outgoing);
  };
  const server = tls === undefined ? createServer(limits, listener) : tlsServer({ ...limits, ...tls }, listener);
  server.maxConnections = bounds.maxConnections;
  // Clients that do not read their answers are silent, too.
  server.setTimeout(bounds.silentMs);
  server.on("drop", () => service.metrics?.countRejected("connections"));
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

function tlsServer(options: HttpsOptions, listener: RequestListener): Server {
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

/** Answers requests for this machine's own names alone. A page of another site could send others through a visitor's browser. */
function fetchHere(service: Service, request: Request): Promise<Response> | Response {
  const host =
    request.headers
      .get("host")
      ?.replace(/:\d+$/, "")
      .replace(/^\[(.*)\]$/, "$1") ?? "";
  if (isLoopback(host)) return service.fetch(request);
  const detail = "Without keys only this machine's own names are answered.";
  return problemResponse(new ProblemError("other-host", detail, { headers: { connection: "close" } }), request);
}

/** The answer to a request whose URL or `Host` cannot be read. */
function badRequest(): Response {
  return problemResponse(new ProblemError("invalid-request", "The URL or the header Host cannot be read."), null);
}

/** Bytes that are no request, by the code of the parser's error. */
const MALFORMED: Readonly<Record<string, readonly [line: string, code: ProblemCode]>> = {
  HPE_HEADER_OVERFLOW: ["Request Header Fields Too Large", "header-too-large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["Request Timeout", "too-slow"],
};

/** Answers bytes that never became a request, and closes the connection. */
function refuse({ metrics }: Service, { code = "" }: NodeJS.ErrnoException, socket: Socket): void {
  if (code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  metrics?.countRejected("malformed");
  const [line, name] = MALFORMED[code] ?? ["Bad Request", "invalid-request"];
  const { problem } = new ProblemError(name, `${line}.`);
  const body = JSON.stringify(problem);
  const head = [
    `HTTP/1.1 ${problem.status} ${line}`,
    `content-type: ${PROBLEM_TYPE}`,
    `content-length: ${body.length}`,
    `${REQUEST_ID_HEADER}: ${requestIdOf(null)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

async function close(service: Service, server: Server, drainMs: number): Promise<void> {
  service.leave();
  await sleep(drainMs);
  // Takes no more connections. The next answer of an open connection is its last. The `close` of `node:http` would end idle
  // connections at once, while a request may be on its way.
  const closed = new Promise((resolve) => server.once("close", resolve));
  NetServer.prototype.close.call(server);
  await service.close();
  server.closeIdleConnections();
  await Promise.race([closed, new Promise<void>((resolve) => inBackground(LAST_ANSWERS_MS, resolve))]);
  server.closeAllConnections();
}

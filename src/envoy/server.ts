// The gRPC server: its packages, imported when it is to listen, its bounds, and what failures are told as. What a request
// comes to is not known here.

import { readFileSync } from "node:fs";
import type * as Grpc from "@grpc/grpc-js";
import type * as Loader from "@grpc/proto-loader";
import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import type { Response } from "./answer.ts";
import type { Entry } from "./mapping.ts";
import { PROTO, SERVICE } from "./proto.ts";

/** A `RateLimitRequest`. */
export interface Request {
  readonly domain: string;
  readonly descriptors: readonly Descriptor[];
  /** 0 when it was not said. */
  readonly hitsAddend: number;
}

/** A `RateLimitDescriptor`. */
export interface Descriptor {
  readonly entries: readonly Entry[];
  /** Instead of the request's. */
  readonly hitsAddend?: { readonly value: number } | null;
  readonly isNegativeHits?: boolean;
}

/** A request that is refused: nothing was charged. */
export class RefusedRequest extends Error {
  readonly status: "INVALID_ARGUMENT" | "UNIMPLEMENTED";

  constructor(status: RefusedRequest["status"], message: string) {
    super(message);
    this.status = status;
  }
}

/** How a server is bounded. */
export interface ServerBounds {
  readonly maxMessageBytes: number;
  readonly maxConcurrentStreams: number;
}

/** Files of certificates, in PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Whose clients are let in: without it, any. */
  readonly clientCa?: string | undefined;
}

/** A server that listens. */
export interface Listening {
  readonly port: number;
  /** Takes no more requests, waits for those under way, and ends what is left after a time. */
  stop(graceMs: number): Promise<void>;
}

/**
 * Listens.
 *
 * @param host an address that others see, or `127.0.0.1`
 * @throws MisuseError `invalid-option` when the packages are not installed; an Error when the address cannot be bound
 */
export async function listenGrpc(
  host: string,
  port: number,
  tls: TlsFiles | undefined,
  bounds: ServerBounds,
  decide: (request: Request, signal: AbortSignal) => Promise<Response>,
): Promise<Listening> {
  const { grpc, loader } = await loadPackages();
  const server = new grpc.Server({
    "grpc.max_receive_message_length": bounds.maxMessageBytes,
    "grpc.max_concurrent_streams": bounds.maxConcurrentStreams,
  });
  const definition = loader.fromJSON(PROTO as Parameters<typeof loader.fromJSON>[0], {
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  server.addService(definition[SERVICE] as Grpc.ServiceDefinition, {
    ShouldRateLimit(call: Grpc.ServerUnaryCall<Request, Response>, callback: Grpc.sendUnaryData<Response>) {
      const aborts = new AbortController();
      call.on("cancelled", () => aborts.abort());
      if (call.cancelled) return;
      decide(call.request, aborts.signal).then(
        (response) => callback(null, response),
        (error) => callback(statusOf(grpc, error)),
      );
    },
  });
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentialsOf(grpc, tls), (error, found) => (error ? reject(error) : resolve(found)));
  });
  return { port: bound, stop: (graceMs) => stop(server, graceMs) };
}

async function loadPackages(): Promise<{ grpc: typeof Grpc; loader: typeof Loader }> {
  try {
    const [grpc, loader] = await Promise.all([import("@grpc/grpc-js"), import("@grpc/proto-loader")]);
    return { grpc, loader };
  } catch (error) {
    const expected = "the packages @grpc/grpc-js and @grpc/proto-loader: npm install @grpc/grpc-js @grpc/proto-loader";
    const got = error instanceof Error ? error.message : String(error);
    throw new MisuseError("invalid-option", { path: "listen", expected, got });
  }
}

function credentialsOf(grpc: typeof Grpc, tls: TlsFiles | undefined): Grpc.ServerCredentials {
  if (tls === undefined) return grpc.ServerCredentials.createInsecure();
  const { cert, key, clientCa } = tls;
  const ca = clientCa === undefined ? null : readFileSync(clientCa);
  const pair = { cert_chain: readFileSync(cert), private_key: readFileSync(key) };
  return grpc.ServerCredentials.createSsl(ca, [pair], ca !== null);
}

/** What a failure is told as. Envoy then does as its `failure_mode_deny` says. */
function statusOf({ status }: typeof Grpc, error: unknown): { code: Grpc.status; details: string } {
  const details = error instanceof Error ? error.message : String(error);
  if (StoreError.isInstance(error)) return { code: status.UNAVAILABLE, details: `${error.code}: ${details}` };
  if (error instanceof RefusedRequest) return { code: status[error.status], details };
  if (!MisuseError.isInstance(error)) return { code: status.INTERNAL, details: "a fault of the service's own" };
  const code = error.code === "limiter-closed" ? status.UNAVAILABLE : status.FAILED_PRECONDITION;
  return { code, details: `${error.code}: ${details}` };
}

async function stop(server: Grpc.Server, graceMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => resolve());
  });
  clearTimeout(timer);
}

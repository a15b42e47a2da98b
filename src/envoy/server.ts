// The gRPC server: its packages, which are imported when it listens, its bounds, and the status codes of failures.

import { readFileSync } from "node:fs";
import type * as Grpc from "@grpc/grpc-js";
import type * as Loader from "@grpc/proto-loader";
import { isWithin } from "../deadlines.ts";
import { MisuseError } from "../kernel/errors.ts";
import { reasonOf } from "../kernel/reason.ts";
import { StoreError } from "../store/error.ts";
import type { Response } from "./answer.ts";
import type { Entry } from "./mapping.ts";
import { PROTO, SERVICE } from "./proto.ts";

/** A `RateLimitRequest`. */
export interface Request {
  readonly domain: string;
  readonly descriptors: readonly Descriptor[];
  /** 0: the request has none. */
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

/** Files of certificates, in PEM. */
export interface TlsFiles {
  /** Path of the certificate, PEM. */
  readonly cert: string;
  /** Path of its key, PEM. */
  readonly key: string;
  /** The authority of client certificates. Default: clients need none. */
  readonly clientCa?: string | undefined;
}

export interface Listening {
  readonly port: number;
  /** Takes no more requests, waits for those in flight, and ends what is left after a time. */
  stop(graceMs: number): Promise<void>;
}

/** Listens. Throws `invalid-option` without the packages, and an Error when the address cannot be bound. */
export async function listenGrpc(
  host: string,
  port: number,
  tls: TlsFiles | undefined,
  bounds: { readonly maxMessageBytes: number; readonly maxConcurrentStreams: number },
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
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    const expected = "the packages @grpc/grpc-js and @grpc/proto-loader: npm install @grpc/grpc-js @grpc/proto-loader";
    throw new MisuseError("invalid-option", { path: "listen", expected, got: reasonOf(error) });
  }
}

function credentialsOf(grpc: typeof Grpc, tls: TlsFiles | undefined): Grpc.ServerCredentials {
  if (tls === undefined) return grpc.ServerCredentials.createInsecure();
  const { cert, key, clientCa } = tls;
  const ca = clientCa === undefined ? null : readFileSync(clientCa);
  const pair = { cert_chain: readFileSync(cert), private_key: readFileSync(key) };
  return grpc.ServerCredentials.createSsl(ca, [pair], ca !== null);
}

/** The status of a failure. Envoy then does as its `failure_mode_deny` says. */
function statusOf({ status }: typeof Grpc, error: unknown): { code: Grpc.status; details: string } {
  const details = reasonOf(error);
  if (StoreError.isInstance(error)) return { code: status.UNAVAILABLE, details: `${error.code}: ${details}` };
  if (error instanceof RefusedRequest) return { code: status[error.status], details };
  if (!MisuseError.isInstance(error)) return { code: status.INTERNAL, details: "a fault of the service's own" };
  const code = error.code === "limiter-closed" ? status.UNAVAILABLE : status.FAILED_PRECONDITION;
  return { code, details: `${error.code}: ${details}` };
}

async function stop(server: Grpc.Server, graceMs: number): Promise<void> {
  const stopped = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  if (!(await isWithin(graceMs, stopped))) server.forceShutdown();
}

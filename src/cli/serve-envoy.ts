// `tollgate serve --envoy`: Envoy's rate limit service beside the one over HTTP, on the same limiter.

import type { Command } from "commander";
import { sleep } from "../clock.ts";
import { type EnvoyService, envoyService, parseEnvoyMapping } from "../envoy/envoy.ts";
import { invalidOption, MisuseError } from "../kernel/errors.ts";
import { policyOf } from "../limiter.ts";
import type { Service } from "../service/service.ts";
import { addressError } from "./address.ts";
import { asOptions } from "./as-options.ts";
import { checkAuthority, inFile, readInput } from "./files.ts";

export interface EnvoyServeOptions {
  readonly envoy?: string;
  readonly envoyMap?: string;
  readonly envoyClientCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** Envoy's service, where it listens. */
export interface EnvoyListening {
  readonly service: EnvoyService;
  readonly address: string;
}

export function withEnvoyOptions(command: Command): Command {
  return command
    .option("--envoy <host:port>", "answer Envoy's rate limit service there, too, over gRPC")
    .option("--envoy-map <file>", "which of Envoy's descriptors are which calls, in YAML or JSON")
    .option("--envoy-client-ca <file>", "let in only clients of Envoy's with a certificate of this authority, in PEM");
}

/** Listens for Envoy, where that is wanted. With the certificate of the HTTP service it speaks TLS as that does. */
export async function listenForEnvoy({ limiter }: Service, options: EnvoyServeOptions): Promise<EnvoyListening | null> {
  const { envoy, envoyMap, envoyClientCa: clientCa, tlsCert: cert, tlsKey: key } = options;
  if (envoy === undefined && envoyMap === undefined && clientCa === undefined) return null;
  if (envoy === undefined || envoyMap === undefined) {
    throw invalidOption("--envoy and --envoy-map", "both of them, or none", envoy ?? envoyMap ?? clientCa);
  }
  const [, host, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(envoy)?.filter((part) => part !== undefined) ?? [];
  if (host === undefined) throw invalidOption("--envoy", "HOST:PORT, such as 127.0.0.1:8421", envoy);
  const hasTls = cert !== undefined && key !== undefined;
  if (clientCa !== undefined && !hasTls)
    throw invalidOption("--envoy-client-ca", "--tls-cert and --tls-key, too", clientCa);
  if (clientCa !== undefined) checkAuthority(clientCa, "--envoy-client-ca");
  const mapping = parseEnvoyMapping(readInput(envoyMap, "--envoy-map"), envoyMap);
  const policy = policyOf(limiter) ?? undefined;
  const service = inFile(envoyMap, "invalid-option", () => envoyService(limiter, { policy, mapping }));
  const tls = hasTls ? { cert, key, clientCa } : undefined;
  try {
    const bound = await service.listen({ host, port: Number(port), tls });
    return { service, address: `${bound.host}:${bound.port}` };
  } catch (error) {
    if (MisuseError.isInstance(error)) throw asOptions(error, { host: "--envoy", port: "--envoy" });
    throw addressError(error, { host, port: Number(port), hostOption: "--envoy", portOption: "--envoy" }) ?? error;
  }
}

/** Ends it before the limiter is closed, and not before load balancers have had time to see that the service leaves. */
export async function leaveEnvoy(service: Service, envoy: EnvoyListening, drainMs = 0): Promise<void> {
  service.leave();
  await sleep(drainMs);
  await envoy.service.close();
}

// A gateway over HTTP as a file describes it: what reads the file, starts the gateway, and says its addresses.

import { dirname, resolve } from "node:path";
import { identityWarnings } from "../gateway/config/against-policy.ts";
import type { AuthConfig, GatewayLog, Registry, Running } from "../gateway/config/config.ts";
import { type ReadGateway, readGateway } from "../gateway/config/file.ts";
import type { CallLimiter } from "../gateway/contract.ts";
import { startHttp } from "../gateway/gateway.ts";
import { createRegistry } from "../gateway/registry.ts";
import { MisuseError, withFaults } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { callerOf } from "../service/auth.ts";
import { keyFile } from "../service/key-file.ts";
import { ProblemError } from "../service/problems.ts";
import { addressError } from "./address.ts";
import { readInput } from "./files.ts";

type FindKey = Extract<AuthConfig, { kind: "keys" }>["find"];

/** A gateway that can be started. */
export interface GatewayFile {
  readonly registry: Registry;
  /** What is worth knowing at the start, as sentences. */
  readonly warnings: readonly string[];
  start(limiter: CallLimiter): Promise<Running>;
  /** Where clients reach it, a line for each server. */
  addresses(running: Running): string[];
}

/**
 * @param option by which the file is named
 * @param sharers whose calls share what is not established
 * @throws MisuseError `invalid-option`
 */
export function openGatewayFile(
  file: string,
  option: string,
  { policy, sharers, log }: { readonly policy: CompiledPolicy; readonly sharers: string; readonly log: GatewayLog },
): GatewayFile {
  const pathOf = (path: string) => resolve(dirname(file), path);
  const openKeys = (path: string) => keysIn(path, log);
  const gateway = readGateway(readInput(file, option), file, { policy, env: process.env, pathOf, openKeys });
  const { config, warnings } = gateway;
  const registry = createRegistry(config.servers);
  const hint = (dimension: string) => `say identity.${dimension} in ${file}`;
  const about = { whose: sharers, hasSessions: true, hint };
  return {
    registry,
    warnings: [...warnings, ...identityWarnings(config.calls.identity, policy, about)],
    start: (limiter) => started(gateway, limiter, registry, log),
    addresses({ url }) {
      const base = config.publicUrl === null ? String(url) : config.publicUrl.href.replace(/\/$/, "");
      const [only, ...others] = config.servers;
      if (only !== undefined && others.length === 0) return [`${only.name} at ${base}/mcp`];
      const each = config.servers.map(({ name }) => `${name} at ${base}/mcp/${name}`);
      return [`all servers at ${base}/mcp`, ...each];
    },
  };
}

async function started(
  { config, placed }: ReadGateway,
  limiter: CallLimiter,
  registry: Registry,
  log: GatewayLog,
): Promise<Running> {
  const { host, port } = config;
  try {
    return await placed(async () => startHttp(config, limiter, registry, log));
  } catch (error) {
    throw addressError(error, { host, port, hostOption: "listen.host", portOption: "listen.port" }) ?? error;
  }
}

/** Finds the keys that may decide. */
function keysIn(path: string, log: GatewayLog): FindKey {
  try {
    const keys = keyFile(path, {
      onError: (error) => log.error({ problem: String(error) }, "the key file is wrong"),
    });
    return (authorization) => {
      try {
        const { keyId, tenants } = callerOf(keys, authorization, "decide");
        return keyId === null ? null : { id: keyId, tenants };
      } catch (error) {
        if (error instanceof ProblemError) return null;
        throw error;
      }
    };
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    throw withFaults(error, (fault) => ({ ...fault, path: "auth.keys" }));
  }
}

// `tollgate mcp --config FILE`: the gateway over HTTP, in front of the servers that a file names.

import { dirname, resolve } from "node:path";
import { sleep } from "../clock.ts";
import { identityWarnings } from "../gateway/config/against-policy.ts";
import type { AuthConfig, HttpConfig, Running } from "../gateway/config/config.ts";
import { type ReadGateway, readGateway } from "../gateway/config/file.ts";
import type { CallLimiter } from "../gateway/contract.ts";
import { startHttp } from "../gateway/gateway.ts";
import { createRegistry } from "../gateway/registry.ts";
import { MisuseError, withFaults } from "../kernel/errors.ts";
import { callerOf } from "../service/auth.ts";
import { keyFile } from "../service/key-file.ts";
import { ProblemError } from "../service/problems.ts";
import { addressError } from "./address.ts";
import { policyIn } from "./defaults.ts";
import { readInput } from "./files.ts";
import { CLOSES_MS, nextSignal, openMcpLimiter, sharersOf, stderrLog } from "./mcp-limiter.ts";
import type { McpOptions } from "./mcp-options.ts";

type FindKey = Extract<AuthConfig, { kind: "keys" }>["find"];

export async function mcpHttp(file: string, options: McpOptions): Promise<void> {
  const policy = policyIn(options.policy);
  const pathOf = (path: string) => resolve(dirname(file), path);
  const context = { policy, env: process.env, pathOf, openKeys };
  const gateway = readGateway(readInput(file, "--config"), file, context);
  const { config, warnings } = gateway;
  const ending = nextSignal();
  const { limiter, label, close } = await openMcpLimiter(options, policy);
  try {
    const running = await started(gateway, limiter);
    console.log(addressLines(String(running.url), config));
    const hint = (dimension: string) => `say identity.${dimension} in ${file}`;
    const { identity } = config.calls;
    const told = [...warnings, ...identityWarnings(identity, policy, sharersOf(options), hint)];
    for (const text of [`calls of these servers are limited ${label}`, ...told]) stderrLog.info({}, text);
    await ending;
    await running.close();
  } finally {
    // A silent store must not keep this process.
    await Promise.race([close().catch(() => {}), sleep(CLOSES_MS)]);
  }
  process.exit(0);
}

async function started({ config, placed }: ReadGateway, limiter: CallLimiter): Promise<Running> {
  const { host, port, servers } = config;
  try {
    return await placed(async () => startHttp(config, limiter, createRegistry(servers), stderrLog));
  } catch (error) {
    throw addressError(error, { host, port, hostOption: "listen.host", portOption: "listen.port" }) ?? error;
  }
}

/** All at once: a program that waits for the first line gets the others with it. */
function addressLines(url: string, { servers, publicUrl }: HttpConfig): string {
  const base = publicUrl === null ? url : publicUrl.href.replace(/\/$/, "");
  const [only, ...others] = servers;
  if (only !== undefined && others.length === 0) return `tollgate: MCP clients reach ${only.name} at ${base}/mcp`;
  return servers.map(({ name }) => `tollgate: MCP clients reach ${name} at ${base}/mcp/${name}`).join("\n");
}

/** Finds the keys that may decide. */
function openKeys(path: string): FindKey {
  try {
    const keys = keyFile(path, {
      onError: (error) => stderrLog.error({ problem: String(error) }, "the key file is wrong"),
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

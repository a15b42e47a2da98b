// `tollgate mcp --config FILE`: the gateway over HTTP, in front of the servers that a file names.

import { sleep } from "../clock.ts";
import { policyIn } from "./defaults.ts";
import { openGatewayFile } from "./gateway-file.ts";
import { CLOSES_MS, nextSignal, openMcpLimiter, sharersOf, stderrLog } from "./mcp-limiter.ts";
import type { McpOptions } from "./mcp-options.ts";

export async function mcpHttp(file: string, options: McpOptions): Promise<void> {
  const policy = policyIn(options.policy);
  const gateway = openGatewayFile(file, "--config", { policy, sharers: sharersOf(options), log: stderrLog });
  const ending = nextSignal();
  const { limiter, label, close } = await openMcpLimiter(options, policy);
  try {
    const running = await gateway.start(limiter);
    // All at once: a program that waits for the first line gets the others with it.
    const lines = gateway.addresses(running).map((address) => `tollgate: MCP clients reach ${address}`);
    console.log(lines.join("\n"));
    for (const text of [`calls of these servers are limited ${label}`, ...gateway.warnings]) stderrLog.info({}, text);
    await ending;
    await running.close();
  } finally {
    // A silent store must not keep this process.
    await Promise.race([close().catch(() => {}), sleep(CLOSES_MS)]);
  }
  process.exit(0);
}

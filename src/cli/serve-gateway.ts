// `tollgate serve --gateway`: an MCP gateway beside the service, on the same limiter, log and console.

import type { Command } from "commander";
import type { Running } from "../gateway/config/config.ts";
import { withSharedWords } from "../gateway/identity/shared-words.ts";
import { askedBy, type HostedLimiter } from "../limiter.ts";
import type { Logger } from "../service/logger.ts";
import type { Service } from "../service/service.ts";
import { policyIn, withEnvironment } from "./defaults.ts";
import { type DenialLines, withDenialLines } from "./denial-lines.ts";
import { type GatewayFile, openGatewayFile } from "./gateway-file.ts";

export interface GatewayOptions {
  readonly gateway?: string;
  readonly policy: string;
}

/** A gateway that runs, and what is printed of it. */
export interface GatewayServing {
  readonly running: Running;
  readonly addresses: readonly string[];
}

const SHARERS = "all clients without a session of their own";

export function withGatewayOption(command: Command): Command {
  const about = "limit the calls of the MCP servers that this file names, too, and listen for their clients";
  return command.addOption(withEnvironment("--gateway <file>", about, "GATEWAY"));
}

/** @throws MisuseError `invalid-option` */
export function gatewayOf({ gateway, policy }: GatewayOptions, log: Logger): GatewayFile | null {
  if (gateway === undefined) return null;
  return openGatewayFile(gateway, "--gateway", { policy: policyIn(policy), sharers: SHARERS, log });
}

export async function startGateway(
  gateway: GatewayFile | null,
  { limiter }: Service,
  log: Logger,
): Promise<GatewayServing | null> {
  if (gateway === null) return null;
  for (const text of gateway.warnings) log.warn({}, text);
  // That of a service decides in this process.
  const own = askedBy(limiter, "mcp") as HostedLimiter;
  const running = await gateway.start(withDenialLines(withSharedWords(own, SHARERS), linesIn(log)));
  return { running, addresses: gateway.addresses(running) };
}

/** The log of a service has no value of a call: the decision log has them, by the id. */
function linesIn(log: Logger): DenialLines {
  return {
    one: (_, { deniedBy, id }) => log.info({ limit: deniedBy, decision: id }, "a call of an MCP tool was denied"),
    others: (calls) => log.info({ calls }, "more calls of MCP tools were denied in this second"),
  };
}

// What both forms of `tollgate mcp` need: a limiter on a store or of a service, and what is said to people on stderr. Standard output
// is the client's.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { callsOf } from "../client/calls.ts";
import { createRemoteLimiter } from "../client.ts";
import type { GatewayLog } from "../gateway/config/config.ts";
import type { CallLimiter } from "../gateway/contract.ts";
import { withSharedWords } from "../gateway/identity/shared-words.ts";
import { formatGot } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { createHostedLimiter } from "../limiter.ts";
import { amount } from "../kernel/words.ts";
import { watchPolicy } from "../policy-file/watch.ts";
import { logEvent } from "../service/event-log.ts";
import type { Logger } from "../service/logger.ts";
import { GATEWAY_PRESET } from "./defaults.ts";
import { type DenialLines, withDenialLines } from "./denial-lines.ts";
import { openLog } from "./log-url.ts";
import type { McpOptions } from "./mcp-options.ts";
import { gatewayStorePath } from "./state-folder.ts";
import { openLastingStore, storeLabel } from "./store-url.ts";

/** How long the store may take to close. */
export const CLOSES_MS = 1_500;
/** How long a service may take to decide a call. */
const DECIDES_MS = 5_000;

/** Standard output is the client's. */
export const stderrLog: GatewayLog & Logger = {
  debug() {},
  info: say,
  warn: say,
  error: say,
  isLevelEnabled: (level) => level !== "debug",
};

const STDERR_LINES: DenialLines = {
  one: (tool, { deniedBy, detail }) => say({}, `denied a call of ${formatGot(tool)} (${deniedBy}): ${detail}`),
  others: (count) => say({}, `denied ${amount(count, "more calls")} in this second`),
};

function say(fields: object, message: string): void {
  const more = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  console.error(`tollgate: ${message}${more}`);
}

/** A limiter for the calls of one client. */
export interface McpLimiter {
  readonly limiter: CallLimiter;
  /** What decides, as the end of a sentence: "calls of this server are limited …". */
  readonly label: string;
  close(): Promise<void>;
}

/** Whose calls share what is not established. */
export function sharersOf({ store, url, config }: McpOptions): string {
  if (config !== undefined) return "all clients without a session of their own";
  return store === undefined && url === undefined
    ? "all MCP clients of this user on this machine"
    : "all MCP clients with these limits";
}

export async function openMcpLimiter(options: McpOptions, policy: CompiledPolicy | null): Promise<McpLimiter> {
  const opened = policy === null ? ofService(String(options.url)) : await onStore(options, policy);
  const limiter = withSharedWords(opened.limiter, sharersOf(options));
  return { ...opened, limiter: withDenialLines(limiter, STDERR_LINES) };
}

function ofService(url: string): McpLimiter {
  const remote = createRemoteLimiter({ url, deadlineMs: DECIDES_MS, apiKey: process.env.TOLLGATE_API_KEY });
  const limiter = callsOf(remote);
  return {
    limiter,
    label: `by the service at ${storeLabel(url)}`,
    close: () => limiter.close({ withinMs: CLOSES_MS }),
  };
}

async function onStore(options: McpOptions, policy: CompiledPolicy): Promise<McpLimiter> {
  const url = options.store ?? defaultStore();
  const { store, close: closeStore } = await openLastingStore(url);
  try {
    const log = await openLog(options.log ?? "none", true);
    const limiter = createHostedLimiter({
      policy,
      store,
      prefix: options.prefix,
      onEvent: (event) => logEvent(stderrLog, event),
      ...(log === null ? {} : { log }),
    }).via("mcp");
    // What is wrong with the file is an event of the limiter.
    const watch = options.policy === GATEWAY_PRESET ? null : watchPolicy(options.policy, limiter, { onError() {} });
    const limits = options.policy === GATEWAY_PRESET ? "the preset for MCP servers" : options.policy;
    return {
      limiter,
      label: `by ${limits}; their counts are in ${storeLabel(url)}`,
      close() {
        watch?.close();
        return limiter.close({ withinMs: CLOSES_MS }).finally(closeStore);
      },
    };
  } catch (error) {
    await closeStore();
    throw error;
  }
}

function defaultStore(): string {
  const path = gatewayStorePath();
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  return `sqlite:${path}`;
}

export function nextSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
}

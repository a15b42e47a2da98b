// `tollgate mcp`: an MCP server behind limits. The gateway itself is in gateway/; here are its policy, its store and its end.

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { sleep } from "../clock.ts";
import type { GatewayLog, Source, StdioConfig } from "../gateway/config/config.ts";
import { startStdio } from "../gateway/gateway.ts";
import { randomId } from "../ids.ts";
import { invalidOption } from "../kernel/errors.ts";
import { createHostedLimiter } from "../limiter.ts";
import { LOCAL_POLICY, policyIn, withEnvironment, withStoreFile } from "./defaults.ts";
import { withPrefixOption } from "./input.ts";
import { installCommand, uninstallCommand } from "./mcp-install/install.ts";
import { stateFolder } from "./state-folder.ts";
import { ALL_URLS, openLastingStore, storeLabel } from "./store-url.ts";

interface McpOptions {
  readonly policy: string;
  readonly store?: string;
  readonly prefix: string;
  readonly user?: string;
  readonly tenant?: string;
  readonly session?: string;
  readonly sessionPerProcess?: boolean;
}

/** The policy where nothing names one. */
const PRESET = fileURLToPath(new URL("presets/mcp.yaml", import.meta.url));
/** The longest line of a client or a server. */
const MOST_MESSAGE_BYTES = 32 * 1_048_576;
/** How long the store may take to close. */
const CLOSES_MS = 1_500;

export function mcpCommand(): Command {
  const command = new Command("mcp").description(
    "run an MCP server behind limits: put it in front of the server's command in a client's configuration",
  );
  const policy = withEnvironment("--policy <file>", "the policy, in YAML or JSON", "POLICY");
  const isLocal = existsSync(LOCAL_POLICY);
  command.addOption(policy.default(isLocal ? LOCAL_POLICY : PRESET, `${LOCAL_POLICY} in this folder, else a preset`));
  const store = `where the state lives: ${ALL_URLS}; without, a SQLite file in the user's folder for state`;
  withStoreFile(command.addOption(withEnvironment("--store <url>", store, "STORE")), "STORE_FILE");
  return withPrefixOption(command)
    .option("--user <value>", "the user of all calls; without, the user of the operating system")
    .option("--tenant <value>", "the tenant of all calls")
    .option("--session <value>", "the session of all calls; without, all processes share one")
    .option("--session-per-process", "a session for each start, so that a restart brings a new budget")
    .argument("<command...>", "the command of the server, after --")
    .usage("[options] -- <command...>")
    .enablePositionalOptions()
    .addCommand(installCommand())
    .addCommand(uninstallCommand())
    .action(mcp);
}

async function mcp(server: readonly [string, ...string[]], options: McpOptions): Promise<void> {
  const config = configOf(server, options);
  const policy = policyIn(options.policy);
  const ending = nextSignal();
  const url = options.store ?? defaultStore();
  const { store, close: closeStore } = await openLastingStore(url);
  const limiter = createHostedLimiter({ policy, store, prefix: options.prefix });
  const close = () => limiter.close({ withinMs: CLOSES_MS }).finally(closeStore);
  try {
    const running = await startStdio(config, limiter, stderrLog);
    const limits = options.policy === PRESET ? "the preset for MCP servers" : options.policy;
    console.error(`tollgate: calls of this server are limited by ${limits}; their counts are in ${storeLabel(url)}`);
    void ending.then(() => running.close());
    const code = await running.ended;
    // A silent store must not keep this process.
    await Promise.race([close().catch(() => {}), sleep(CLOSES_MS)]);
    process.exit(code);
  } catch (error) {
    await close();
    throw error;
  }
}

function configOf(command: readonly [string, ...string[]], options: McpOptions): StdioConfig {
  return {
    command,
    env: environmentOf(process.env),
    calls: {
      identity: identityOf(options),
      notices: "meta",
      maxWaitMs: 0,
      // Its calls end with this process.
      secrets: [{ id: "process", secret: randomBytes(32) }],
    },
    maxMessageBytes: MOST_MESSAGE_BYTES,
  };
}

/** Without what is for Tollgate: a store's password and a key are nothing for the server of a tool. */
function environmentOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const others = Object.entries(env).filter(([name]) => !name.toUpperCase().startsWith("TOLLGATE_"));
  return Object.fromEntries(others) as Record<string, string>;
}

function identityOf({ user, tenant, session, sessionPerProcess }: McpOptions): ReadonlyMap<string, Source> {
  if (session !== undefined && sessionPerProcess) {
    throw invalidOption("--session and --session-per-process", "one of them", "both");
  }
  const values = { user: user ?? userInfo().username, tenant, session: sessionPerProcess ? randomId() : session };
  return new Map(
    Object.entries(values).flatMap(([dimension, value]) => (value === undefined ? [] : [[dimension, { value }]])),
  );
}

function defaultStore(): string {
  const folder = stateFolder();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return `sqlite:${join(folder, "mcp.db")}`;
}

/** Standard output is the client's. */
const stderrLog: GatewayLog = { warn: say, error: say };

function say(fields: Readonly<Record<string, unknown>>, message: string): void {
  const more = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  console.error(`tollgate: ${message}${more}`);
}

function nextSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
}

// `tollgate mcp`: an MCP server behind limits. The gateway itself is in gateway/; here is how it is started, and its end.

import { existsSync } from "node:fs";
import { Command } from "commander";
import { sleep } from "../clock.ts";
import { identityWarnings } from "../gateway/config/against-policy.ts";
import { startStdio } from "../gateway/gateway.ts";
import { invalidOption } from "../kernel/errors.ts";
import { LOCAL_POLICY, withEnvironment, withStoreFile } from "./defaults.ts";
import { chooseService, withPrefixOption } from "./input.ts";
import { installCommand, uninstallCommand } from "./mcp-install/install.ts";
import { mcpHttp } from "./mcp-http.ts";
import { CLOSES_MS, nextSignal, openMcpLimiter, policyOfOptions, PRESET, sharersOf, stderrLog } from "./mcp-limiter.ts";
import { callsOfOptions, type McpOptions, OF_CALLS, withMcpOptions } from "./mcp-options.ts";
import { ALL_URLS } from "./store-url.ts";

/** The longest line of a client or a server. */
const MOST_MESSAGE_BYTES = 32 * 1_048_576;

export function mcpCommand(): Command {
  const command = new Command("mcp").description(
    "run an MCP server behind limits: put it in front of the server's command in a client's configuration",
  );
  const policy = withEnvironment(
    "--policy <file>",
    "the policy, in YAML or JSON; read again when it changes",
    "POLICY",
  );
  const isLocal = existsSync(LOCAL_POLICY);
  command.addOption(policy.default(isLocal ? LOCAL_POLICY : PRESET, `${LOCAL_POLICY} in this folder, else a preset`));
  const store = `where the state lives: ${ALL_URLS}; without, a SQLite file in the user's folder for state`;
  withStoreFile(command.addOption(withEnvironment("--store <url>", store, "STORE")), "STORE_FILE");
  return withMcpOptions(withPrefixOption(command))
    .hook("preAction", (_, action) => {
      const isOverHttp = action.getOptionValue("config") !== undefined;
      // Over HTTP a service is refused, unless a flag names a store.
      if (action === command && (!isOverHttp || action.getOptionValueSource("store") === "cli")) chooseService(action);
    })
    .argument("[command...]", "the command of the server, after --")
    .option(
      "--config <file>",
      "without a command: the servers at addresses that the gateway stands before, and where it listens",
    )
    .usage("[options] -- <command...> | --config <file>")
    .enablePositionalOptions()
    .addCommand(installCommand())
    .addCommand(uninstallCommand())
    .action(mcp);
}

async function mcp(server: readonly string[], options: McpOptions, command: Command): Promise<void> {
  const [program, ...args] = server;
  if (options.config !== undefined) {
    checkBesideFile(server, command);
    return mcpHttp(options.config, options);
  }
  if (program === undefined)
    throw invalidOption("-- COMMAND", "the command of an MCP server, or --config FILE", undefined);
  if (options.url !== undefined && command.getOptionValueSource("log") === "cli") {
    throw invalidOption("--log", "nothing beside --url: the service has its own", options.log);
  }
  const policy = policyOfOptions(options);
  const calls = callsOfOptions(options, policy);
  const ending = nextSignal();
  const { limiter, label, close } = await openMcpLimiter(options, policy);
  try {
    const config = {
      command: [program, ...args] as const,
      env: environmentOf(process.env),
      calls,
      maxMessageBytes: MOST_MESSAGE_BYTES,
    };
    const running = await startStdio(config, limiter, stderrLog);
    stderrLog.info({}, `calls of this server are limited ${label}`);
    if (policy !== null) {
      const about = { whose: sharersOf(options), hasSessions: false, hint: optionFor };
      for (const warning of identityWarnings(calls.identity, policy, about)) stderrLog.warn({}, warning);
    }
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

/** Refuses what the file says. */
function checkBesideFile(server: readonly string[], command: Command): void {
  if (server.length > 0) throw invalidOption("-- COMMAND and --config", "one of them", "both");
  const isService = command.getOptionValue("url") !== undefined;
  const given = isService ? "url" : OF_CALLS.find((name) => command.getOptionValueSource(name) === "cli");
  if (given === undefined) return;
  const option = command.options.find((each) => each.attributeName() === given)?.long;
  const expected = given === "url" ? "a store beside --config" : "nothing beside --config: the file says it";
  throw invalidOption(String(option), expected, command.getOptionValue(given));
}

/** How to give a dimension, as the end of a sentence. */
function optionFor(dimension: string): string {
  if (dimension === "session") return "give each start a session with --session-per-process";
  return dimension === "turn" ? "say --turn-meta FIELD" : `say --dimension ${dimension}=VALUE`;
}

/** Without what is for Tollgate: a store's password and a key are nothing for the server of a tool. */
function environmentOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const others = Object.entries(env).filter(([name]) => !name.toUpperCase().startsWith("TOLLGATE_"));
  return Object.fromEntries(others) as Record<string, string>;
}

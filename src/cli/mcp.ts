// `tollgate mcp`: an MCP server behind limits. The gateway itself is in gateway/; here is how it is started, and its end.

import { Command } from "commander";
import { sleep } from "../clock.ts";
import { identityWarnings } from "../gateway/config/against-policy.ts";
import { startStdio } from "../gateway/gateway.ts";
import { invalidOption, MisuseError } from "../kernel/errors.ts";
import { chooseService } from "./input.ts";
import { installCommand, uninstallCommand } from "./mcp-install/install.ts";
import { mcpHttp } from "./mcp-http.ts";
import { CLOSES_MS, nextSignal, openMcpLimiter, sharersOf, stderrLog } from "./mcp-limiter.ts";
import { callsOfOptions, type McpOptions, OF_CALLS, policyOfOptions, withMcpOptions } from "./mcp-options.ts";

/** The longest line of a client or a server. */
const MOST_MESSAGE_BYTES = 32 * 1_048_576;

export function mcpCommand(): Command {
  const command = new Command("mcp").description(
    "run an MCP server behind limits: put it in front of the server's command in a client's configuration",
  );
  return withMcpOptions(command)
    .hook("preAction", (_, action) => {
      const isOverHttp = action.getOptionValue("config") !== undefined;
      // Over HTTP a service is refused, unless a flag names a store.
      if (!isOverHttp || action.getOptionValueSource("store") === "cli") chooseService(action);
      if (action !== command) refuseBefore(command, action);
    })
    .argument("[command...]", "the command of the server, after --")
    .option("--config <file>", "instead of a command: a gateway over HTTP, for the servers that this file names")
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
  const policy = policyOfOptions(options, command);
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

/** Refuses options before the name of a command inside this one: it would not have them. */
function refuseBefore(command: Command, inner: Command): void {
  const early = command.options.find((option) => command.getOptionValueSource(option.attributeName()) === "cli");
  if (early === undefined) return;
  throw new MisuseError("invalid-option", {
    path: String(early.long),
    expected: `a place after ${inner.name()}`,
    got: "one before it",
  });
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

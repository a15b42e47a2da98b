// The command line: which subcommands there are. Each does its work in its own file.

import { readFileSync } from "node:fs";
import { Command } from "commander";
import { checkCommand } from "./check.ts";
import { demoCommand } from "./demo.ts";
import { doctorCommand } from "./doctor.ts";
import { checkVariables, withSources } from "./environment.ts";
import { EXIT, EXIT_MEANINGS, exitCodeOf, messageOf } from "./exit.ts";
import { explainCommand } from "./explain.ts";
import { grantCommand } from "./grant.ts";
import { initCommand } from "./init.ts";
import { keysCommand } from "./keys.ts";
import { mcpCommand } from "./mcp.ts";
import { nearCommand } from "./near.ts";
import { policyCommand } from "./policy.ts";
import { replayCommand } from "./replay.ts";
import { resetCommand } from "./reset.ts";
import { revokeCommand } from "./revoke.ts";
import { serveCommand } from "./serve.ts";
import { sessionsCommand } from "./sessions.ts";
import { simulateCommand } from "./simulate.ts";
import { tailCommand } from "./tail.ts";
import { testCommand } from "./test.ts";
import { topCommand } from "./top.ts";
import { usageCommand } from "./usage.ts";
import { serveWorker } from "./worker.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

const EXIT_CODES = `
Exit codes:
${Object.entries(EXIT_MEANINGS)
  .map(([kind, meaning]) => `  ${String(EXIT[kind as keyof typeof EXIT]).padEnd(2)}  ${meaning}`)
  .join("\n")}`;

const program = new Command("tollgate")
  .description("Rate limits and budgets for the tool calls of AI agents, across every instance and every restart.")
  .version(version)
  .addHelpText("after", EXIT_CODES)
  .showHelpAfterError("(--help shows what there is)")
  // An option after the name of an inner command is that command's, also where both have it.
  .enablePositionalOptions()
  // Commander ends with 1 for wrong arguments, which is a finding here.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? EXIT.fine : EXIT.misuse));

const commands = [
  demoCommand,
  initCommand,
  serveCommand,
  keysCommand,
  mcpCommand,
  replayCommand,
  simulateCommand,
  checkCommand,
  testCommand,
  policyCommand,
  tailCommand,
  explainCommand,
  topCommand,
  nearCommand,
  sessionsCommand,
  usageCommand,
  resetCommand,
  grantCommand,
  revokeCommand,
  doctorCommand,
];
for (const make of commands) {
  program.addCommand(withSettings(make(), program));
}
program.command("worker", { hidden: true }).action(serveWorker);

/** A command, and those inside it, with what is set for all. */
function withSettings(command: Command, parent: Command): Command {
  for (const inner of command.copyInheritedSettings(parent).commands) withSettings(inner, command);
  return command;
}

let running: Command | undefined;
program.hook("preAction", (_, action) => {
  running = action;
  // A worker has the environment of its parent, which was checked.
  if (action.name() !== "worker") checkVariables(program, action);
});

/** Says what ended the command, and sets the exit code. */
function report(error: unknown): void {
  process.exitCode = exitCodeOf(error);
  console.error(withSources(messageOf(error), running));
}

process.on("uncaughtException", (error) => {
  report(error);
  process.exit();
});
try {
  await program.parseAsync();
} catch (error) {
  // What is still open, such as output to a pipe, ends by itself.
  report(error);
}

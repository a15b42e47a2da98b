// What is typed in a terminal: every command with its arguments and options, the environment variables, and the exit codes.

import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { Command } from "commander";
import { EXIT } from "../../src/cli/exit.ts";
import { ROOT, sources } from "../sources.ts";
import { assertAgreed } from "./snapshot.ts";

/** The commands that `main.ts` puts together; it cannot be imported, because it runs. */
async function commands(): Promise<Command[]> {
  const main = readFileSync(`${ROOT}src/cli/main.ts`, "utf8");
  const imports = [...main.matchAll(/import \{ (\w+Command) \} from "(\.\/[\w-]+\.ts)"/g)];
  return Promise.all(
    imports.map(async ([, name = "", path = ""]) => {
      const file: Record<string, () => Command> = await import(new URL(path, `file://${ROOT}src/cli/`).href);
      return (file[name] as () => Command)();
    }),
  );
}

function linesOf(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`;
  const shown = [
    name,
    ...command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`)),
  ];
  const options = command.options.map(({ flags, envVar }) => `  ${flags}${envVar === undefined ? "" : `  ${envVar}`}`);
  const own = [shown.join(" "), ...options.toSorted()];
  // A command of commands does nothing by itself.
  return command.commands.length === 0 ? own : command.commands.flatMap((inner) => linesOf(inner, name));
}

function environment(all: readonly Command[]): string[] {
  const ofOptions = (command: Command): string[] => [
    ...command.options.flatMap(({ envVar }) => envVar ?? []),
    ...command.commands.flatMap(ofOptions),
  ];
  const read = sources("src/**/*.ts").flatMap(({ text }) => {
    return [...text.matchAll(/process\.env\.(TOLLGATE_\w+)/g)].map(([, name = ""]) => name);
  });
  return [...new Set([...all.flatMap(ofOptions), ...read])].toSorted();
}

describe("the command line", () => {
  it("is the one that was agreed on", async () => {
    const all = await commands();
    assertAgreed("cli", {
      Commands: all.flatMap((command) => linesOf(command, "tollgate")),
      Environment: environment(all),
      "Exit codes": Object.entries(EXIT).map(([name, code]) => `${code} ${name}`),
    });
  });
});

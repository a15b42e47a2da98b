// The page of all commands, made from the commands themselves.

import { readFileSync } from "node:fs";
import type { Argument, Command, Option } from "commander";
import { EXIT } from "../../src/cli/exit.ts";
import { ROOT } from "../../test/sources.ts";
import { code, headOf, table } from "./table.ts";

const ABOUT = `Every command with its arguments and options, as \`--help\` shows them. [Commands](../cli.md) explains what they do, with
examples, and has the exit codes. Every command also has \`--help\`, and \`tollgate --version\` prints the version.`;

/** The commands that `main.ts` puts together; it cannot be imported, because it runs. */
export async function commands(): Promise<Command[]> {
  const main = readFileSync(`${ROOT}src/cli/main.ts`, "utf8");
  const imports = [...main.matchAll(/import \{ (\w+Command) \} from "(\.\/[\w-]+\.ts)"/g)];
  return Promise.all(
    imports.map(async ([, name = "", path = ""]) => {
      const file: Record<string, () => Command> = await import(new URL(path, `file://${ROOT}src/cli/`).href);
      return (file[name] as () => Command)();
    }),
  );
}

/** The commands that do something, each with its whole name, such as `keys create`. */
export function runnable(command: Command, parent = ""): { readonly name: string; readonly command: Command }[] {
  const name = `${parent}${command.name()}`;
  if (command.commands.length === 0) return [{ name, command }];
  return command.commands.flatMap((inner) => runnable(inner, `${name} `));
}

/** docs/reference/commands.md. */
export async function commandsPage(): Promise<string> {
  const all = (await commands()).flatMap((command) => runnable(command));
  const exits = Object.entries(EXIT).map(([name, number]) => [String(number), name]);
  return [
    headOf("Commands: reference", ABOUT),
    ...all.map(({ name, command }) => sectionOf(name, command)),
    `## Exit codes\n\n${table(["code", "name"], exits)}`,
  ].join("\n");
}

function sectionOf(name: string, command: Command): string {
  const usage = ["tollgate", name, ...command.registeredArguments.map(shownArgument), "[options]"].join(" ");
  const rows = [
    ...command.registeredArguments.map((each) => [code([each.name()]), each.description, "", ""]),
    ...command.options.filter(({ hidden }) => !hidden).map(rowOf),
  ];
  return `## ${name}\n\n\`${usage}\`: ${command.description()}.\n\n${table(["option", "what it is", "default", "variable"], rows)}`;
}

function shownArgument(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function rowOf(option: Option): string[] {
  const { flags, description, defaultValue, defaultValueDescription, envVar, argChoices, mandatory } = option;
  const choices = argChoices === undefined ? "" : `: ${code(argChoices)}`;
  const byDefault = defaultValueDescription ?? (isShown(defaultValue) ? String(defaultValue) : "");
  const what = `${description}${choices}${mandatory ? ". Required" : ""}`;
  return [code([flags]), what, byDefault, envVar === undefined ? "" : code([envVar])];
}

/** Whether a default says more than that there is none. */
function isShown(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}

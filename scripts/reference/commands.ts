// The page of all commands, made from the commands themselves.

import { readFileSync } from "node:fs";
import type { Argument, Command, Option } from "commander";
import { ALL_URLS, SHARED_URLS } from "../../src/cli/store-url.ts";
import { ROOT } from "../../test/sources.ts";
import { code, headOf, table } from "./table.ts";

const ABOUT = `Every command with its arguments and options, as \`--help\` shows them. [The command line](../cli.md) explains what
they do, with examples, and has the exit codes. Every command also has \`--help\`, and \`tollgate --version\` prints the version. The
ranges of what \`serve --set\` takes are in [Options](options.md#servicebounds).

A store's URL is ${SHARED_URLS}.`;

/** The commands whose buckets are named alike. Their common options are in a section of their own. */
const ON_BUCKETS = ["grant", "reset", "revoke", "usage"];
const COMMON = "Options of grant, reset, revoke and usage";

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
  const inside = command.commands.flatMap((inner) => runnable(inner, `${name} `));
  // One that takes arguments does something itself.
  return inside.length === 0 || command.registeredArguments.length > 0 ? [{ name, command }, ...inside] : inside;
}

/** docs/reference/commands.md. */
export async function commandsPage(): Promise<string> {
  const all = (await commands()).flatMap((command) => runnable(command));
  const onBuckets = all
    .filter(({ name }) => ON_BUCKETS.includes(name))
    .map(({ command }) => optionRows(command).map(String));
  const isCommon = (row: readonly string[]) => onBuckets.every((rows) => rows.includes(String(row)));
  const common = optionRows(all.find(({ name }) => name === ON_BUCKETS[0])?.command as Command).filter(isCommon);
  return [
    headOf("Commands: reference", ABOUT),
    ...all.map(({ name, command }) => {
      return sectionOf(name, command, ON_BUCKETS.includes(name) ? isCommon : () => false);
    }),
    `## ${COMMON}\n\n${table(HEADS, common)}`,
  ].join("\n");
}

const HEADS = ["option", "what it is", "default", "variable"];

function sectionOf(name: string, command: Command, isElsewhere: (row: readonly string[]) => boolean): string {
  const usage = ["tollgate", name, ...command.registeredArguments.map(shownArgument), "[options]"].join(" ");
  const rows = [
    ...command.registeredArguments.map((each) => [code([each.name()]), each.description, "", ""]),
    ...optionRows(command),
  ];
  const own = rows.filter((row) => !isElsewhere(row));
  const anchor = COMMON.toLowerCase().replaceAll(",", "").replaceAll(" ", "-");
  const more = own.length === rows.length ? "" : ` It has the [common options](#${anchor}).`;
  const options = own.length === 0 ? "" : `\n${table(HEADS, own)}`;
  return `## ${name}\n\n\`${usage}\`: ${command.description()}.${more}\n${options}`;
}

function optionRows(command: Command): string[][] {
  return command.options.filter(({ hidden }) => !hidden).map(rowOf);
}

function shownArgument(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function rowOf(option: Option): string[] {
  const { flags, description, defaultValue, defaultValueDescription, envVar, argChoices, mandatory } = option;
  const choices = argChoices === undefined ? "" : `: ${code(argChoices)}`;
  const byDefault = defaultValueDescription ?? (isShown(defaultValue) ? String(defaultValue) : "");
  const about = description.replace(ALL_URLS, `a store's URL, or memory:`).replace(SHARED_URLS, "a store's URL");
  const what = `${about}${choices}${mandatory ? ". Required" : ""}`;
  return [code([flags]), what, byDefault, envVar === undefined ? "" : code([envVar])];
}

/** Whether a default says more than that there is none. */
function isShown(value: unknown): boolean {
  return value !== undefined && value !== false && !(Array.isArray(value) && value.length === 0);
}

// What is typed in a terminal: every command with its arguments and options, the environment variables, and the exit codes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { Command } from "commander";
import { commands } from "../../scripts/reference/commands.ts";
import { EXIT, EXIT_MEANINGS } from "../../src/cli/exit.ts";
import { ROOT, sources } from "../sources.ts";
import { assertAgreed } from "./snapshot.ts";

function linesOf(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`;
  const shown = [
    name,
    ...command.registeredArguments.map((each) => (each.required ? `<${each.name()}>` : `[${each.name()}]`)),
  ];
  const options = command.options.map(({ flags, envVar }) => `  ${flags}${envVar === undefined ? "" : `  ${envVar}`}`);
  const own = [shown.join(" "), ...options.toSorted()];
  const inside = command.commands.flatMap((inner) => linesOf(inner, name));
  // A command of commands does nothing by itself, unless it takes arguments.
  return inside.length === 0 || command.registeredArguments.length > 0 ? [...own, ...inside] : inside;
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
  it("is as agreed", async () => {
    const all = await commands();
    assertAgreed("cli", {
      Commands: all.flatMap((command) => linesOf(command, "tollgate")),
      Environment: environment(all),
      "Exit codes": Object.entries(EXIT).map(([name, code]) => `${code} ${name}`),
    });
  });

  it("has the exit codes that docs/cli.md explains, with the same meanings", () => {
    const page = readFileSync(`${ROOT}docs/cli.md`, "utf8");
    const table = page.slice(page.indexOf("## Exit codes"), page.indexOf("## Stores by URL"));
    const rows = [...table.matchAll(/^\| (\d+) +\| (.+?) +\|$/gm)].map(([, code, meaning]) => [Number(code), meaning]);
    const known = Object.entries(EXIT_MEANINGS).map(([kind, meaning]) => [EXIT[kind as keyof typeof EXIT], meaning]);
    assert.deepEqual(rows, known);
  });
});

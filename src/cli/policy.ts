// `tollgate policy upgrade`: policy files in the words of today.

import { writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import { formatFault, MisuseError } from "../kernel/errors.ts";
import { amount } from "../kernel/words.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { type PolicyChange, upgradePolicy } from "../policy-file/upgrade.ts";
import { LOCAL_POLICY } from "./defaults.ts";
import { EXIT, CommandError } from "./exit.ts";
import { readInput, writing } from "./files.ts";

interface UpgradeOptions {
  readonly write?: boolean;
  readonly check?: boolean;
}

export function policyCommand(): Command {
  const command = new Command("policy").description("work on policy files");
  command
    .command("upgrade")
    .description("rewrite policies that use old words; comments, order and quotes stay")
    .argument("[files...]", `policies in YAML or JSON; default: ${LOCAL_POLICY} in this folder`)
    .option("--write", "change the files. Without it the new text is printed")
    .addOption(new Option("--check", "print what would change, and exit with 1 if anything would").conflicts("write"))
    .action(upgrade);
  return command;
}

function upgrade(named: readonly string[], { write = false, check = false }: UpgradeOptions): void {
  const files = named.length === 0 ? [LOCAL_POLICY] : named;
  if (files.length > 1 && !write && !check)
    throw new CommandError("Several files need --write or --check: only one new text can be printed.");
  const isFine = files.map((file) => upgradeFile(file, { write, check, isNamed: named.length > 0 })).every(Boolean);
  if (!isFine) process.exitCode = EXIT.finding;
}

/** Rewrites one file. Returns whether nothing is left to do about it. */
function upgradeFile(
  file: string,
  { write, check, isNamed }: Required<UpgradeOptions> & { readonly isNamed: boolean },
): boolean {
  const old = readInput(file, undefined, isNamed ? "" : ". Name a policy: tollgate policy upgrade FILE");
  const { text, changes, byHand } = upgradePolicy(old, file);
  const tell = check ? console.log : console.error;
  const list = (found: readonly PolicyChange[], mark: string) => {
    for (const { at, path, text } of found) tell(`${at}: ${path}: ${mark}${check ? asPlan(text) : text}`);
  };
  list(changes, "");
  list(byHand, "by hand: ");
  if (write && text !== old) writing(file, "--write", () => writeFileSync(file, text));
  if (!write && !check) process.stdout.write(text);
  const faults = byHand.length > 0 ? [] : faultsOf(text, file);
  for (const fault of faults) tell(`${fault}`);
  const left = byHand.length + faults.length;
  const done = amount(changes.length, "changes");
  const isSame = changes.length + left === 0;
  tell(
    isSame ? `${file}: nothing to upgrade` : `${file}: ${done}, ${left === 0 ? "nothing" : left} left to do by hand`,
  );
  return left === 0 && !(check && changes.length > 0);
}

/** What was done to a policy, as what would be done. */
function asPlan(text: string): string {
  return text.replace(/^now /, "would become ").replace(/^removed$/, "would be removed");
}

/** What is wrong with the new text, which had other faults than old words. */
function faultsOf(text: string, file: string): string[] {
  try {
    readPolicyText(text, file);
    return [];
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    return error.faults.map(formatFault);
  }
}

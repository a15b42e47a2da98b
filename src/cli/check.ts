// `tollgate check`: is this policy file right?

import { Command } from "commander";
import { formatFault, MisuseError } from "../kernel/errors.ts";
import { parsePolicy } from "../policy-file.ts";
import { EXIT } from "./exit.ts";
import { readInput } from "./input.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("check a policy file; faults are listed with line and column")
    .argument("<policy>", "a policy in YAML or JSON")
    .action(check);
}

function check(file: string): void {
  const text = readInput(file);
  try {
    const { limits } = parsePolicy(text, file);
    console.log(`${file}: fine, ${limits.length} ${limits.length === 1 ? "limit" : "limits"}`);
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    for (const fault of error.faults) console.log(formatFault(fault));
    process.exitCode = EXIT.finding;
  }
}

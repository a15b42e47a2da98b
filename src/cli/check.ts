// `tollgate check`: is this policy file right?

import { Command } from "commander";
import { DIMENSIONS } from "../kernel/call.ts";
import { formatFault, MisuseError } from "../kernel/errors.ts";
import { parsePolicy } from "../policy-file.ts";
import { EXIT } from "./exit.ts";
import { readInput } from "./files.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("check a policy file; faults are listed with line and column")
    .argument("<policy>", "a policy in YAML or JSON")
    .action(check);
}

function check(file: string): void {
  const text = readInput(file);
  try {
    const { limits, dimensions } = parsePolicy(text, file);
    console.log(`${file}: fine, ${limits.length} ${limits.length === 1 ? "limit" : "limits"}`);
    // Which may be meant, or misspelt.
    const own = [...dimensions].slice(DIMENSIONS.length);
    if (own.length > 0) console.log(`Calls have to say dimensions of the policy's own: ${own.join(", ")}`);
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    for (const fault of error.faults) console.log(formatFault(fault));
    process.exitCode = EXIT.finding;
  }
}

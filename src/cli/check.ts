// `tollgate check`: is this policy, or this file of policy tests, right, and does each part of a policy have an effect?

import { Command } from "commander";
import { DIMENSIONS } from "../kernel/call.ts";
import { type Fault, formatFault, MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { amount } from "../kernel/words.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { MAX_WARNINGS, type PolicyWarning } from "../policy-warnings/warnings.ts";
import { LOCAL_POLICY, withEnvironment } from "./defaults.ts";
import { EXIT } from "./exit.ts";
import { readInput } from "./files.ts";
import { checkOwnTests, isTestFile, readTests } from "./test-files.ts";

interface CheckOptions {
  readonly policy?: string;
  readonly strict?: boolean;
  readonly json?: boolean;
}

export function checkCommand(): Command {
  return new Command("check")
    .description("check a policy file: errors, and parts that have no effect, with line and column")
    .argument(
      "[policy]",
      `a policy in YAML or JSON, or a file of policy tests; default: --policy, else ${LOCAL_POLICY} in this folder`,
    )
    .addOption(withEnvironment("--policy <file>", "the policy, where none is named", "POLICY"))
    .option("--strict", "treat warnings as errors")
    .option("--json", "print one JSON array of errors and warnings on stdout, and nothing else there")
    .action(check);
}

function check(named: string | undefined, { policy, strict = false, json = false }: CheckOptions): void {
  const file = named ?? policy ?? LOCAL_POLICY;
  const isDefault = named === undefined && policy === undefined;
  const text = readInput(file, undefined, isDefault ? ". Name a policy: tollgate check FILE" : "");
  try {
    if (isTestFile(text, file)) {
      const tests = readTests([file]).reduce((sum, each) => sum + each.tests.length, 0);
      console.log(json ? "[]" : `${file}: fine, ${amount(tests, "tests")}`);
      return;
    }
    const { policy, warnings, at } = readPolicyText(text, file);
    checkOwnTests(policy, at);
    const found = warnings();
    const level = strict ? "error" : "warning";
    if (json) console.log(JSON.stringify(found.map((warning) => rowOf(warning, level, warning.code, warning.message))));
    else tell(file, policy, found, level);
    if (strict && found.length > 0) process.exitCode = EXIT.finding;
  } catch (error) {
    if (!MisuseError.isInstance(error)) throw error;
    const messageOf = ({ expected, got }: Fault) => `expected ${expected}, got ${got}`;
    const rows = error.faults.map((fault) => rowOf(fault, "error", "invalid-policy", messageOf(fault)));
    if (json) console.log(JSON.stringify(rows));
    else for (const fault of error.faults) console.log(formatFault(fault));
    process.exitCode = EXIT.finding;
  }
}

function tell(file: string, policy: CompiledPolicy, warnings: readonly PolicyWarning[], level: string): void {
  for (const { at, path, message, hint } of warnings) {
    console.log(`${at}: ${level}: ${path}: ${message}${hint === null ? "" : ` ${hint}`}`);
  }
  if (warnings.length === MAX_WARNINGS) console.log(`Only the first ${MAX_WARNINGS} are shown.`);
  const count = amount(policy.limits.length, "limits");
  const found = amount(warnings.length, `${level}s`);
  console.log(warnings.length === 0 ? `${file}: fine, ${count}` : `${file}: ${count}, ${found}`);
  const own = [...policy.dimensions].slice(DIMENSIONS.length);
  if (own.length > 0) console.log(`Dimensions of this policy's own: ${own.join(", ")}`);
}

/** What `--json` prints of a fault or a warning. */
function rowOf({ at = "", path, hint = null }: Fault | PolicyWarning, level: string, code: string, message: string) {
  const [line = null, column = null] = /:(\d+):(\d+)$/.exec(at)?.slice(1).map(Number) ?? [];
  return { level, code, path, line, column, message, hint };
}

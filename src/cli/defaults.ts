// The defaults of commands, and the environment variables that change them: the same policy and store as `tollgate serve`.
// A flag wins over the environment.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Command, Option } from "commander";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { setByFile } from "./environment.ts";
import { readInput } from "./files.ts";
import { type StoreNeed, storeUrls } from "./store-url.ts";

/** The policy that comes with Tollgate. */
export const SAMPLE_POLICY = fileURLToPath(new URL("../../sample-policy.yaml", import.meta.url));
/** The policy of MCP gateways where nothing names one. In the package this code may stand in a folder beside `cli`. */
export const GATEWAY_PRESET = fileURLToPath(new URL("../cli/presets/mcp.yaml", import.meta.url));
/** The policy of the folder where the command runs. */
export const LOCAL_POLICY = "tollgate.yaml";
/** A file in the folder where the command runs. */
export const DEFAULT_STORE = "sqlite:tollgate.db";

/**
 * An option that an environment variable can set, too. Kubernetes sets TOLLGATE_PORT to the address of a service that is
 * called tollgate: that is none of ours.
 */
export function withEnvironment(flags: string, description: string, variable: string): Option {
  const name = `TOLLGATE_${variable}`;
  if (variable === "PORT" && process.env[name]?.startsWith("tcp://")) delete process.env[name];
  return new Option(flags, description).env(name);
}

/** Collects the values of an option that may be given several times. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** @throws MisuseError `invalid-option` */
export function wholeNumber(option: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const number = /^\d+$/.test(text) ? Number(text) : null;
  if (number !== null && number >= min && number <= max) return number;
  throw invalidOption(option, `a whole number from ${min} to ${max}`, number ?? text);
}

export function policyIn(file: string): CompiledPolicy {
  return readPolicyText(readInput(file, "--policy"), file).policy;
}

export function withPolicyOption(command: Command, more = ""): Command {
  const option = withEnvironment("--policy <file>", `the policy, in YAML or JSON${more}`, "POLICY");
  const policy = existsSync(LOCAL_POLICY) ? LOCAL_POLICY : SAMPLE_POLICY;
  return command.addOption(option.default(policy, `${LOCAL_POLICY} in this folder, else a sample policy`));
}

export function withStoreOption(command: Command, need: StoreNeed): Command {
  const option = withEnvironment("--store <url>", `where the state lives: ${storeUrls(need)}`, "STORE");
  return withStoreFile(command.addOption(option.default(DEFAULT_STORE)), "STORE_FILE");
}

/** Adds `--store-file`: what it holds becomes `--store` before the command runs. */
export function withStoreFile(command: Command, variable?: string): Command {
  const option = new Option(
    "--store-file <file>",
    "read the store's URL from this file, so that no flag shows a password",
  );
  return command
    .addOption(variable === undefined ? option : option.env(`TOLLGATE_${variable}`))
    .hook("preAction", (_, action) => {
      const file: string | undefined = action.getOptionValue("storeFile");
      if (file === undefined) return;
      // A flag wins over a variable, and a variable over the default.
      const ranks = [undefined, "default", "env", "cli"];
      const [ofFile, ofUrl] = ["storeFile", "store"].map((name) => ranks.indexOf(action.getOptionValueSource(name)));
      // Both were set in the same way.
      if (ofFile === ofUrl) throw invalidOption("--store and --store-file", "one of them", "both");
      if (Number(ofFile) > Number(ofUrl)) setByFile(action, "store", urlIn(file), file);
    });
}

function urlIn(file: string): string {
  const url = readInput(file, "--store-file").trim();
  if (url === "" || url.includes("\n")) {
    throw invalidOption("--store-file", "a file with one line, the store's URL", url === "" ? url : "several lines");
  }
  return url;
}

/** How a policy is shown: the sample says that it is one, and how to have another. */
export function policyLabel(policy: string): string {
  return policy === SAMPLE_POLICY
    ? `${policy}: a sample; copy it to ${LOCAL_POLICY}, or name yours with --policy`
    : policy;
}

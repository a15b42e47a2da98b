// What commands use unless they are told otherwise: the same policy and store as `tollgate serve`.

import { fileURLToPath } from "node:url";
import { type Command, Option } from "commander";
import { type StoreNeed, storeUrls } from "./store-url.ts";

/** The policy that comes with Tollgate. */
export const SAMPLE_POLICY = fileURLToPath(new URL("../../sample-policy.yaml", import.meta.url));
/** A file in the folder where the command runs. */
export const DEFAULT_STORE = "sqlite:tollgate.db";

/** Adds `--policy`. */
export function withPolicyOption(command: Command, more = ""): Command {
  const option = new Option("--policy <file>", `the policy, in YAML or JSON${more}`);
  return command.addOption(option.default(SAMPLE_POLICY, "the sample policy that comes with Tollgate"));
}

/** Adds `--store`. */
export function withStoreOption(command: Command, need: StoreNeed): Command {
  return command.option("--store <url>", `where the state lives: ${storeUrls(need)}`, DEFAULT_STORE);
}

/** How a policy is shown: the sample says that it is one, and how to have another. */
export function policyLabel(policy: string): string {
  return policy === SAMPLE_POLICY ? `${policy}: a sample, copy it and name yours with --policy` : policy;
}

// Where the counts and the policy of an MCP gateway are, when other commands work on its buckets.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import type { DecisionEntry } from "../log/entry.ts";
import { GATEWAY_PRESET, LOCAL_POLICY, policyIn, SAMPLE_POLICY } from "./defaults.ts";
import { gatewayStorePath } from "./state-folder.ts";

/** On a gateway's file the default policy is the one that a gateway has. The user reads which one it is. */
export function choosePolicy(action: Command): void {
  const { policy, store, url } = action.opts<{ policy: string; store?: string; url?: string }>();
  if (action.getOptionValueSource("policy") !== "default" || url !== undefined) return;
  if (store === undefined || !store.startsWith("sqlite:") || resolve(store.slice(7)) !== gatewayStorePath()) return;
  const chosen = policy === SAMPLE_POLICY ? GATEWAY_PRESET : policy;
  action.setOptionValueWithSource("policy", chosen, "default");
  const which = chosen === GATEWAY_PRESET ? "the preset of gateways" : "of this folder";
  console.error(`policy ${chosen}: ${which}; if the gateway has another, name it with --policy`);
}

/** The options by which a command finds the bucket of a gateway's decision, as far as they are known. */
export function placeOfGateway({ policy }: DecisionEntry, env: NodeJS.ProcessEnv = process.env): string {
  const isSame = (file: string) => {
    try {
      return policyIn(file).version === policy;
    } catch {
      return false;
    }
  };
  const named = [env.TOLLGATE_POLICY, LOCAL_POLICY, GATEWAY_PRESET].find(
    (file) => file !== undefined && existsSync(file) && isSame(file),
  );
  const isSet = env.TOLLGATE_STORE !== undefined || env.TOLLGATE_STORE_FILE !== undefined;
  const store = isSet ? "" : ` --store ${word(`sqlite:${gatewayStorePath()}`)}`;
  return ` --policy ${named === undefined ? "POLICY" : word(resolve(named))}${store}`;
}

function word(text: string): string {
  return /^[\w.:/@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

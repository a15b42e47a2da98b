// The options of the gateway in an entry: those that the user gave, with paths that hold where a client starts it.

import { resolve } from "node:path";
import type { Command } from "commander";
import { invalidOption } from "../../kernel/errors.ts";
import { LOCAL_POLICY } from "../defaults.ts";
import { callsOfOptions, type McpOptions, policyOfOptions } from "../mcp-options.ts";
import { storeLabel } from "../store-url.ts";

/** Options of `install` that are none of the gateway. */
const OF_INSTALL = new Set(["scope", "file", "write"]);
const PATHS = new Set(["policy", "storeFile"]);
const URLS = new Set(["store", "log", "url"]);
const HAS_PASSWORD = /:\/\/[^/]*:.*@|[?&]password=/s;

/**
 * @param isShared whether other machines use the configuration, too: paths stay as they were given
 * @throws MisuseError `invalid-option` for what the gateway would refuse
 */
export function entryOptions(command: Command, isShared: boolean): string[] {
  const options = command.opts<McpOptions>();
  callsOfOptions(options, policyOfOptions(options, command));
  const place = (path: string) => (isShared ? path : resolve(path));
  return command.options.flatMap((option) => {
    const name = option.attributeName();
    const [flag, value] = [String(option.long), command.getOptionValue(name)];
    if (OF_INSTALL.has(name) || value === undefined || !isChosen(command, name, options)) return [];
    if (value === true) return [flag];
    if (Array.isArray(value)) return value.flatMap((each) => [flag, each]);
    if (PATHS.has(name)) return [flag, place(value)];
    if (URLS.has(name) && HAS_PASSWORD.test(value)) throw passwordIn(flag, value);
    return [flag, value.replace(/^sqlite:(.+)$/s, (_: string, path: string) => `sqlite:${place(path)}`)];
  });
}

/** Whether the user chose a value. What `--store-file` holds stays in that file. */
function isChosen(command: Command, name: string, { url }: McpOptions): boolean {
  if (url !== undefined && (name === "policy" || name === "log")) return false;
  if (name === "policy" && command.getOptionValue(name) === LOCAL_POLICY) return true;
  return ["cli", "env"].includes(String(command.getOptionValueSource(name)));
}

function passwordIn(flag: string, url: string): Error {
  const instead =
    flag === "--store"
      ? "say --store-file FILE"
      : `set TOLLGATE_${flag.slice(2).toUpperCase()} in the entry's environment`;
  return invalidOption(
    flag,
    `a URL without a password, which the configuration would show; ${instead}`,
    storeLabel(url),
  );
}

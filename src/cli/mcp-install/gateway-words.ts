// The command that a client starts the gateway with. It names files, by absolute paths: programs on a desktop have another PATH than a
// terminal. It never lets npx install a package: the name may belong to another one.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { invalidOption } from "../../kernel/errors.ts";
import { CommandError } from "../exit.ts";

/** Tollgate where a project depends on it. */
const OF_PROJECT = "node_modules/tollgate/bin/tollgate.js";

interface Wanted {
  readonly options: readonly string[];
  /** Whether other machines use the configuration, too. */
  readonly isShared: boolean;
}

/** How this process was started. */
interface Started {
  readonly node: string;
  readonly script: string;
  readonly folder: string;
}

/** @throws MisuseError, CommandError where there is no command that stays */
export function gatewayWords({ options, isShared }: Wanted, started: Started = thisProcess()): [string, ...string[]] {
  return [...programOf(isShared, started), "mcp", ...options];
}

function thisProcess(): Started {
  return { node: process.execPath, script: process.argv[1] ?? "", folder: process.cwd() };
}

function programOf(isShared: boolean, { node, script, folder }: Started): [string, ...string[]] {
  if (isShared) {
    if (existsSync(join(folder, OF_PROJECT))) return ["node", OF_PROJECT];
    const expected = `${OF_PROJECT} in this folder, because others use the configuration, too: make Tollgate a dependency of the project`;
    throw invalidOption("--scope", expected, "project");
  }
  if (!/[\\/]_npx[\\/]/.test(script)) return [node, script];
  throw new CommandError(
    "Tollgate runs from the cache of npx, which is emptied at times. Install it, and run it from there",
  );
}

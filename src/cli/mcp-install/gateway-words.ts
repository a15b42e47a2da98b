// The command that a client starts the gateway with. It names files by their whole path: programs on a desktop have another PATH than
// a terminal.

import { VERSION } from "../../version.ts";

interface Wanted {
  readonly options: readonly string[];
  /** Whether other machines use the configuration, too. */
  readonly isShared: boolean;
}

/** How this process was started. */
interface Started {
  readonly node: string;
  readonly script: string;
  readonly platform: string;
}

export function gatewayWords({ options, isShared }: Wanted, started: Started = thisProcess()): [string, ...string[]] {
  return [...programOf(isShared, started), "mcp", ...options];
}

function thisProcess(): Started {
  return { node: process.execPath, script: process.argv[1] ?? "", platform: process.platform };
}

function programOf(isShared: boolean, { node, script, platform }: Started): [string, ...string[]] {
  // The folder of npx is emptied some day.
  if (!isShared && !/[\\/]_npx[\\/]/.test(script)) return [node, script];
  const npx = ["npx", "-y", `tollgate@${VERSION}`] as const;
  return platform === "win32" && !isShared ? ["cmd", "/c", ...npx] : [...npx];
}

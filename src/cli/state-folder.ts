// The folder where a user's programs keep what has to survive a restart.

import { homedir } from "node:os";
import { join } from "node:path";

/** Tollgate's own folder there; it may not exist yet. */
export function stateFolder(env: NodeJS.ProcessEnv = process.env, platform: string = process.platform): string {
  return join(baseFolder(env, platform), "tollgate");
}

/** The file where an MCP gateway without `--store` keeps its counts; it may not exist yet. */
export function gatewayStorePath(): string {
  return join(stateFolder(), "mcp.db");
}

function baseFolder(env: NodeJS.ProcessEnv, platform: string): string {
  const { XDG_STATE_HOME: state, LOCALAPPDATA: local } = env;
  if (state) return state;
  if (platform === "win32") return local || join(homedir(), "AppData", "Local");
  if (platform === "darwin") return join(homedir(), "Library", "Application Support");
  return join(homedir(), ".local", "state");
}

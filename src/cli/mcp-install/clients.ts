// The clients whose configuration can be changed: where it is on each system, and where its servers stand in it.

import { homedir } from "node:os";
import { posix, win32 } from "node:path";
import { invalidOption } from "../../kernel/errors.ts";
import { listed } from "../../kernel/words.ts";
import type { ServerEntry } from "./entry.ts";
import { jsonServers } from "./json-servers.ts";
import { tomlServers } from "./toml-servers.ts";

export const SCOPES = ["user", "project", "local"] as const;
export type Scope = (typeof SCOPES)[number];

/** The system on which a client runs. */
export interface Place {
  readonly platform: string;
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
  /** The folder where the command runs. */
  readonly folder: string;
}

interface FileOfClient {
  readonly path: (place: Place) => string;
  readonly servers: (bytes: Buffer, place: Place) => ServerEntry[];
}

export interface Client {
  readonly title: string;
  readonly files: Readonly<Partial<Record<Scope, FileOfClient>>>;
}

const below =
  (...keys: readonly string[]) =>
  (bytes: Buffer) =>
    jsonServers(bytes, keys);
const inMcpServers = below("mcpServers");
const inToml = (bytes: Buffer) => tomlServers(bytes, "mcp_servers");

const atHome =
  (...path: readonly string[]) =>
  (place: Place) =>
    join(place, place.home, ...path);
const inFolder =
  (...path: readonly string[]) =>
  (place: Place) =>
    join(place, place.folder, ...path);
const inSettings =
  (...path: readonly string[]) =>
  (place: Place) =>
    join(place, settingsFolder(place), ...path);

const claudeFile = (place: Place) => join(place, place.env.CLAUDE_CONFIG_DIR || place.home, ".claude.json");
const codexFile = (place: Place) =>
  join(place, place.env.CODEX_HOME || join(place, place.home, ".codex"), "config.toml");

export const CLIENTS = {
  "claude-code": {
    title: "Claude Code",
    files: {
      user: { path: claudeFile, servers: inMcpServers },
      project: { path: inFolder(".mcp.json"), servers: inMcpServers },
      local: {
        path: claudeFile,
        servers: (bytes, { folder }) => jsonServers(bytes, ["projects", folder, "mcpServers"]),
      },
    },
  },
  "claude-desktop": {
    title: "Claude Desktop",
    files: { user: { path: inSettings("Claude", "claude_desktop_config.json"), servers: inMcpServers } },
  },
  cursor: {
    title: "Cursor",
    files: {
      user: { path: atHome(".cursor", "mcp.json"), servers: inMcpServers },
      project: { path: inFolder(".cursor", "mcp.json"), servers: inMcpServers },
    },
  },
  vscode: {
    title: "VS Code",
    files: {
      user: { path: inSettings("Code", "User", "mcp.json"), servers: below("servers") },
      project: { path: inFolder(".vscode", "mcp.json"), servers: below("servers") },
    },
  },
  codex: {
    title: "Codex",
    files: {
      user: { path: codexFile, servers: inToml },
      project: { path: inFolder(".codex", "config.toml"), servers: inToml },
    },
  },
  gemini: {
    title: "Gemini CLI",
    files: {
      user: { path: atHome(".gemini", "settings.json"), servers: inMcpServers },
      project: { path: inFolder(".gemini", "settings.json"), servers: inMcpServers },
    },
  },
} as const satisfies Readonly<Record<string, Client>>;

export type ClientName = keyof typeof CLIENTS;

/** @throws MisuseError `invalid-option` where the client has no such scope */
export function fileOf(client: ClientName, scope: Scope): FileOfClient {
  const { title, files }: Client = CLIENTS[client];
  const file = files[scope];
  if (file !== undefined) return file;
  throw invalidOption("--scope", `${listed(Object.keys(files), "or")}, for ${title}`, scope);
}

export function thisPlace(): Place {
  return { platform: process.platform, env: process.env, home: homedir(), folder: process.cwd() };
}

/** Where programs of a user keep their settings. */
function settingsFolder(place: Place): string {
  const { platform, env, home } = place;
  if (platform === "win32") return env.APPDATA || join(place, home, "AppData", "Roaming");
  if (platform === "darwin") return join(place, home, "Library", "Application Support");
  return env.XDG_CONFIG_HOME || join(place, home, ".config");
}

function join({ platform }: Place, ...path: readonly string[]): string {
  return (platform === "win32" ? win32 : posix).join(...path);
}

// The servers in a configuration in TOML, as `[mcp_servers.NAME]` or in any other form that TOML has for it.

import type { ServerEntry, Word } from "./entry.ts";
import { type TomlValue, tomlText, tomlValues } from "./toml.ts";

/**
 * The servers below this table, in their order.
 *
 * @throws NotTomlError
 */
export function tomlServers(bytes: Buffer, table: string): ServerEntry[] {
  // One character for each byte: offsets are those of the file.
  const text = bytes.toString("latin1");
  const values = tomlValues(text.replace(/^\xef\xbb\xbf/, "   ")).filter(({ path }) => path[0] === table);
  const names = new Set(values.flatMap(({ path: [, name] }) => (typeof name === "string" ? [name] : [])));
  return [...names].map((name) => {
    const own = values.filter(({ path }) => path[1] === name);
    return entryOf(text, name, own);
  });
}

function entryOf(text: string, name: string, values: readonly TomlValue[]): ServerEntry {
  const find = (key: string) => values.find(({ path }) => path.length === 3 && path[2] === key);
  const word = (value: TomlValue | undefined): Word | null => {
    if (value === undefined || !/["']/.test(text[value.from] ?? "")) return null;
    const { from, to } = value;
    return { at: { from, to }, value: inUtf8(tomlText(text.slice(from, to))) };
  };
  const list = find("args");
  const items = values.filter(({ path }) => path.length === 4 && path[2] === "args" && typeof path[3] === "number");
  const isOdd = list !== undefined && text[list.from] !== "[";
  const command = find("command");
  return {
    name: inUtf8(name),
    command: isOdd ? null : word(command),
    args: list === undefined ? null : { at: list, items: items.flatMap((item) => word(item) ?? []) },
    url: word(find("url"))?.value ?? null,
    slot: slotAfter(text, command),
  };
}

/** On a line of its own after that of the command. */
function slotAfter(text: string, command: TomlValue | undefined): ServerEntry["slot"] {
  if (command === undefined) return { at: 0, before: "" };
  if (command.isInline) return { at: command.to, before: ", args = " };
  const end = text.indexOf("\n", command.to);
  const isCrlf = text[end - 1] === "\r";
  const at = end === -1 ? text.length : end - (isCrlf ? 1 : 0);
  // With a key that has dots, its table is written again.
  const line = text.slice(text.lastIndexOf("\n", command.from) + 1, command.from);
  const key = /^(.*?)(["']?)command\2\s*=\s*$/.exec(line)?.[1] ?? "";
  return { at, before: `${isCrlf ? "\r\n" : "\n"}${inUtf8(key)}args = ` };
}

function inUtf8(latin1: string): string {
  return Buffer.from(latin1, "latin1").toString("utf8");
}

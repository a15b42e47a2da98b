// Embeds the Lua sources into src/stores/redis/script.gen.ts: includes put in, comments and indentation left out.
// A test compares the two.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../src/stores/redis");
const target = join(folder, "script.gen.ts");

/** A file with its includes in place. */
function included(file: string): string {
  return readFileSync(join(folder, file), "utf8").replace(/^-- @include (.+)$/gm, (_, name: string) => included(name));
}

/** The text of script.gen.ts. */
export function embeddedScript(): string {
  const lines = included("apply.lua")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("--"));
  return [
    "// Made from apply.lua by `npm run lua`. Do not edit.",
    "",
    "/** The script without its first line, which says what time it is. */",
    `export const APPLY_SCRIPT = ${JSON.stringify(lines.join("\n"))};`,
    "",
  ].join("\n");
}

if (import.meta.main) writeFileSync(target, embeddedScript());

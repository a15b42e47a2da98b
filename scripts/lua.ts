// Embeds the Lua sources into src/stores/redis/script.gen.ts: includes put in, comments and indentation left out.
// A test compares the two.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../src/stores/redis");
const target = join(folder, "script.gen.ts");

/** A file with its includes in place. */
function included(file: string): string {
  return readFileSync(join(folder, file), "utf8").replace(/^ *-- @include (.+)$/gm, (_, name: string) =>
    included(name),
  );
}

/** A script as it is sent. */
function scriptOf(file: string): string {
  const lines = included(file)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("--"));
  return lines.join("\n");
}

/** The text of script.gen.ts. */
export function embeddedScript(): string {
  return [
    "// Made from apply.lua and beat.lua by `npm run lua`. Do not edit.",
    "// The scripts are without their first line, which says what time it is.",
    "",
    `export const APPLY_SCRIPT = ${JSON.stringify(scriptOf("apply.lua"))};`,
    "",
    `export const BEAT_SCRIPT = ${JSON.stringify(scriptOf("beat.lua"))};`,
    "",
  ].join("\n");
}

if (import.meta.main) writeFileSync(target, embeddedScript());

// Makes the scripts of the Redis store, and what they share with TypeScript:
//
//     src/stores/redis/wire.ts            what the numbers on the wire mean, each by a name
//       -> script/limits.gen.lua          a limit's numbers by their names
//     src/stores/redis/script/*.lua       the sources, which use the names of wire.ts in capitals
//       -> script.gen.ts                  the scripts as they are sent: without comments, and with numbers for those names
//
// It writes the files, then reports each source that breaks a rule of scripts/lua/check.ts, and fails. A test compares what it
// makes with what is there.

import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { faultsIn } from "./lua/check.ts";
import { namesOf } from "./lua/names.ts";
import { FOLDER, linesOf } from "./lua/sources.ts";
import { limitsLua } from "./lua/wire.ts";

const SERVER_TIME = `local time = redis.call("TIME") local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)\n`;
const CLOCK_TIME = "local now_ms = tonumber(ARGV[2])\n";

/** What is made, by its path in the folder of the sources. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const made = new Map([["limits.gen.lua", limitsLua()]]);
  const scripts = [
    "// Made from the sources in script/ by `npm run lua`. Do not edit.",
    "// The scripts are without their first line, which says what time it is: the server's, or that of a clock.",
    "",
    `export const SERVER_TIME = ${JSON.stringify(SERVER_TIME)};`,
    "",
    `export const CLOCK_TIME = ${JSON.stringify(CLOCK_TIME)};`,
    "",
    sourceOf("APPLY_SCRIPT", minifiedScript("apply.lua", made)),
    sourceOf("BEAT_SCRIPT", minifiedScript("beat.lua", made)),
  ];
  return new Map([...made, ["../script.gen.ts", scripts.join("\n")]]);
}

/** A script with its digests, by which a server knows it. They are made here, because runtimes without Node have no SHA-1 at hand. */
function sourceOf(name: string, body: string): string {
  const sha = (time: string) =>
    createHash("sha1")
      .update(time + body)
      .digest("hex");
  return `export const ${name} = {
  shaByServer: "${sha(SERVER_TIME)}",
  shaByClock: "${sha(CLOCK_TIME)}",
  body: ${JSON.stringify(body)},
} as const;
`;
}

/** A script as it is sent. */
function minifiedScript(file: string, made: ReadonlyMap<string, string>): string {
  const lines = linesOf(file, made)
    .map(({ text }) => text.trim())
    .filter((line) => line !== "" && !line.startsWith("--"));
  return withNumbers(lines.map((line) => line.replace(/ -- .*$/, "")).join("\n"));
}

/** The script with numbers in place of constants: `local NAME = 5` goes, and each NAME becomes 5. */
function withNumbers(script: string): string {
  const constants = new Map<string, string>();
  const rest = script.replace(/^local ([A-Z][A-Z0-9_]*) = (-?\d+)\n/gm, (_, name: string, number: string) => {
    constants.set(name, number);
    return "";
  });
  let text = "";
  let from = 0;
  for (const { token, declaration } of namesOf(rest).uses) {
    const number = constants.get(token.text);
    if (number === undefined || declaration !== null) continue;
    text += rest.slice(from, token.offset) + number;
    from = token.offset + token.text.length;
  }
  return text + rest.slice(from);
}

if (import.meta.main) {
  const made = generatedFiles();
  for (const [file, text] of made) writeFileSync(join(FOLDER, file), text);
  const faults = faultsIn();
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
}

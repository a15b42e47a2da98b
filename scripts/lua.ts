// Makes the scripts of the Redis store and of the decision log, and what they share with TypeScript:
//
//     src/stores/redis/wire.ts            what the numbers on the wire mean, each by a name
//     src/kernel                          the part of it that lua/compile.ts compiles
//     src/stores/redis/script/*.lua       the sources, which use the names of wire.ts in capitals
//       -> script.gen.ts                  the scripts as they are sent: without comments, and with numbers for those names
//       -> digests.gen.ts                 the digests by which a server knows the scripts
//     src/log/redis/script/*.lua          the sources of the decision log's scripts
//       -> ../script.gen.ts               these, and their digests
//
// It writes the files, then reports each source that breaks a rule of scripts/lua/check.ts, and fails. A test compares what it
// makes with what is there.

import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { faultsIn } from "./lua/check.ts";
import { namesOf } from "./lua/names.ts";
import { FOLDER, LOG_ENTRIES, linesOf } from "./lua/sources.ts";

const TIMES = {
  server: `local time = redis.call("TIME") local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)\n`,
  clock: "local now_ms = tonumber(table.remove(ARGV))\n",
};

/** What is made, by its path in the folder of the sources. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const apply = minifiedScript("apply.lua");
  const beat = minifiedScript("beat.lua");
  const texts = [
    "// Made from the sources in script/ by `npm run lua`. Do not edit.",
    "",
    "/** The first line, which says what time it is. */",
    `export const TIMES = ${JSON.stringify(TIMES, null, 2)} as const;`,
    "",
    "/** The scripts without that line. */",
    `export const SCRIPTS = ${JSON.stringify({ apply, beat }, null, 2)} as const;`,
    "",
  ];
  const digests = [
    "// Made from the sources in script/ by `npm run lua`. Do not edit.",
    "",
    "/** The SHA-1 of each script. They are made here, because runtimes without Node have no SHA-1 at hand. */",
    `export const DIGESTS = ${JSON.stringify({ apply: digestsOf(apply), beat: digestsOf(beat) }, null, 2)} as const;`,
    "",
  ];
  return new Map([
    ["../script.gen.ts", texts.join("\n")],
    ["../digests.gen.ts", digests.join("\n")],
    [join(dirname(LOG_ENTRIES.write), "../script.gen.ts"), logScripts()],
  ]);
}

function logScripts(): string {
  const scripts = Object.entries(LOG_ENTRIES).map(([name, file]) => {
    const text = minifiedScript(file);
    return [name, { sha: sha1(text), text }];
  });
  return [
    "// Made from the sources in script/ by `npm run lua`. Do not edit.",
    "",
    "/** The scripts, and the digests by which a server knows them. */",
    `export const SCRIPTS = ${JSON.stringify(Object.fromEntries(scripts), null, 2)} as const;`,
    "",
  ].join("\n");
}

/** The digests by which a server knows a script, with each first line. */
function digestsOf(body: string): Record<keyof typeof TIMES, string> {
  return { server: sha1(TIMES.server + body), clock: sha1(TIMES.clock + body) };
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}

/** A script as it is sent. */
function minifiedScript(file: string): string {
  const lines = linesOf(file, new Map())
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

// The Lua sources of the Redis store: a script with its includes in place, and from which file each of its lines is.

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { kernelLua } from "./kernel.ts";
import { wireLua } from "./wire.ts";

export const FOLDER = join(import.meta.dirname, "../../src/stores/redis/script");

/** The scripts of the decision log. */
const LOG = "../../../log/redis/script";
export const LOG_ENTRIES = { write: `${LOG}/write.lua`, read: `${LOG}/read.lua` } as const;

/** The scripts that the store and the log send. */
export const ENTRIES = ["apply.lua", "beat.lua", LOG_ENTRIES.write, LOG_ENTRIES.read] as const;

/** What an include names that stands for the constants of wire.ts, in Lua. */
export const WIRE = "../wire.ts";

/** What an include names that stands for the compiled kernel. */
export const KERNEL = "kernel.lua";

export interface Line {
  readonly file: string;
  readonly text: string;
}

/** All Lua files by their paths in the folder. */
export function luaFiles(): string[] {
  return globSync("**/*.lua", { cwd: FOLDER }).sort();
}

/** Texts of files that are to be read instead of those in the folder. */
export type Replaced = ReadonlyMap<string, string>;

export function textOf(file: string, replaced: Replaced): string {
  if (file === WIRE) return wireLua();
  if (file === KERNEL) return kernelLua();
  return replaced.get(file) ?? readFileSync(join(FOLDER, file), "utf8");
}

/** The lines of a file, with includes in place. */
export function linesOf(file: string, replaced: Replaced): Line[] {
  const lines = textOf(file, replaced).split("\n");
  return lines.flatMap((line) => {
    const [, included] = /^ *-- @include (.+)$/.exec(line) ?? [];
    return included === undefined ? [{ file, text: line }] : linesOf(included, replaced);
  });
}

// The files of a trace: one, or all of a folder.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { invalidOption } from "../kernel/errors.ts";
import { type Format, type ReadAs, readCalls, type Source } from "../simulate/readers/read.ts";
import { readInput } from "./files.ts";

/** Most files of a folder. */
const MAX_FILES = 10_000;
const MAPPED = ["session", "user", "tenant", "agent", "model"] as const;

export interface TraceOptions {
  readonly format?: Format;
  /** Each `dimension=attribute`. */
  readonly map?: readonly string[];
}

/**
 * Reads the calls of a file, or of the `.jsonl` files of a folder.
 *
 * @throws MisuseError, CommandError
 */
export function readTrace(path: string, { format, map = [] }: TraceOptions): ReadAs {
  return readCalls(sourcesIn(path), { format, attributes: Object.fromEntries(map.map(pairIn)) });
}

function sourcesIn(path: string): Source[] {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const files = isFolder ? filesIn(path) : [path];
  return files.map((name) => ({ name, text: readInput(name) }));
}

function filesIn(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".jsonl"));
  if (names.length > 0 && names.length <= MAX_FILES) return names.sort().map((name) => join(folder, name));
  throw invalidOption("trace", `a file, or a folder with 1 to ${MAX_FILES} files *.jsonl`, names.length);
}

function pairIn(pair: string): [dimension: string, attribute: string] {
  const [dimension = "", ...attribute] = pair.split("=");
  if (MAPPED.some((each) => each === dimension) && attribute.join("=") !== "") return [dimension, attribute.join("=")];
  throw invalidOption("--map", `dimension=attribute, with one of ${MAPPED.join(", ")}`, pair);
}

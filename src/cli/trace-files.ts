// The files of a trace: one, all of a folder, or what is piped into the command.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
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
 * Reads the calls of a file, of the `.jsonl` files of a folder, or of what is piped in where the path is `-`.
 *
 * @throws MisuseError, CommandError
 */
export async function readTrace(path: string, { format, map = [] }: TraceOptions): Promise<ReadAs> {
  const sources = path === "-" ? [{ name: "stdin", text: await piped() }] : sourcesIn(path);
  return readCalls(sources, { format, attributes: Object.fromEntries(map.map(pairIn)) });
}

function piped(): Promise<string> {
  if (process.stdin.isTTY)
    throw invalidOption("trace", "a trace that is piped in, or the name of a file", "a terminal");
  return text(process.stdin);
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

// The repository's own source files, for the tests that hold its rules.

import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root, with a slash at the end. */
export const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** An argument of Node with which it reads a program's sources in half the time. */
export const LOADER = `--import=${new URL("../scripts/loader.js", import.meta.url)}`;

export interface SourceFile {
  /** From the root: `src/kernel/key.ts`. */
  readonly path: string;
  readonly text: string;
}

/** Files that match a pattern, without tests. */
export function sources(pattern: string): SourceFile[] {
  return globSync(pattern, { cwd: ROOT })
    .filter((path) => !path.endsWith(".test.ts"))
    .sort()
    .map((path) => ({ path, text: readFileSync(ROOT + path, "utf8") }));
}

/** What a file imports or re-exports from. */
export function importsOf({ text }: SourceFile): string[] {
  return [
    ...text.matchAll(/^(?:import|export)\b[^;]*?from\s+"([^"]+)";|^import\s+"([^"]+)";|\bimport\("([^"]+)"\)/gms),
  ].flatMap(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? []);
}

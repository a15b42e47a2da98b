// Which declaration files the subpaths need, and which packages these name.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SUBPATHS } from "./subpaths.ts";

export interface Declarations {
  readonly files: ReadonlySet<string>;
  /** Packages with one of the files that names them. */
  readonly packages: ReadonlyMap<string, string>;
}

const SPECIFIER = /(?:^(?:import|export)\b[^;]*?from |\bimport\()"([^"]+)"/gm;

/** Reads the built declarations, from each subpath on. The working directory is the repository's root. */
export function declarationsOf(): Declarations {
  const files = new Set<string>();
  const packages = new Map<string, string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    // An example in a comment imports, too.
    const text = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    for (const [, specifier = ""] of text.matchAll(SPECIFIER)) {
      if (specifier.startsWith(".")) visit(join(file, "..", specifier).replace(/\.[jt]s$/, ".d.ts"));
      else if (!/^(cloudflare|node):/.test(specifier)) packages.set(packageOf(specifier), file);
    }
  };
  for (const [, { types }] of SUBPATHS) visit(join(types));
  return { files, packages };
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

// The package's manifest, and its subpaths.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root, with a slash at the end. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly sideEffects: boolean;
  readonly files: readonly string[];
  readonly exports: Readonly<Record<string, Target | string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

/** The files of a subpath, each from the root: `./dist/client.js`. */
export interface Target {
  readonly "tollgate-source": string;
  readonly types: string;
  readonly default: string;
}

export const MANIFEST: Manifest = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));

/** The subpaths that have code. */
export const SUBPATHS = Object.entries(MANIFEST.exports).filter(
  (entry): entry is [string, Target] => typeof entry[1] === "object",
);

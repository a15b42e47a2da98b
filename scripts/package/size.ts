// What a program that uses the package weighs: it is bundled for a platform, minified, and compressed.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { type BuildOptions, type BuildResult, build, type Plugin } from "esbuild";
import { bundlePackage } from "./bundle.ts";
import { MANIFEST, ROOT } from "./subpaths.ts";

export const PLATFORMS = ["node", "browser", "workerd"] as const;
export type Platform = (typeof PLATFORMS)[number];

export interface Bundled {
  /** The whole program as one file, for a browser in the format `iife`. */
  readonly code: string;
  /** What the program loads when it starts. */
  readonly start: Weight;
  /** What it loads only when it needs that. */
  readonly later: Weight;
  /** Node's modules that it imports, sorted. */
  readonly nodeModules: readonly string[];
}

export interface Weight {
  readonly minifiedBytes: number;
  readonly gzipBytes: number;
}

const OPTIONS: Readonly<Record<Platform, BuildOptions>> = {
  node: { platform: "node" },
  browser: { platform: "browser" },
  workerd: { platform: "browser", conditions: ["workerd", "worker"] },
};

/** Writes the package into the node_modules of a folder, without its declarations. */
export async function installPackage(folder: string): Promise<void> {
  const home = join(folder, "node_modules/tollgate");
  const { outputFiles } = await bundlePackage(join(home, "dist"));
  for (const { path, contents } of outputFiles) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, contents);
  }
  const { name, version, type, sideEffects, exports } = MANIFEST;
  writeFileSync(join(home, "package.json"), JSON.stringify({ name, version, type, sideEffects, exports }));
}

/**
 * Bundles a program. Node's modules stay imports; in a browser, which has none, they are empty objects.
 *
 * @param folder where its imports are looked up before the repository's own packages
 */
export async function bundleProgram(contents: string, folder: string, platform: Platform): Promise<Bundled> {
  const nodeModules = new Set<string>();
  const options = {
    ...OPTIONS[platform],
    stdin: { contents, resolveDir: folder },
    absWorkingDir: folder,
    nodePaths: [join(ROOT, "node_modules")],
    target: "es2022",
    external: ["cloudflare:*"],
    bundle: true,
    minify: true,
    write: false,
    logLevel: "error",
    plugins: [nodePlugin(nodeModules, platform)],
  } as const satisfies BuildOptions;
  const whole = await build({
    ...options,
    ...(platform === "browser" ? { globalName: "program" } : { format: "esm" }),
  });
  const parts = await build({ ...options, format: "esm", splitting: true, outdir: folder, metafile: true });
  return { code: whole.outputFiles[0]?.text ?? "", ...weightsOf(parts, folder), nodeModules: [...nodeModules].sort() };
}

function nodePlugin(found: Set<string>, platform: Platform): Plugin {
  return {
    name: "node",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^node:/ }, ({ path }) => {
        found.add(path);
        return platform === "browser" ? { path, namespace: "empty" } : { path, external: true };
      });
      onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "module.exports = {};" }));
    },
  };
}

function weightsOf({ outputFiles, metafile: { outputs } }: Parts, folder: string): Pick<Bundled, "start" | "later"> {
  const atStart = new Set<string>();
  const visit = (path: string) => {
    if (atStart.has(path)) return;
    atStart.add(path);
    for (const imported of outputs[path]?.imports ?? []) {
      if (imported.external !== true && imported.kind === "import-statement") visit(imported.path);
    }
  };
  for (const [path, { entryPoint }] of Object.entries(outputs)) if (entryPoint === "<stdin>") visit(path);
  const weightOf = (isAtStart: boolean): Weight => {
    const files = outputFiles.filter(({ path }) => atStart.has(relative(folder, path)) === isAtStart);
    const sum = (of: (contents: Uint8Array) => number) =>
      files.reduce((bytes, { contents }) => bytes + of(contents), 0);
    return {
      minifiedBytes: sum(({ byteLength }) => byteLength),
      gzipBytes: sum((contents) => gzipSync(contents, { level: 9 }).byteLength),
    };
  };
  return { start: weightOf(true), later: weightOf(false) };
}

type Parts = BuildResult<{ write: false; metafile: true }>;

// What a program that uses the package weighs: it is bundled for a platform, minified, and compressed.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { bundlePackage } from "./bundle.ts";
import { MANIFEST, ROOT } from "./subpaths.ts";

export const PLATFORMS = ["node", "browser", "workerd"] as const;
export type Platform = (typeof PLATFORMS)[number];

export interface Bundled {
  readonly code: string;
  readonly minifiedBytes: number;
  readonly gzipBytes: number;
  /** Node's modules that it imports, sorted. */
  readonly nodeModules: readonly string[];
}

const OPTIONS: Readonly<Record<Platform, BuildOptions>> = {
  node: { platform: "node", format: "esm" },
  browser: { platform: "browser", format: "iife", globalName: "program" },
  workerd: { platform: "browser", format: "esm", conditions: ["workerd", "worker"] },
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
  const node: Plugin = {
    name: "node",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^node:/ }, ({ path }) => {
        nodeModules.add(path);
        return platform === "browser" ? { path, namespace: "empty" } : { path, external: true };
      });
      onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "module.exports = {};" }));
    },
  };
  const { outputFiles = [] } = await build({
    ...OPTIONS[platform],
    stdin: { contents, resolveDir: folder },
    absWorkingDir: folder,
    nodePaths: [join(ROOT, "node_modules")],
    target: "es2022",
    bundle: true,
    minify: true,
    write: false,
    logLevel: "error",
    plugins: [node],
  });
  const code = outputFiles[0]?.text ?? "";
  return {
    code,
    minifiedBytes: Buffer.byteLength(code),
    gzipBytes: gzipSync(code, { level: 9 }).byteLength,
    nodeModules: [...nodeModules].sort(),
  };
}

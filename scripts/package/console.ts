// The console's files: console/ bundled by esbuild, with a hash of its content in the name of what browsers may keep.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { build, type Metafile } from "esbuild";
import { ROOT } from "./subpaths.ts";

export interface BuiltFile {
  readonly name: string;
  readonly content: Uint8Array;
}

export interface BuiltConsole {
  readonly files: readonly BuiltFile[];
  readonly metafile: Metafile;
}

export async function buildConsole(): Promise<BuiltConsole> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { app: "console/main.tsx" },
    outdir: "dist/console",
    entryNames: "[name]-[hash]",
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2023",
    jsx: "automatic",
    jsxImportSource: "preact",
    tsconfigRaw: {},
    legalComments: "none",
    metafile: true,
    write: false,
    logLevel: "error",
  });
  const bundled = outputFiles.map(({ path, contents }) => ({ name: basename(path), content: contents }));
  const named = (extension: string) => bundled.find(({ name }) => name.endsWith(extension))?.name ?? "";
  const page = read("index.html").toString().replace("app.css", named(".css")).replace("app.js", named(".js"));
  const files = [
    ...bundled,
    { name: "index.html", content: Buffer.from(page) },
    { name: "icon.svg", content: read("icon.svg") },
  ];
  return { files, metafile };
}

function read(name: string): Buffer {
  return readFileSync(`${ROOT}console/${name}`);
}

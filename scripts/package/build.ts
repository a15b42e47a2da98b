// Builds dist/: tsc writes the declarations, esbuild the JavaScript and the console, and migrations and presets are copied beside
// them. It also writes THIRD-PARTY-LICENSES.

import { spawnSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { bundlePackage } from "./bundle.ts";
import { buildConsole } from "./console.ts";
import { declarationsOf } from "./declarations.ts";
import { LICENSES, licensesOf } from "./licenses.ts";
import { ROOT } from "./subpaths.ts";

process.chdir(ROOT);
rmSync("dist", { recursive: true, force: true });
const { status } = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);

const { files } = declarationsOf();
for (const file of globSync("dist/**/*.d.ts")) if (!files.has(file)) rmSync(file);
const bundle = await bundlePackage("dist");
for (const { path, contents } of bundle.outputFiles) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, contents);
}
const built = await buildConsole();
mkdirSync("dist/console");
for (const { name, content } of built.files) writeFileSync(`dist/console/${name}`, content);
writeFileSync(LICENSES, licensesOf(bundle.metafile, built.metafile));
for (const file of globSync(["src/stores/postgres/*.sql", "src/cli/presets/*.yaml"]))
  cpSync(file, file.replace("src", "dist"));

// Builds dist/: tsc compiles the sources, and the migration files are copied beside them.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";
import { cpSync, globSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("../", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
const { status } = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
for (const file of globSync("src/stores/postgres/*.sql")) cpSync(file, file.replace("src", "dist"));
process.exit(status ?? 1);

// Makes dist/ anew: by tsc from the sources, and the migration files beside what runs them.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";
import { cpSync, globSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("../", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
const { status } = spawnSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json"], { stdio: "inherit" });
for (const file of globSync("src/stores/postgres/*.sql")) cpSync(file, file.replace("src", "dist"));
process.exit(status ?? 1);

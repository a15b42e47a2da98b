// The test command: every test beside the code and in test/, but for the folders with a command of their own.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";

const files =
  process.argv.length > 2 ? process.argv.slice(2) : globSync(["src/**/*.test.ts", "test/**/*.test.ts"]).sort();
const { status } = spawnSync(process.execPath, ["--conditions=tollgate-source", "--test", ...files], {
  stdio: "inherit",
});
process.exit(status ?? 1);

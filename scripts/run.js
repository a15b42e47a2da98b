// Runs one of the repository's own TypeScript programs, with its arguments, on the sources.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";

const loader = new URL("loader.js", import.meta.url);
const args = ["--conditions=tollgate-source", `--import=${loader}`, ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
process.exit(status ?? 1);

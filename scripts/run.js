// Runs one of the repository's own TypeScript programs, with its arguments, on the sources.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";

const workers = new URL("cloudflare-workers.js", import.meta.url);
const args = ["--conditions=tollgate-source", `--import=${workers}`, ...process.argv.slice(2)];
const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
process.exit(status ?? 1);

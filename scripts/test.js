// The test command: every test beside the code and in test/. --coverage runs those of the kernel and wants every line;
// --race and --chaos run what depends on time and luck, at full length and judged strictly.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { requireRedis } from "./redis-server.js";

const suites = {
  "--coverage": {
    files: ["src/kernel/**/*.test.ts"],
    flags: [
      "--experimental-test-coverage",
      "--test-coverage-include=src/kernel/**/*.ts",
      "--test-coverage-exclude=**/*.test.ts",
      "--test-coverage-lines=100",
    ],
  },
  "--race": { files: ["test/load/*.test.ts"], env: { TOLLGATE_RACE_RUNS: "20", TOLLGATE_RACE_STRICT: "1" } },
  "--chaos": { files: ["test/chaos/*.test.ts"], env: { TOLLGATE_KILL_ROUNDS: "40" } },
};
const everything = { files: ["src/**/*.test.ts", "test/**/*.test.ts"] };

const [first, ...rest] = process.argv.slice(2);
const { files, flags = [], env = {} } = suites[first] ?? (first ? { files: [first, ...rest] } : everything);
if (first !== "--coverage") requireRedis();
// A Redis that all files share is emptied by each.
if (process.env.TOLLGATE_TEST_REDIS_URL) flags.push("--test-concurrency=1");
const args = ["--conditions=tollgate-source", "--test", ...flags, ...globSync(files).sort()];
const { status } = spawnSync(process.execPath, args, { stdio: "inherit", env: { ...process.env, ...env } });
process.exit(status ?? 1);

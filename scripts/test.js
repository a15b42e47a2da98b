// The test command: every test beside the code and in test/ that needs no other server than a Redis. --servers runs those
// that need more: Postgres, a cluster, Sentinels. --coverage runs those of the kernel and wants every line; --race and --chaos run what depends on time and luck, at full length and judged strictly; --fuzz sends the service 100,000 requests.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { requirePostgres, requireRedis } from "./servers.js";

/** Minutes that a file may take: the longest needs one, and twenty where it runs at full length. */
const FILE_MINUTES = "10";
const LONG = { TOLLGATE_FILE_MINUTES: "60" };

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
  "--servers": { files: ["test/servers/**/*.test.ts"], flags: ["--test-concurrency=2"] },
  "--race": {
    files: ["test/load/race.test.ts"],
    env: { ...LONG, TOLLGATE_RACE_RUNS: "20", TOLLGATE_RACE_STRICT: "1" },
  },
  "--fuzz": { files: ["test/service/fuzz.test.ts"], env: { ...LONG, TOLLGATE_FUZZ_REQUESTS: "100000" } },
  "--chaos": {
    files: ["test/chaos/*.test.ts", "test/servers/schedules.test.ts", "test/servers/postgres-events.test.ts"],
    // Promises in time are judged: nothing else runs beside.
    flags: ["--test-concurrency=1"],
    env: {
      ...LONG,
      TOLLGATE_KILL_ROUNDS: "40",
      TOLLGATE_CHAOS_STRICT: "1",
      TOLLGATE_FAULT_SCHEDULES: "200",
      TOLLGATE_POSTGRES_DROPS: "48",
    },
  },
};
const everything = { files: ["src/**/*.test.ts", "test/**/*.test.ts"], leaves: /^test\/servers\// };

const [first, ...rest] = process.argv.slice(2);
const { files, flags = [], env = {}, leaves } = suites[first] ?? (first ? { files: [first, ...rest] } : everything);
if (first !== "--coverage") requireRedis();
if (files.some((file) => file.startsWith("test/servers/"))) requirePostgres();
// A Redis that all files share is emptied by each.
if (process.env.TOLLGATE_TEST_REDIS_URL) flags.push("--test-concurrency=1");
const found = globSync(files).filter((file) => !leaves?.test(file));
if (found.length === 0) {
  // Without a file the test runner would run whatever it finds.
  console.error(`There are no tests in ${files.join(" ")}.`);
  process.exit(2);
}
const bound = new URL("bound.js", import.meta.url).href;
const args = ["--conditions=tollgate-source", `--import=${bound}`, "--test", ...flags, ...found.sort()];
const bounded = { TOLLGATE_FILE_MINUTES: FILE_MINUTES, ...process.env, ...env };
const { status } = spawnSync(process.execPath, args, { stdio: "inherit", env: bounded });
process.exit(status ?? 1);

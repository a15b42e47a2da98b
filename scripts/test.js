// The test command. Without arguments it runs the short tests, with names of files those. The suites below have flags.
import "../bin/require-node.js";
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { requirePostgres, requireRedis } from "./servers.js";

/** Files that only `npm run test:long` runs: they take long, and servers that are under load miss the deadlines of their clients. */
const LONG =
  /^test\/((chaos|console|load|servers)\/|(client\/failover|e2e\/(ends|redis)|edge\/(load|replay)|stores\/redis-valkey)\.)/;

const EVERY_FILE = ["src/**/*.test.ts", "test/**/*.test.ts"];
const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Minutes that a file may take. One that takes longer is ended, and has failed. */
const FILE_MINUTES = "5";
const UNHURRIED = { TOLLGATE_FILE_MINUTES: "60" };

const cores = availableParallelism();

const oneLinePerFile = [`--test-reporter=${at("reporter.js")}`, "--test-reporter-destination=stdout"];

const suites = {
  // What no flag means.
  "": {
    files: EVERY_FILE,
    leaves: LONG,
    // One file more than there are cores, because many tests wait for something.
    flags: [...oneLinePerFile, `--test-concurrency=${cores + 1}`],
    about: "It takes about 10 minutes on 2 cores. `npm run test:long` runs the others, also on other servers.",
  },
  // What `npm test` leaves.
  "--long": {
    files: EVERY_FILE,
    only: LONG,
    flags: [...oneLinePerFile, `--test-concurrency=${cores}`],
    about: "It takes about 8 minutes on 2 cores.",
  },
  // More of the same cases, and each command in a process of its own.
  "--wide": {
    files: EVERY_FILE,
    flags: [...oneLinePerFile, `--test-concurrency=${cores}`],
    env: { ...UNHURRIED, TOLLGATE_TEST_WIDE: "1" },
    about: "It takes about 40 minutes on 2 cores.",
  },
  "--servers": { files: ["test/servers/**/*.test.ts"], flags: ["--test-concurrency=2"] },
  // Every line of the kernel must run.
  "--coverage": {
    files: ["src/kernel/**/*.test.ts"],
    flags: [
      `--test-concurrency=${cores}`,
      "--experimental-test-coverage",
      "--test-coverage-include=src/kernel/**/*.ts",
      "--test-coverage-exclude=**/*.test.ts",
      "--test-coverage-lines=100",
    ],
    // Code from the cache is counted less exactly.
    env: { NODE_DISABLE_COMPILE_CACHE: "1" },
  },
  // What depends on time and luck, at full length and judged strictly.
  "--race": {
    files: ["test/load/race.test.ts", "test/servers/race.test.ts"],
    flags: ["--test-concurrency=1"],
    env: { ...UNHURRIED, TOLLGATE_RACE_RUNS: "20", TOLLGATE_RACE_STRICT: "1" },
  },
  "--fuzz": { files: ["test/service/fuzz.test.ts"], env: { ...UNHURRIED, TOLLGATE_FUZZ_REQUESTS: "100000" } },
  "--chaos": {
    files: [
      "test/chaos/*.test.ts",
      "test/servers/schedules.test.ts",
      "test/servers/postgres-events.test.ts",
      "test/servers/wide-faults.test.ts",
    ],
    // Promises in time are judged: nothing else runs beside.
    flags: ["--test-concurrency=1"],
    env: {
      ...UNHURRIED,
      TOLLGATE_KILL_ROUNDS: "40",
      TOLLGATE_CHAOS_STRICT: "1",
      TOLLGATE_FAULT_SCHEDULES: "200",
      TOLLGATE_POSTGRES_DROPS: "48",
      TOLLGATE_KILLS: "20",
    },
  },
};

const args = process.argv.slice(2);
const name = args.length === 0 ? "" : args[0] in suites ? args.shift() : null;
const suite = suites[name] ?? { files: args };
const { files, flags = [], env = {}, only, leaves, about } = { ...suite, ...(args.length > 0 && { files: args }) };
/** A folder whose tests another command runs. */
const elsewhere = process.env.TOLLGATE_TEST_LEAVES;
const isElsewhere = (file) => elsewhere !== undefined && file.startsWith(elsewhere);
const found = globSync(files)
  .filter((file) => only?.test(file) !== false && leaves?.test(file) !== true && !isElsewhere(file))
  .sort();
if (found.length === 0) {
  // Without a file the test runner would run whatever it finds.
  console.error(`There are no tests in ${files.join(" ")}.`);
  process.exit(2);
}
if (about !== undefined) console.log(`Runs ${found.length} test files, and prints one line for each. ${about}`);
if (name !== "--coverage") await requireRedis();
if (found.some((file) => file.startsWith("test/servers/"))) await requirePostgres();

// A Redis that all files share is emptied by each.
if (process.env.TOLLGATE_TEST_REDIS_URL) flags.push("--test-concurrency=1");
const status = spawnSync(
  process.execPath,
  ["--conditions=tollgate-source", `--import=${new URL("bound.js", import.meta.url)}`, "--test", ...flags, ...found],
  {
    stdio: "inherit",
    env: {
      TOLLGATE_FILE_MINUTES: FILE_MINUTES,
      // Each file is a process, and starts in half the time with what the others have compiled.
      NODE_COMPILE_CACHE: at("../node_modules/.cache/node-compile"),
      ...process.env,
      ...env,
    },
  },
).status;
process.exit(status ?? 1);

// Sees to a real Redis or Valkey for the tests: on PATH, or by TOLLGATE_TEST_REDIS_URL, else by the system's package
// manager, else says how.
import { spawnSync } from "node:child_process";

const INSTALLERS = [
  ["apt-get", ["update"], ["install", "-y", "--no-install-recommends", "redis-server"]],
  ["dnf", ["install", "-y", "valkey"]],
  ["apk", ["add", "redis"]],
  ["pacman", ["-Sy", "--noconfirm", "valkey"]],
  ["brew", ["install", "redis"]],
];

const runs = (program, ...args) => spawnSync(program, args, { stdio: "ignore" }).status === 0;
const isThere = () => runs("redis-server", "--version") || runs("valkey-server", "--version");

/** Ends the process with 2 when there is no Redis and none can be had. */
export function requireRedis() {
  if (isThere() || process.env.TOLLGATE_TEST_REDIS_URL) return;
  const [program, ...commands] = INSTALLERS.find(([name]) => runs(name, "--version")) ?? [];
  const asRoot = program === "brew" || process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  if (program !== undefined) {
    console.error(`The tests need a real Redis and there is none on PATH: installing it with ${program}.`);
    for (const args of commands) {
      const [command, ...rest] = [...asRoot, program, ...args];
      spawnSync(command, rest, {
        stdio: ["ignore", "ignore", "inherit"],
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      });
    }
  }
  if (isThere()) return;
  console.error(
    "The tests need redis-server (7.0 or newer) or valkey-server on PATH: install one, or set TOLLGATE_TEST_REDIS_URL.",
  );
  process.exit(2);
}

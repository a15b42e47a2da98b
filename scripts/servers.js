// Sees to real servers for the tests: on PATH, by an environment variable, else by the system's package manager, else says
// how.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";

const runs = (program, ...args) => spawnSync(program, args, { stdio: "ignore" }).status === 0;

const REDIS = {
  what: "a real Redis",
  isThere: () =>
    runs("redis-server", "--version") || runs("valkey-server", "--version") || process.env.TOLLGATE_TEST_REDIS_URL,
  packages: { "apt-get": "redis-server", dnf: "valkey", apk: "redis", pacman: "valkey", brew: "redis" },
  otherwise:
    "The tests need redis-server (7.0 or newer) or valkey-server on PATH: install one, or set TOLLGATE_TEST_REDIS_URL.",
};

const POSTGRES = {
  what: "a real Postgres",
  isThere: () => runs("initdb", "--version") || globSync("/usr/lib/postgresql/*/bin/initdb").length > 0,
  packages: {
    "apt-get": "postgresql",
    dnf: "postgresql-server",
    apk: "postgresql",
    pacman: "postgresql",
    brew: "postgresql",
  },
  otherwise: "These tests need Postgres: initdb and postgres on PATH, or in /usr/lib/postgresql/*/bin.",
};

const INSTALLERS = [
  ["apt-get", ["update"], ["install", "-y", "--no-install-recommends"]],
  ["dnf", ["install", "-y"]],
  ["apk", ["add"]],
  ["pacman", ["-Sy", "--noconfirm"]],
  ["brew", ["install"]],
];

/** Ends the process with 2 when a server is not there and cannot be had. */
function require({ what, isThere, packages, otherwise }) {
  if (isThere()) return;
  const [program, ...commands] = INSTALLERS.find(([name]) => runs(name, "--version")) ?? [];
  const asRoot = program === "brew" || process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  if (program !== undefined) {
    console.error(`The tests need ${what} and there is none: installing it with ${program}.`);
    for (const [i, args] of commands.entries()) {
      const last = i === commands.length - 1 ? [packages[program]] : [];
      const [command, ...rest] = [...asRoot, program, ...args, ...last];
      spawnSync(command, rest, {
        stdio: ["ignore", "ignore", "inherit"],
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
      });
    }
  }
  if (isThere()) return;
  console.error(otherwise);
  process.exit(2);
}

export const requireRedis = () => require(REDIS);
export const requirePostgres = () => require(POSTGRES);

// Finds the real servers that tests need. Where one is missing, it says which system package it will install, asks a terminal,
// and installs it. Where it cannot, it says what to do.
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { createInterface } from "node:readline/promises";

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

/** Ends the process with 2 when a server is missing and cannot be installed. */
async function require(server) {
  if (server.isThere()) return;
  const installer = INSTALLERS.find(([program]) => runs(program, "--version"));
  if (installer !== undefined && (await mayInstall(server, installer))) install(server, installer);
  if (server.isThere()) return;
  console.error(server.otherwise);
  process.exit(2);
}

/** Says what would be installed. A terminal is asked; without one the answer is yes. */
async function mayInstall({ what, packages }, [program]) {
  console.log(
    `The tests need ${what}, and there is none. This installs the system package ${packages[program]} with ${program}.`,
  );
  if (!process.stdin.isTTY) return true;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Install it? [y/N] ");
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function install({ packages }, [program, ...commands]) {
  const asRoot = program === "brew" || process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  for (const [i, args] of commands.entries()) {
    const last = i === commands.length - 1 ? [packages[program]] : [];
    const [command, ...rest] = [...asRoot, program, ...args, ...last];
    spawnSync(command, rest, {
      stdio: ["ignore", "ignore", "inherit"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  }
}

export const requireRedis = () => require(REDIS);
export const requirePostgres = () => require(POSTGRES);

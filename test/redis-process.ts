// A real Redis or Valkey: in a folder of its own, on a free port.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

/** A Redis that was started here. */
export interface RedisProcess {
  readonly port: number;
  readonly url: string;
  /** Runs redis-cli on it and returns what it prints. */
  cli(...args: string[]): string;
  /** Stops it with SIGSTOP, so that it is a black hole, and continues it. */
  pause(): void;
  resume(): void;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same port and folder. */
  start(): Promise<void>;
}

const START_ATTEMPTS = 200;
const ATTEMPT_MS = 25;

/** Another program may take a free port first: for its own connection, or the one on which servers of a cluster talk. */
const PORTS_TRIED = 5;

/** Starts one in an empty folder; `settings` as on its command line, such as `--appendonly`, `yes`. */
export async function startRedisIn(folder: string, ...settings: string[]): Promise<RedisProcess> {
  for (let tried = 1; ; tried++) {
    try {
      return await startOn(await freePort(), folder, settings);
    } catch (error) {
      if (tried === PORTS_TRIED) throw error;
    }
  }
}

async function startOn(port: number, folder: string, settings: readonly string[]): Promise<RedisProcess> {
  const program = redisProgram();
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", ...settings];
  let child: ChildProcess;
  const start = async () => {
    child = spawn(program, args, { stdio: "ignore" });
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
      if (child.exitCode !== null) break;
      if (await listens(port)) return;
      await sleep(ATTEMPT_MS);
    }
    child.kill("SIGKILL");
    throw new Error(`${program} did not start on port ${port}`);
  };
  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    cli: (...args) => {
      const name = program.replace("-server", "-cli");
      return spawnSync(name, ["-p", String(port), ...args], { encoding: "utf8" }).stdout.trim();
    },
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
    start,
  };
}

/** The Redis or Valkey on this machine. `npm test` installs one where there is none. */
function redisProgram(): string {
  const found = ["redis-server", "valkey-server"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (found === undefined) throw new Error("no redis-server or valkey-server on PATH: run the tests by `npm test`");
  return found;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

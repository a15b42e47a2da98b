// Real servers for tests: started on free ports in temporary folders, ended with the test file that started them.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { temporaryFolder } from "./temporary.ts";

/** What has to be ended, the newest first: clients before their servers. */
const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

/** The Redis or Valkey on this machine. `npm test` sees to there being one. */
function redisProgram(): string {
  const found = ["redis-server", "valkey-server"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (found === undefined) throw new Error("no redis-server or valkey-server on PATH: run the tests by `npm test`");
  return found;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** A Redis of a test's own. */
export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** A client of its own, closed with the test file. */
  ioredis(): Redis;
  /** Likewise. */
  nodeRedis(): ReturnType<typeof connectNodeRedis>;
  /** Runs redis-cli on it and returns what it prints. */
  cli(...args: string[]): string;
  /** Ends it at once, as a crash does, and starts it again on the same port and folder. */
  restart(): Promise<void>;
  /** Lets it stand still, as a black hole, and go on. */
  pause(): void;
  resume(): void;
  /** Ends it at once. */
  kill(): Promise<void>;
}

function connectNodeRedis(port: number) {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: 50 } });
  endings.push(() => client.destroy());
  return client.on("error", () => {}).connect();
}

/** Starts a Redis; `settings` as on its command line, such as `--appendonly`, `yes`. */
export async function startRedis(...settings: string[]): Promise<RedisServer> {
  const folder = temporaryFolder();
  const port = await freePort();
  const program = redisProgram();
  const cli = (...args: string[]) => {
    const name = program.replace("-server", "-cli");
    return spawnSync(name, ["-p", String(port), ...args], { encoding: "utf8" }).stdout.trim();
  };
  let child: ChildProcess;
  const start = async () => {
    const own = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", ...settings];
    child = spawn(program, own, { stdio: "ignore" });
    for (let tries = 0; tries < 200; tries++) {
      // Whatever it answers (NOAUTH, LOADING), it listens.
      if (cli("PING") !== "") return;
      await sleep(25);
    }
    throw new Error(`${program} did not start on port ${port}`);
  };
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  await start();
  endings.push(kill);
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    ioredis() {
      // An instance whose server dies is told so by its calls; the event is for logs.
      const client = new Redis(port, { retryStrategy: () => 50, autoResendUnfulfilledCommands: false }).on(
        "error",
        () => {},
      );
      endings.push(() => client.disconnect());
      return client;
    },
    nodeRedis: () => connectNodeRedis(port),
    cli,
    pause: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    kill,
    async restart() {
      await kill();
      await start();
    },
  };
}

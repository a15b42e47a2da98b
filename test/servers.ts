// Real servers for tests: started on free ports in temporary folders, ended with the test file that started them.

import { spawnSync } from "node:child_process";
import { after } from "node:test";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { type RedisProcess, startRedisIn } from "./redis-process.ts";
import { temporaryFolder } from "./temporary.ts";

/** What has to be ended, the newest first: clients before their servers. */
const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

/** A Redis that tests may fill and empty. */
export interface AnyRedis {
  readonly url: string;
  /** A client of its own, closed with the test file. */
  ioredis(): Redis;
  /** The same, for another server. */
  nodeRedis(): ReturnType<typeof connectNodeRedis>;
  /** Runs redis-cli on it and returns what it prints. */
  cli(...args: string[]): string;
  /** Empties it. It is much faster than a process of redis-cli for each test. */
  empty(): Promise<void>;
}

/** A Redis of a test's own. */
export interface RedisServer extends AnyRedis, Omit<RedisProcess, "start"> {
  /** Ends it at once, as a crash does, and starts it again on the same port and folder. */
  restart(): Promise<void>;
}

/** Names a server that tests may empty, where none can be started: then they run one file after the other. */
const SHARED_URL = process.env.TOLLGATE_TEST_REDIS_URL;

/** Options of tests that start, stop or set up a server of their own. */
export const ownServers =
  SHARED_URL === undefined ? {} : { skip: "TOLLGATE_TEST_REDIS_URL names a server that is not ours to stop or set up" };

/** The server that TOLLGATE_TEST_REDIS_URL names, else one of the test file's own with these settings. */
export async function anyRedis(...settings: string[]): Promise<AnyRedis> {
  return SHARED_URL === undefined ? startRedis(...settings) : clientsOf(SHARED_URL, cliByClient(SHARED_URL));
}

function clientsOf(url: string, cli: AnyRedis["cli"]): AnyRedis {
  let control: Redis | undefined;
  return {
    url,
    cli,
    ioredis: () => connectIoRedis(url),
    nodeRedis: () => connectNodeRedis(url),
    async empty() {
      control ??= connectIoRedis(url);
      await control.flushall("SYNC");
    },
  };
}

/** redis-cli comes with the server, so where there is none a client of ours stands in. */
function cliByClient(url: string): AnyRedis["cli"] {
  const program = `
    import { Redis } from "ioredis";
    const client = new Redis(process.argv[1]);
    const answer = await client.call(...process.argv.slice(2));
    console.log([answer ?? ""].flat().join("\\n"));
    client.disconnect();
  `;
  return (...args) => {
    const own = ["--input-type=module", "--eval", program, url, ...args];
    return spawnSync(process.execPath, own, { encoding: "utf8" }).stdout.trim();
  };
}

function connectIoRedis(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => 50, autoResendUnfulfilledCommands: false });
  endings.push(() => client.disconnect());
  // An instance whose server dies is told so by its calls; the event is for logs.
  return client.on("error", () => {});
}

function connectNodeRedis(url: string) {
  const client = createClient({ url, socket: { reconnectStrategy: 50 } });
  endings.push(() => client.destroy());
  return client.on("error", () => {}).connect();
}

/** Starts a Redis; `settings` as on its command line, such as `--appendonly`, `yes`. */
export async function startRedis(...settings: string[]): Promise<RedisServer> {
  const server = await startRedisIn(temporaryFolder(), ...settings);
  endings.push(server.kill);
  return {
    ...server,
    ...clientsOf(server.url, server.cli),
    async restart() {
      await server.kill();
      await server.start();
    },
  };
}

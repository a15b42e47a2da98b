// Servers and folders of a benchmark. They end when they are disposed of, and in any case with the process.

import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import pg from "pg";
import { startPostgresIn } from "../test/postgres-process.ts";
import { type RedisProcess, startRedisIn } from "../test/redis-process.ts";

/** A Redis that keeps nothing on disk. */
export interface RedisServer extends RedisProcess, AsyncDisposable {
  readonly version: string;
  /** For questions between measurements. No contender uses it. */
  readonly control: Redis;
  /** The fields of a section of INFO. */
  info(section: string): Promise<ReadonlyMap<string, string>>;
}

interface RedisPlace {
  /**
   * Gives the server the last core and this process's main thread the others. A scheduler may otherwise put both on one core
   * for a whole run, as if they were one program, which no Redis on another machine is. Needs `taskset`.
   */
  readonly ownCore?: boolean;
  /** More of its command line. */
  readonly settings?: readonly string[];
}

export async function startRedis({ ownCore = false, settings = [] }: RedisPlace = {}): Promise<RedisServer> {
  const folder = temporaryFolder();
  const server = await startRedisIn(folder.path, "--appendonly", "no", ...settings);
  const kill = () => void server.kill();
  process.once("exit", kill);
  const control = new Redis(server.port, { retryStrategy: () => 20 }).on("error", () => {});
  const info = async (section: string) => {
    const fields = (await control.info(section)).matchAll(/^([^:\r\n]+):(.*?)\r?$/gm);
    return new Map([...fields].map(([, name = "", value = ""]) => [name, value] as const));
  };
  const about = await info("server");
  if (ownCore) {
    pin(`${LAST_CORE}`, about.get("process_id") ?? "");
    leaveLastCore();
  }
  return {
    ...server,
    version: about.get("redis_version") ?? "unknown",
    control,
    info,
    async [Symbol.asyncDispose]() {
      control.disconnect();
      process.off("exit", kill);
      await server.kill();
      folder[Symbol.dispose]();
    },
  };
}

const LAST_CORE = availableParallelism() - 1;

/** Leaves the last core to a server: the main thread of this process runs on the others, what compiles and collects on all. */
export function leaveLastCore(): void {
  if (LAST_CORE === 0) return;
  pin(`0-${LAST_CORE}`, `${process.pid}`, "--all-tasks");
  pin(`0-${LAST_CORE - 1}`, `${process.pid}`);
}

const pin = (cores: string, pid: string, ...more: string[]) =>
  spawnSync("taskset", [...more, "--cpu-list", "--pid", cores, pid]);

/** Connections of a pool on Postgres. */
export const CONNECTIONS = 10;

export interface PostgresServer extends AsyncDisposable {
  readonly url: string;
  /** For what is done between measurements. No contender uses it. */
  readonly control: pg.Pool;
  /** A pool of `CONNECTIONS`. */
  pool(): pg.Pool;
}

/** Starts a Postgres that writes to disk what it acknowledges, as in production. */
export async function startPostgres(): Promise<PostgresServer> {
  const folder = temporaryFolder();
  const server = await startPostgresIn(folder.path, "fsync=on", "shared_buffers=256MB");
  const kill = () => void server.kill();
  process.once("exit", kill);
  const pool = () => new pg.Pool({ connectionString: server.url, max: CONNECTIONS });
  const control = pool();
  return {
    url: server.url,
    control,
    pool,
    async [Symbol.asyncDispose]() {
      await control.end();
      process.off("exit", kill);
      await server.kill();
      folder[Symbol.dispose]();
    },
  };
}

export function temporaryFolder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "tollgate-bench-"));
  const remove = () => rmSync(path, { recursive: true, force: true });
  process.once("exit", remove);
  return {
    path,
    [Symbol.dispose]() {
      process.off("exit", remove);
      remove();
    },
  };
}

export type ServerName = "redis" | "postgres";

/** The installed servers, by name and version; `null` where there is none. */
export function serverVersions(): Readonly<Record<ServerName, string | null>> {
  const version = (name: string, programs: readonly string[], pattern: RegExp) => {
    const outputs = programs.map((program) => spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? "");
    const found = outputs.map((output) => pattern.exec(output)?.[1]?.trim()).find((each) => each !== undefined);
    return found === undefined ? null : `${name} ${found}`;
  };
  return {
    redis: version("Redis", ["redis-server", "valkey-server"], /v=(\S+)/),
    postgres: version("Postgres", ["initdb", ...globSync("/usr/lib/postgresql/*/bin/initdb")], /\(PostgreSQL\) (.+)/),
  };
}

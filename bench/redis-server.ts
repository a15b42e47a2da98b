// A Redis of a benchmark's own, and what it tells about itself.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { freePort } from "../test/free-port.ts";
import { redisProgram } from "./servers.ts";

export interface RedisServer {
  readonly port: number;
  readonly version: string;
  /** For questions between measurements. No contender uses it. */
  readonly control: Redis;
  /** The fields of a section of INFO. */
  info(section: string): Promise<ReadonlyMap<string, string>>;
  stop(): Promise<void>;
}

/** Starts one on a free loopback port that keeps nothing on disk. */
export async function startRedis(): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-bench-redis-"));
  const port = await freePort();
  const settings = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"];
  const child = spawn(redisProgram(), settings, { stdio: "ignore" });
  const ended = once(child, "exit");
  const killIt = () => child.kill("SIGKILL");
  process.once("exit", killIt);
  const control = new Redis(port, { lazyConnect: true, retryStrategy: () => null }).on("error", () => {});
  const info = async (section: string) => {
    const lines = (await control.info(section)).split("\r\n").filter((line) => line.includes(":"));
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)] as const));
  };
  const stop = async () => {
    control.disconnect();
    killIt();
    await ended;
    process.off("exit", killIt);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await connected(control);
    const version = (await info("server")).get("redis_version") ?? "unknown";
    return { port, version, control, info, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function connected(client: Redis): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await client.connect();
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(50);
    }
  }
}

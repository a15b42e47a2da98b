// A Redis of an outage's own, which can be killed, started again and stopped for a while. It keeps nothing on disk, so
// that a kill is also a loss of every count.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { freePort } from "../../test/free-port.ts";

export interface MortalRedis {
  readonly port: number;
  readonly version: string;
  /** Asks it directly, around every proxy. */
  readonly control: Redis;
  kill(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
  /** Stands still, and goes on. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

export async function startMortalRedis(): Promise<MortalRedis> {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-bench-outage-"));
  const port = await freePort();
  const settings = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no"];
  const control = new Redis(port, { lazyConnect: true, retryStrategy: () => 20 }).on("error", () => {});
  let child: ChildProcess | undefined;
  const killNow = () => child?.kill("SIGKILL");
  process.once("exit", killNow);
  const kill = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    killNow();
    await ended;
  };
  const start = async () => {
    child = spawn("redis-server", settings, { stdio: "ignore" });
    for (let tries = 0; tries < 200; tries++) {
      // Connects again by itself, once it was connected.
      if (control.status === "wait" || control.status === "end") await control.connect().catch(() => {});
      if (control.status === "ready") return;
      await sleep(10);
    }
    throw new Error(`redis-server did not start on port ${port}`);
  };
  const stop = async () => {
    control.disconnect();
    await kill();
    process.off("exit", killNow);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await start();
    const version = /redis_version:(\S+)/.exec(await control.info("server"))?.[1] ?? "unknown";
    const signal = (name: NodeJS.Signals) => () => void child?.kill(name);
    return { port, version, control, kill, start, pause: signal("SIGSTOP"), resume: signal("SIGCONT"), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

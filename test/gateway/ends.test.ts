// However a client or a gateway ends, the server and what it has started end, too.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { call, isAlive, request } from "./stdio-gateway.ts";

const GATEWAY = fileURLToPath(new URL("gateway-process.ts", import.meta.url));

/** A gateway whose server, and the server's own child, ignore the end of their input and SIGTERM. */
async function stubbornGateway(t: TestContext) {
  const args = ["--conditions=tollgate-source", GATEWAY];
  const gateway = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => gateway.kill("SIGKILL"));
  gateway.stdin.on("error", () => {});
  gateway.stdin.write(`${request(1, "stubborn")}\n${call(2, "silent")}\n`);
  const [line] = await once(createInterface({ input: gateway.stdout }), "line");
  const pids: number[] = JSON.parse(line).result;
  t.after(() => {
    for (const pid of pids.filter(isAlive)) process.kill(pid, "SIGKILL");
  });
  assert.deepEqual(pids.map(isAlive), [true, true]);
  return { gateway, pids };
}

/** Waits until none of them is there, and returns how long that took. */
async function gone(pids: readonly number[]): Promise<number> {
  const beganMs = Date.now();
  while (pids.some(isAlive)) {
    assert.ok(Date.now() - beganMs < 20_000, "a process is still there");
    await sleep(20);
  }
  return Date.now() - beganMs;
}

async function exitOf(gateway: ChildProcess): Promise<unknown[]> {
  return once(gateway, "exit");
}

describe("a server that ignores the end of its input and SIGTERM", { timeout: 60_000 }, () => {
  // Fails when only the server's process is ended, and not its group; the last one fails without the watchdog.
  it("leaves no orphan when the client closes, is killed, or kills the gateway", async (t) => {
    const ends: readonly ((gateway: ChildProcess) => unknown)[] = [
      (gateway) => gateway.stdin?.end(),
      (gateway) => gateway.stdin?.destroy(),
      (gateway) => gateway.kill("SIGTERM"),
      (gateway) => gateway.kill("SIGHUP"),
      (gateway) => gateway.kill("SIGKILL"),
    ];
    await Promise.all(
      ends.map(async (end, i) => {
        const { gateway, pids } = await stubbornGateway(t);
        const exit = exitOf(gateway);
        end(gateway);
        await gone(pids);
        assert.deepEqual(await exit, i === 4 ? [null, "SIGKILL"] : [0, null]);
      }),
    );
  });
});

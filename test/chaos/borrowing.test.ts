// Instances borrow from one limit on a real Redis: nearly all of it can be used, also after one of them was killed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLimiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { anyRedis } from "../servers.ts";
import { CALL, POLICY, QUOTA } from "./borrowing-policy.ts";
import { LOADER } from "../sources.ts";

const WORKER = fileURLToPath(new URL("./borrowing-worker.ts", import.meta.url));
const BOUND = QUOTA / 32;
const server = await anyRedis();
const connect = () => createLimiter({ policy: POLICY, store: redisStore(server.ioredis()), denyCacheMs: 0 });

/** Lets a process call for some time and then kills it. Says how many calls were allowed. */
async function runAndKill(lastsMs: number): Promise<number> {
  const args = ["--conditions=tollgate-source", LOADER, WORKER, server.url, String(lastsMs)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(child, "close");
  return bytes;
}

describe("instances that borrow from one limit on Redis", () => {
  it("deny calls when at least 95 % of it was used, and then say to try again soon", async (context) => {
    await server.ioredis().flushall();
    const limiters = [connect(), connect(), connect()];
    let admitted = 0;
    let usedAtFirstDenial: number | null = null;
    const isOver = () => usedAtFirstDenial !== null;
    const load = limiters.map(async (limiter, i) => {
      for (let calls = 0; !isOver(); calls++) {
        const { allowed, retryAfterMs } = await limiter.consume(CALL);
        if (allowed) admitted++;
        else {
          usedAtFirstDenial ??= admitted;
          assert.ok(retryAfterMs === 200 || admitted >= QUOTA - 3, `${retryAfterMs}`);
        }
        // One of them makes nearly all calls; the others make some, and rest.
        if (i > 0 && calls % 50 === 49) await sleep(40);
      }
    });
    await Promise.all(load);
    context.diagnostic(`${usedAtFirstDenial} of ${QUOTA} were used at the first denial`);
    assert.ok((usedAtFirstDenial ?? 0) >= 0.95 * QUOTA, `${usedAtFirstDenial}`);
    for (let tries = 0; tries < 20 && admitted < QUOTA; tries++) {
      await sleep(100);
      while ((await limiters[0]?.consume(CALL))?.allowed) admitted++;
    }
    assert.equal(admitted, QUOTA);
    await Promise.all(limiters.map((limiter) => limiter.close()));
  });

  it("lose at most a thirty-second of it when one is killed", async (context) => {
    await server.ioredis().flushall();
    const admitted = (await Promise.all([runAndKill(250), runAndKill(250)])).reduce((sum, each) => sum + each);
    const limiter = connect();
    const used = (await limiter.usage(CALL))[0]?.used ?? 0;
    context.diagnostic(`${admitted} calls were allowed, ${used - admitted} units were lost`);
    assert.ok(used - admitted <= BOUND, `${used} are used, ${admitted} calls were allowed`);
    let others = 0;
    while ((await limiter.consume(CALL)).allowed) others++;
    assert.equal(admitted + others, QUOTA - (used - admitted));
    await limiter.close();
  });
});

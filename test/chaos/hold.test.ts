// A process that is killed while it holds units: they are charged or freed as each limit says, its place among those at
// work comes back within the lease, and a retry of the call under its key is charged once.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLimiter } from "tollgate";
import { openStore } from "../../src/cli/store-url.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { callOf, LEASE_MS, POLICY } from "./hold-policy.ts";
import { LOADER } from "../sources.ts";

const WORKER = fileURLToPath(new URL("./hold-worker.ts", import.meta.url));
/** What a promise in time may be late by: a decision, and this machine's timers. */
const SLACK_MS = 250;

const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

/** Starts a process, and resolves with it and its first line. */
async function start(...args: string[]): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(process.execPath, ["--conditions=tollgate-source", LOADER, WORKER, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const [line] = await once(child.stdout, "data");
  return { child, line: String(line).trim() };
}

async function kill(child: ChildProcess): Promise<number> {
  child.kill("SIGKILL");
  await once(child, "close");
  return performance.now();
}

const stores = {
  SQLite: `sqlite:${join(temporaryFolder(), "holds.db")}`,
  Redis: (await anyRedis()).url,
};

for (const [name, url] of Object.entries(stores)) {
  describe(`a process killed between reserve and settle, on ${name}`, () => {
    const session = `${name}-${process.pid}`;
    const limiterOf = async () => {
      const { store, close } = await openStore(url);
      after(close);
      return createLimiter({ policy: POLICY, store, failover: { deadlineMs: 10_000 } });
    };
    const usedOf = async (limiter: Awaited<ReturnType<typeof limiterOf>>, of: string) =>
      Object.fromEntries((await limiter.usage({ session: of })).map(({ limit, used }) => [limit, used]));
    /** How long after the kill another call of the session could take the place. */
    const freedAfterMs = async (limiter: Awaited<ReturnType<typeof limiterOf>>, of: string, killedMs: number) => {
      const call = { tool: "other", session: of, cost: { tokens: 1, credits: 1 } };
      while (!(await limiter.peek(call)).allowed) await sleep(2);
      return performance.now() - killedMs;
    };

    it("charges, refunds, and frees its slot within the lease", async (context) => {
      const limiter = await limiterOf();
      const { child } = await start("reserve", url, session);
      const killedMs = await kill(child);
      assert.deepEqual(await usedOf(limiter, session), { charged: 400, refunded: 300, "at-once": 1 });
      const freedMs = await freedAfterMs(limiter, session, killedMs);
      assert.deepEqual(await usedOf(limiter, session), { charged: 400, refunded: 0, "at-once": 0 });
      context.diagnostic(`free ${Math.round(freedMs)} ms after the kill, lease ${LEASE_MS} ms`);
      assert.ok(freedMs <= LEASE_MS + SLACK_MS, `${freedMs} ms`);
    });

    it("charges once when others try the call again under its key", async () => {
      const limiter = await limiterOf();
      const of = `${session}-again`;
      const first = await start("reserve", url, of, "60000");
      await kill(first.child);
      const second = await start("reserve", url, of, "60000");
      assert.equal(second.line, first.line.replace("false", "true"));
      await kill(second.child);
      const held = await limiter.reserve(callOf(of));
      assert.ok(held.allowed && held.replayed);
      assert.equal(`${held.hold.id} false`, first.line);
      await held.hold.settle({ tokens: 250 });
      assert.deepEqual(await usedOf(limiter, of), { charged: 250, refunded: 300, "at-once": 0 });
    });

    it("frees what a run extended again and again, within a lease of its end", async (context) => {
      const limiter = await limiterOf();
      const of = `${session}-run`;
      const { child } = await start("run", url, of);
      await sleep(LEASE_MS * 1.5);
      assert.deepEqual(await usedOf(limiter, of), { charged: 400, refunded: 300, "at-once": 1 });
      const freedMs = await freedAfterMs(limiter, of, await kill(child));
      context.diagnostic(`free ${Math.round(freedMs)} ms after the kill, lease ${LEASE_MS} ms`);
      assert.ok(freedMs <= LEASE_MS + SLACK_MS, `${freedMs} ms`);
      assert.deepEqual(await usedOf(limiter, of), { charged: 400, refunded: 0, "at-once": 0 });
    });
  });
}

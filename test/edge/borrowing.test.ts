// Isolates of one Worker borrow units of one limit, inside real workerd.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { PolicyInput } from "tollgate";
import type { Driven } from "./borrowing-worker.ts";
import { dataFolder, type RunningWorker, startWorker } from "./workerd.ts";

const ISOLATES = [0, 1, 2];
const start = (folder?: string) =>
  startWorker({ file: "borrowing-worker.ts", isolates: ISOLATES.length, flags: [], ...(folder && { folder }) });

type LimitInput = PolicyInput["limits"][number];
const hot = (quota: number): LimitInput => ({ name: "hot", per: ["tool"], quota, borrow: "auto" });
const call = (tool: string, quota: number, ...others: LimitInput[]) => ({
  policy: { version: 1, limits: [hot(quota), ...others] },
  tool,
});

const to = <Answer>(worker: RunningWorker, isolate: number, route: string, body?: unknown) =>
  worker.ask<Answer>("to", { isolate, route, body });

/** How many messages all isolates have sent to objects. */
async function sent(worker: RunningWorker): Promise<number> {
  const counts = await Promise.all(ISOLATES.map((isolate) => to<number>(worker, isolate, "sent")));
  return counts.reduce((sum, each) => sum + each, 0);
}

/** Waits until it is so, for 10 s. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    assert.ok(tries < 200, "it did not come to that within 10 s");
    await sleep(50);
  }
}

const worker = await start();

describe("isolates that borrow from one limit", () => {
  it("use exactly its quota, and deny no call before 95 % of it was used", async () => {
    const quota = 2_000;
    const load = { ...call("exact", quota), isolates: ISOLATES, lanes: 16, perSecond: 2_000 };
    const first = await worker.ask<Driven>("drive", { ...load, forMs: 10_000, untilDenied: true });
    assert.ok((first.allowedAtFirstDenial ?? 0) >= 0.95 * quota, JSON.stringify(first));
    let { allowed } = first;
    const isUsed = async () => {
      const more = await worker.ask<Driven>("drive", { ...load, forMs: 50, perSecond: 200 });
      allowed += more.allowed;
      return allowed >= quota;
    };
    await until(isUsed);
    await isUsed();
    assert.equal(allowed, quota);
    assert.equal(await to(worker, 0, "used", call("exact", quota)), quota);
  });

  it("send few messages, return what calls did not use, and then send none", async () => {
    const perSession: LimitInput = { name: "per-session", per: ["session"], quota: 30 };
    const body = call("returned", 100_000, perSession);
    const before = await sent(worker);
    const load = { ...body, isolates: ISOLATES, lanes: 16, perSecond: 400, forMs: 1_500, sessions: 10 };
    const { allowed, denied, failed } = await worker.ask<Driven>("drive", load);
    assert.deepEqual([allowed, failed], [300, 0]);
    const calls = allowed + denied;
    assert.ok(calls > 400, `${calls}`);
    await until(async () => (await to(worker, 0, "used", body)) === allowed);
    const messages = (await sent(worker)) - before;
    assert.ok(messages < 2 * calls, `${messages} messages for ${calls} calls`);
    await sleep(300);
    const idle = await sent(worker);
    await sleep(500);
    assert.equal(await sent(worker), idle);
  });

  it("put back what was taken for a call that is denied, also when its caller is gone", async () => {
    const perSession = {
      name: "per-session",
      per: ["session"],
      quotas: { session: { none: 0 } },
      quota: 10_000,
    } as const;
    const body = call("gone", 100_000, perSession);
    const load = { ...body, isolates: [1], lanes: 8, perSecond: 400, forMs: 600 };
    const { allowed } = await worker.ask<Driven>("drive", load);
    await to(worker, 1, "away", 300);
    const isAnswered = await worker.ask("leave", { ...body, session: "none", isolate: 1, calls: 4, afterMs: 100 });
    await to(worker, 1, "away", 0);
    assert.equal(isAnswered, false);
    await until(async () => (await to(worker, 0, "used", body)) === allowed);
  });

  it("go on when the object does not answer, and lose no unit", async () => {
    const body = { ...call("outage", 100_000), failover: { isolates: ISOLATES.length } };
    const fault = (fault: "fails" | null) => worker.ask("fault", { name: "rate:1:{tool=outage}", fault });
    const load = { ...body, isolates: ISOLATES, lanes: 16, perSecond: 300, forMs: 1_800 };
    const driving = worker.ask<Driven>("drive", load);
    await sleep(600);
    await fault("fails");
    await sleep(600);
    await fault(null);
    const { allowed, denied, failed } = await driving;
    assert.deepEqual([denied, failed], [0, 0]);
    await until(async () => (await to(worker, 0, "used", body).catch(() => null)) === allowed);
  });

  it("need far fewer messages than calls where each has many", async () => {
    const before = await sent(worker);
    const load = { ...call("many", 1_000_000), isolates: [0], lanes: 16, perSecond: 300, forMs: 1_000 };
    const { allowed } = await worker.ask<Driven>("drive", load);
    const messages = (await sent(worker)) - before;
    assert.ok(messages < allowed / 2, `${messages} messages for ${allowed} calls`);
  });
});

describe("isolates that are killed under load", () => {
  it("lose at most a thirty-second of the limit, and others borrow again", async () => {
    const quota = 1_600;
    const lanes = 24;
    const body = call("killed", quota);
    const folder = dataFolder();
    const killed = await start(folder);
    let acknowledged = 0;
    let isKilled = false;
    const lane = async (_: unknown, i: number) => {
      while (!isKilled) {
        const answer = await to<{ allowed: boolean }>(killed, i % 3, "call", { ...body, session: "s1" }).catch(
          () => null,
        );
        if (answer === null) return;
        assert.equal(answer.allowed, true);
        acknowledged++;
      }
    };
    const load = Array.from({ length: lanes }, lane);
    while (acknowledged < 300) await sleep(5);
    process.kill(killed.pid, "SIGKILL");
    isKilled = true;
    await Promise.all(load);
    await killed.stop();
    const again = await start(folder);
    const used = await to<number>(again, 0, "used", body);
    const lost = used - acknowledged;
    assert.ok(lost >= 0 && lost <= quota / 32 + lanes, `${acknowledged} acknowledged, ${used} used`);
    const drive = { ...body, isolates: ISOLATES, lanes: 16, perSecond: 2_000 };
    let { allowed } = await again.ask<Driven>("drive", { ...drive, forMs: 10_000, untilDenied: true });
    await until(async () => {
      allowed += (await again.ask<Driven>("drive", { ...drive, forMs: 50, perSecond: 200 })).allowed;
      return allowed >= quota - used;
    });
    assert.equal(allowed, quota - used);
  });
});

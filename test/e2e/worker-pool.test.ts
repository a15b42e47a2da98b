import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import type { ReplayAnswer, ReplayCall, ReplaySettings } from "../../src/cli/replay-job.ts";
import type { WorkerFault } from "../../src/cli/worker.ts";
import { Worker, WorkerError } from "../../src/cli/worker-pool.ts";
import { isAlive, until } from "./tollgate.ts";

const task: ReplayCall = { call: { tool: "x", session: "s" }, hasFailed: false, result: undefined };
const settings: ReplaySettings = {
  policy: "version: 1\nlimits: [{ name: a, per: [session], quota: 9 }]",
  store: "memory:",
  prefix: "test",
};

const workers: Worker<ReplayCall, ReplayAnswer>[] = [];
const startWorker = (changes: Partial<ReplaySettings> = {}) => {
  const worker = new Worker<ReplayCall, ReplayAnswer>("replay", { ...settings, ...changes });
  workers.push(worker);
  return worker;
};
afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.stop();
  await until(() => !process.getActiveResourcesInfo().includes("ProcessWrap"));
});

const isFault = (kind: WorkerFault["kind"], message: RegExp) => (error: unknown) =>
  error instanceof WorkerError && error.fault.kind === kind && message.test(error.fault.message);

describe("a worker", { timeout: 60_000 }, () => {
  it("that is killed while idle fails every later task and restart, at once", async () => {
    const worker = startWorker();
    const { pid } = await worker.perform(task);
    process.kill(pid, "SIGKILL");
    const gone = { message: `process ${pid} ended: SIGKILL` };
    // The first may be sent before anyone knows.
    await assert.rejects(worker.perform(task), { fault: { kind: "ended", ...gone } });
    await assert.rejects(worker.perform(task), gone);
    await assert.rejects(worker.restart(), gone);
    await assert.rejects(worker.perform(task), gone);
  });

  it("that is killed at work fails its task, and a restart that waits for it", async () => {
    const worker = startWorker();
    const { pid } = await worker.perform(task);
    process.kill(pid, "SIGSTOP");
    const stuck = worker.perform(task);
    const restart = worker.restart();
    const next = worker.perform(task);
    const all = Promise.allSettled([stuck, restart, next]);
    process.kill(pid, "SIGKILL");
    for (const settled of await all) {
      assert.equal(settled.status, "rejected");
      assert.equal(settled.reason.message, `process ${pid} ended: SIGKILL`);
    }
  });

  it("restarts only when its tasks are done, and takes new ones in the next process", async () => {
    const worker = startWorker();
    const early = [worker.perform(task), worker.perform(task)];
    const { killed, started } = await worker.restart();
    for (const { pid } of await Promise.all(early)) assert.equal(pid, killed);
    assert.equal((await worker.perform(task)).pid, started);
    assert.ok(!isAlive(killed));
  });

  it("that cannot start reports why, and still exits", async () => {
    const misuse = startWorker({ prefix: "bad prefix!" });
    await assert.rejects(misuse.perform(task), isFault("misuse", /^prefix: expected/));
    await assert.rejects(misuse.restart(), /^Error: prefix: expected/);
    await misuse.stop();
    await assert.rejects(startWorker({ store: "redis://127.0.0.1:1" }).perform(task), isFault("store", /ECONNREFUSED/));
  });

  it("can be stopped before it is ready, while it restarts, and when it does not answer", async () => {
    const young = startWorker();
    await young.stop();
    await assert.rejects(young.perform(task), /ended: SIGKILL/);

    const restarting = startWorker();
    await restarting.perform(task);
    const restart = restarting.restart();
    await Promise.all([assert.rejects(restart, /ended: SIGKILL/), restarting.stop()]);

    const mute = startWorker();
    const { pid } = await mute.perform(task);
    process.kill(pid, "SIGSTOP");
    await Promise.all([assert.rejects(mute.perform(task), /ended: SIGKILL/), mute.stop()]);
    await until(() => !isAlive(pid));
  });
});

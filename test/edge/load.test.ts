// Many callers at one object, and workerd killed under load.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { dataFolder, type RunningWorker, startWorker } from "./workerd.ts";

const CALLERS = 64;

/** Runs lanes of calls until one of them returns `false`. */
async function inLanes(lanes: number, call: (lane: number) => Promise<boolean>): Promise<void> {
  const lane = async (_: unknown, i: number) => {
    while (await call(i));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

const consume = (worker: RunningWorker, session: string, calls = 1) =>
  worker.ask<number>("consume", { session, calls });

describe("callers of one quota", () => {
  it("are admitted exactly as often as it says", async () => {
    const worker = await startWorker();
    let admitted = 0;
    let left = 1_100 / 5;
    await inLanes(CALLERS, async () => {
      if (left-- <= 0) return false;
      const count = await consume(worker, "shared", 5);
      admitted += count;
      return true;
    });
    assert.equal(admitted, 1_000);
    assert.equal(await worker.ask("used", "shared"), 1_000);
  });
});

describe("requests of one Worker", () => {
  it("need nothing of Node", async () => {
    const worker = await startWorker({ file: "../../bench/edge/worker.ts", flags: [] });
    const took = await worker.ask<number[]>("", { kind: "two limits", objects: 2, lanes: 2, calls: 4 });
    assert.equal(took.length >= 4, true);
  });

  it("get quotas also where the request has ended that asked for them first", async () => {
    const worker = await startWorker();
    const quotas = (sessions: string[], withinMs = 10_000) =>
      worker.ask<(number | null)[] | null>("quota", { sessions, withinMs });
    // As many as are asked for at a time.
    const lost = Array.from({ length: 64 }, (_, i) => `s${i}`);
    assert.equal(await quotas(lost, 10), null);
    assert.deepEqual(await quotas(["s1", "new"]), [5, 5]);
    await sleep(1_000);
    assert.deepEqual(await quotas(["s2", "another"]), [5, 3]);
  });

  it("wait for each other's slots, in their order", async () => {
    const worker = await startWorker();
    const begunMs = performance.now();
    const asked = Array.from({ length: 4 }, () => worker.ask<number | null>("slot", { session: "s1", heldMs: 50 }));
    const took = await Promise.all(asked);
    assert.ok(!took.includes(null), String(took));
    assert.ok(performance.now() - begunMs >= 195, String(took));
  });
});

describe("an object that is evicted under load", () => {
  it("has stored what it acknowledged", async () => {
    const worker = await startWorker();
    const evict = () => worker.ask("object", { partition: "evicted", method: "evict" });
    let acknowledged = 0;
    let answers = 0;
    let failed = 0;
    let evictions = 0;
    const load = inLanes(8, async () => {
      try {
        const count = await consume(worker, "evicted");
        acknowledged += count;
        answers++;
      } catch {
        failed++;
      }
      return evictions < 10;
    });
    for (; evictions < 10; evictions++) {
      const before = answers;
      while (answers < before + 20) await sleep(1);
      await assert.rejects(evict(), /evicted/);
    }
    await load;
    const used = await worker.ask<number>("used", "evicted");
    assert.ok(failed > 0, "no call was under way");
    assert.ok(
      used >= acknowledged && used <= acknowledged + failed,
      `${acknowledged}, ${failed} failed, ${used} stored`,
    );
  });
});

describe("a workerd that is killed under load", () => {
  it("has stored what it acknowledged, and starts again with that", async () => {
    const folder = dataFolder();
    const worker = await startWorker({ folder });
    const sessions = ["k1", "k2", "k3"];
    const acknowledged = new Map(sessions.map((session) => [session, 0]));
    const stored = new Map<string, number>();
    let isKilled = false;
    const load = inLanes(9, async (i) => {
      const session = sessions[i % sessions.length] as string;
      try {
        const count = await consume(worker, session);
        acknowledged.set(session, (acknowledged.get(session) ?? 0) + count);
      } catch {
        return false;
      }
      return !isKilled;
    });
    const sum = () => [...acknowledged.values()].reduce((one, other) => one + other, 0);
    while (sum() < 300) await sleep(5);
    process.kill(worker.pid, "SIGKILL");
    isKilled = true;
    await load;
    // Miniflare starts it again by itself, on the same data.
    while ((await worker.ask("used", "k1").catch(() => null)) === null) await sleep(50);
    for (const session of sessions) {
      const count = acknowledged.get(session) ?? 0;
      const used = await worker.ask<number>("used", session);
      assert.ok(used >= count && used <= count + 3, `${session}: ${count} acknowledged, ${used} stored`);
      stored.set(session, used);
    }
    await worker.stop();
    const again = await startWorker({ folder });
    for (const [session, used] of stored) assert.equal(await again.ask("used", session), used);
  });
});

// How commands end when something outside ends them, or an unexpected error inside.

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { wideRunOnly } from "../length.ts";
import { temporaryFolder } from "../temporary.ts";
import { isAlive, noteWorkers, preload, start, tollgate, until, workersIn } from "./tollgate.ts";

const folder = temporaryFolder();
writeFileSync(join(folder, "policy.yaml"), "version: 1\nlimits: [{ name: a, per: [session], quota: 1000000 }]");
writeFileSync(join(folder, "long.jsonl"), '{"session":"s","turn":1,"tool":"x"}\n'.repeat(200_000));
const replay = ["replay", "long.jsonl", "--policy", "policy.yaml", "--instances", "2"];

describe("a signal", () => {
  const commands = { replay, demo: ["demo"] };
  const signals = [
    ["SIGINT", "the whole process group, as Ctrl-C", 130],
    ["SIGTERM", "the command alone", 143],
  ] as const;
  for (const [name, args] of Object.entries(commands)) {
    for (const [signal, whom, status] of signals) {
      const options = (name === "replay") === (signal === "SIGINT") ? {} : wideRunOnly;
      it(`ends ${name} with its workers and its folder: ${signal} to ${whom}`, options, async () => {
        const temporary = join(folder, `${name}-${signal}`);
        mkdirSync(temporary);
        const file = join(folder, `${name}-${signal}.log`);
        const { child, ran } = start(args, folder, { ...noteWorkers(file), TMPDIR: temporary });
        const workers = await workersIn(file, name === "demo" ? 3 : 2);
        assert.equal(readdirSync(temporary).length, 1);
        await sleep(500);
        process.kill(signal === "SIGINT" ? -(child.pid ?? 0) : (child.pid ?? 0), signal);
        const { status: ended, stderr } = await ran;
        assert.deepEqual([ended, stderr], [status, ""]);
        assert.deepEqual(readdirSync(temporary), []);
        await until(() => !workers.some(isAlive));
      });
    }
  }
});

describe("a worker that is killed from outside", () => {
  it("ends a replay with a clear line and 3", async () => {
    const file = join(folder, "killed.log");
    const { ran } = start(replay, folder, noteWorkers(file));
    const [pid = 0] = await workersIn(file, 2);
    // Now it decides every other call, and is idle in between.
    await sleep(500);
    process.kill(pid, "SIGKILL");
    assert.deepEqual(await ran, { status: 3, stdout: "", stderr: `tollgate: process ${pid} ended: SIGKILL\n` });
  });
});

describe("an unexpected error", () => {
  const fault = 'throw new Error("unforeseen")';

  it("prints its stack and exits with 70, in the command and in a worker", async () => {
    writeFileSync(join(folder, "short.jsonl"), '{"session":"s","turn":1,"tool":"x"}\n');
    const inCommand = preload(`crypto.randomUUID = () => { ${fault} };`);
    const inWorker = preload(`if (process.argv[2] === "worker") performance.now = () => { ${fault} };`);
    const later = preload(`if (process.argv[2] === "replay") setTimeout(() => { ${fault} }, 100);`);
    for (const env of [inCommand, inWorker, later]) {
      const { status, stdout, stderr } = await tollgate(
        ["replay", "short.jsonl", "--policy", "policy.yaml"],
        folder,
        env,
      );
      assert.match(stderr, /^tollgate: a fault of its own, please report it:\n.*Error: unforeseen\n {4}at /);
      assert.deepEqual([status, stdout], [70, ""]);
    }
  });
});

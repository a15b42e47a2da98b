// Two processes whose calls wait for the same two slots in one Redis: never more than two are at work, and all of them are
// served.

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, it } from "node:test";
import { anyRedis } from "../servers.ts";
import type { SlotOrder, SlotReport } from "./wait-slots-worker.ts";
import { LOADER } from "../sources.ts";

const WORKER = new URL("./wait-slots-worker.ts", import.meta.url);
const CALLS = 12;
const SLOTS = 2;

const server = await anyRedis();
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

async function messageOf(child: ChildProcess): Promise<unknown> {
  const ended = once(child, "exit").then(([code]) => assert.fail(`a process ended with ${code}`));
  ended.catch(() => {});
  const [message] = await Promise.race([once(child, "message"), ended]);
  return message;
}

it("never exceed the slots, and finish all of their calls", async () => {
  const order: SlotOrder = { url: server.url, session: `slots-${process.pid}`, slots: SLOTS, calls: CALLS };
  const processes = [0, 1].map(() => fork(WORKER, { execArgv: ["--conditions=tollgate-source", LOADER] }));
  children.push(...processes);
  await Promise.all(processes.map(messageOf));
  const reports = processes.map(messageOf);
  for (const each of processes) each.send(order);
  for (const { allowed, most } of (await Promise.all(reports)) as SlotReport[]) {
    assert.equal(allowed, CALLS);
    assert.ok(most <= SLOTS, `${most} calls at work`);
  }
});

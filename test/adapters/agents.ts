// What the tests of adapters share: a policy, a tool whose calls leave a mark outside of the limiter, and agents that run
// in several processes.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import { Redis } from "ioredis";
import { createLimiter, type Limiter, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { temporaryFolder } from "../temporary.ts";
import { isWide } from "../length.ts";
import { LOADER } from "../sources.ts";

export const QUOTA = 10;
export const PROCESSES = 3;
/** Calls that a model makes in one step where it makes several. */
export const PARALLEL = 8;

/** Ten calls of a tool in a session, by any framework. */
export const POLICY: PolicyInput = {
  version: 1,
  limits: [{ name: "tool-per-session", per: ["session", "tool"], quota: QUOTA, resetAfterIdle: "1h" }],
};

/** What a process is told. */
export interface Order {
  readonly url: string;
  readonly session: string;
  /** Where each call of the tool leaves its mark. */
  readonly marks: string;
  /** Which of the ways to run an agent. */
  readonly way: string;
}

/** What came of an agent's run. */
export interface AgentRun {
  /** The last thing that the model said. */
  readonly answer: string;
  /** What the model read as results of its calls, one text for each. */
  readonly results: readonly string[];
}

/** By worker. Their start takes longer than a run, so that agents share them, but not in wide runs. */
const children = new Map<string, readonly ChildProcess[]>();
let runs = 0;

async function childrenOf(worker: URL): Promise<readonly ChildProcess[]> {
  const key = isWide ? `${worker} ${runs}` : worker.href;
  const known = children.get(key);
  if (known !== undefined) return known;
  const started = Array.from({ length: PROCESSES }, () =>
    fork(worker, { execArgv: ["--conditions=tollgate-source", LOADER] }),
  );
  children.set(key, started);
  await Promise.all(started.map(messageOf));
  return started;
}

async function messageOf(child: ChildProcess): Promise<unknown> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`an agent's process ended with ${code}`);
  });
  const message = once(child, "message").then(([sent]) => sent);
  ended.catch(() => {});
  return Promise.race([message, ended]);
}

/** Runs agents of one session in several processes, and says how often the tool itself was called. */
export async function runAgents(worker: URL, url: string, way: string) {
  const marks = join(temporaryFolder(), "marks");
  const order: Order = { url, marks, way, session: `${way}-${process.pid}-${runs++}` };
  const processes = await childrenOf(worker);
  const agents = await Promise.all(
    processes.map(async (child) => {
      child.send(order);
      return (await messageOf(child)) as AgentRun;
    }),
  );
  return { agents, calls: marksIn(marks) };
}

/** How many marks are in a file. */
export function marksIn(file: string): number {
  return existsSync(file) ? statSync(file).size : 0;
}

/** Leaves a mark: what a call of the tool really does. */
export function mark(file: string): void {
  appendFileSync(file, ".");
}

/** Runs an agent for each order. For the processes of `runAgents`. */
export function serveAgent(run: (limiter: Limiter, order: Order) => Promise<AgentRun>, policy = POLICY): void {
  process.on("message", async (order: Order) => {
    const client = new Redis(order.url, { autoResendUnfulfilledCommands: false });
    const limiter = createLimiter({ policy, store: redisStore(client), failover: { deadlineMs: 10_000 } });
    const done = await run(limiter, order);
    await limiter.close();
    client.disconnect();
    process.send?.(done);
  });
  process.send?.("ready");
}

if (process.send === undefined) {
  after(() => {
    for (const child of [...children.values()].flat()) child.kill("SIGKILL");
  });
}

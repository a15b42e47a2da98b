// Many calls of several processes wait for one token bucket: they are served in the order in which they came to the
// store, at the rate of the limit, and one that gives up lets no two through at one instant.

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLimiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { anyRedis } from "../servers.ts";
import { isStrict } from "./outage.ts";
import { EVERY_MS, POLICY } from "./wait-policy.ts";
import type { Row, Waited } from "./wait-worker.ts";
import { LOADER } from "../sources.ts";

const WORKER = fileURLToPath(new URL("./wait-worker.ts", import.meta.url));
const PROCESSES = 3;
const CALLERS = 64;
/** What a timer may be late by. */
const SLACK_MS = 250;

const server = await anyRedis();
// The server knows the script from here on: who sends it first would have to send it twice.
await createLimiter({ policy: POLICY, store: redisStore(server.ioredis()) }).consume({
  tool: "search",
  session: "first",
  user: "u",
});
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

/** A process's next message. */
async function messageOf(child: ChildProcess): Promise<unknown> {
  const ended = once(child, "exit").then(([code]) => assert.fail(`a process ended with ${code}`));
  const [message] = await Promise.race([once(child, "message"), ended]);
  return message;
}

/** Lets all calls wait; resolves with what came of them, in the order in which they came to the store. */
async function row(session: string, abortsAfterMs: (i: number) => number | null) {
  const monitor = await server.ioredis().monitor();
  const arrivals: string[] = [];
  let commands = 0;
  monitor.on("monitor", (_time: string, args: string[], source: string) => {
    // What the script itself does is not a command of ours.
    if (source === "lua") return;
    const keys = args.filter((arg) => arg.includes(session));
    if (keys.length > 0) commands++;
    for (const key of keys) {
      const user = /:(call-\w+)$/.exec(key)?.[1];
      if (user !== undefined && !arrivals.includes(user)) arrivals.push(user);
    }
  });
  const calls = Array.from({ length: CALLERS }, (_, i) => ({
    user: `call-${i}`,
    afterMs: (i * 7) % 40,
    abortsAfterMs: abortsAfterMs(i),
  }));
  const workers = await Promise.all(
    Array.from({ length: PROCESSES }, async () => {
      const child = fork(WORKER, { execArgv: ["--conditions=tollgate-source", LOADER] });
      children.push(child);
      await messageOf(child);
      return child;
    }),
  );
  // All of them are there by now, and begin together.
  const startMs = Date.now() + 200;
  const waited = await Promise.all(
    workers.map(async (child, of) => {
      const order: Row = { url: server.url, session, startMs, calls: calls.filter((_, i) => i % PROCESSES === of) };
      child.send(order);
      return (await messageOf(child)) as Waited[];
    }),
  );
  await sleep(50);
  monitor.disconnect();
  const all = waited.flat();
  const inOrder = arrivals.map((user) => all.find((each) => each.user === user) ?? assert.fail(user));
  assert.equal(inOrder.length, CALLERS);
  return { calls: inOrder, commands };
}

function assertServed(served: readonly Waited[]): number {
  let latestMs = 0;
  for (const [i, { turnMs, servedMs }] of served.entries()) {
    const before = served[i - 1];
    assert.ok(before === undefined || turnMs - before.turnMs >= EVERY_MS, `turns at ${before?.turnMs} and ${turnMs}`);
    assert.ok((servedMs ?? 0) >= turnMs, `served at ${servedMs}, its turn was at ${turnMs}`);
    latestMs = Math.max(latestMs, (servedMs ?? 0) - turnMs);
  }
  assert.ok(latestMs < SLACK_MS, `served ${latestMs} ms late`);
  return latestMs;
}

function inServedOrder(calls: readonly Waited[]): Waited[] {
  return [...calls].sort((one, other) => (one.servedMs ?? 0) - (other.servedMs ?? 0));
}

describe(`${CALLERS} calls of ${PROCESSES} processes that wait for one token bucket on Redis`, () => {
  it("are served in their order, at the rate of the limit, with one command each", async (context) => {
    const { calls, commands } = await row(`row-${process.pid}`, () => null);
    const latestMs = assertServed(calls);
    const lastMs = (calls.at(-1)?.turnMs ?? 0) - (calls[0]?.turnMs ?? 0);
    assert.equal(lastMs, (CALLERS - 1) * EVERY_MS);
    assert.ok(calls.every(({ asked }) => asked === 1));
    // A process that stood still serves its calls after later ones of others.
    for (let of = 0; of < PROCESSES; of++) {
      const own = calls.filter(({ user }) => Number(user.replace("call-", "")) % PROCESSES === of);
      assert.ok(own.length > 0);
      assert.deepEqual(inServedOrder(own), own);
    }
    if (isStrict) assert.deepEqual(inServedOrder(calls), calls);
    assert.ok(commands <= CALLERS);
    context.diagnostic(`${commands} commands, at most ${latestMs.toFixed(1)} ms after their turns`);
  });

  it("get no equal turns when some give up", async (context) => {
    const { calls, commands } = await row(`aborted-${process.pid}`, (i) =>
      i % 3 === 0 ? 60 + ((i * 37) % 800) : null,
    );
    const served = calls.filter(({ servedMs }) => servedMs !== null);
    const latestMs = assertServed(served);
    assert.ok(served.length < CALLERS - 8 && served.length >= CALLERS / 2, `${served.length} served`);
    assert.ok(calls.every(({ asked }) => asked <= 2));
    assert.ok(commands <= 2 * CALLERS);
    context.diagnostic(
      `${served.length} served, ${commands} commands, at most ${latestMs.toFixed(1)} ms after their turns`,
    );
  });
});

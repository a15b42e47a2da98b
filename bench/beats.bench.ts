// What idle instances cost a Redis, and when all of them are back after a restart that lost everything. A few processes hold
// all instances, each with a connection of its own.
//
// npm run bench:beats -- [--instances 100,700] [--seconds 30] [--down 1,20]

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { State, Task } from "./beats/instances.ts";
import { type Children, startChildren } from "./children.ts";
import { aboutLines, boundRun, circumstances, progress, table, wholeNumbers } from "./harness.ts";
import { costSoFar } from "./redis-cost.ts";
import { type RedisServer, serverVersions, startRedis } from "./servers.ts";

const PROCESSES = 4;
const MAX_MINUTES = 20;
/** The longest wait until all are back. */
const BACK_WITHIN_MS = 120_000;
const NAMES = "tollgate:1:$names:rate";
const ENDS = "tollgate:1:$ends:rate";

const { values } = parseArgs({
  options: {
    instances: { type: "string", default: "100,700,2000,4000" },
    /** How long is measured. */
    seconds: { type: "string", default: "30" },
    /** How long Redis is away. */
    down: { type: "string", default: "1,20" },
  },
});
const counts = wholeNumbers("--instances", values.instances, 8_000);
const [seconds = 30] = wholeNumbers("--seconds", values.seconds, 600);
const downs = wholeNumbers("--down", values.down, 60);

type Instances = Children<Task, State>;

async function awayOf(instances: Instances, isWatched = false): Promise<number> {
  const states = await instances.ask(Array(PROCESSES).fill({ open: 0, watch: isWatched }));
  return states.reduce((sum, { away }) => sum + away, 0);
}

/** ms until the instances that decided by themselves are back, and until all instances have sent a heartbeat. */
async function untilBack({ control }: RedisServer, instances: Instances, count: number): Promise<[number, number]> {
  const startMs = performance.now();
  let backMs = Number.NaN;
  while (performance.now() - startMs < BACK_WITHIN_MS) {
    const away = await awayOf(instances);
    const ms = performance.now() - startMs;
    if (away === 0 && Number.isNaN(backMs)) backMs = ms;
    if (away === 0 && (await control.zcard(NAMES)) >= count) return [backMs, ms];
    await sleep(50);
  }
  throw new Error(`not all of ${count} instances were back within ${BACK_WITHIN_MS / 1_000} s`);
}

async function measure(count: number): Promise<string[]> {
  progress(`${count} instances`);
  await using server = await startRedis();
  const { control } = server;
  using instances = await startChildren<Task, State>(new URL("beats/instances.ts", import.meta.url), {
    args: [String(server.port)],
    count: PROCESSES,
  });
  const parts = Array.from({ length: PROCESSES }, (_, i) => Math.floor((count + i) / PROCESSES));
  await instances.ask(parts.map((open) => ({ open })));
  await untilBack(server, instances, count);
  // Until each sends heartbeats at its own pace.
  await sleep(Math.max(5_000, 30 * count));

  const before = await costSoFar(server);
  await sleep(seconds * 1_000);
  const after = await costSoFar(server);
  const beats = after.commands - before.commands;
  const bytes = await Promise.all([NAMES, ENDS].map((key) => control.memory("USAGE", key, "SAMPLES", 0)));

  const backs: string[] = [];
  for (const down of downs) {
    await server.kill();
    await sleep(down * 1_000);
    await server.start();
    const away = await awayOf(instances, true);
    const [backS, allS] = (await untilBack(server, instances, count)).map((ms) => (ms / 1_000).toFixed(1));
    backs.push(`${away}: ${backS} s, all: ${allS} s`);
    progress(`away for ${down} s: ${backs.at(-1)}`);
  }
  return [
    String(count),
    (beats / seconds).toFixed(0),
    `${((after.microseconds - before.microseconds) / Math.max(1, beats)).toFixed(0)} µs`,
    `${((after.processor - before.processor) / (seconds * 10_000)).toFixed(2)} %`,
    `${(bytes.reduce<number>((sum, each) => sum + (each ?? 0), 0) / 1_024).toFixed(0)} KiB`,
    ...backs,
  ];
}

boundRun(MAX_MINUTES);
const about = circumstances("npm run bench:beats --", serverVersions().redis ?? "Redis", ["tollgate", "ioredis"]);
const rows: string[][] = [];
for (const count of counts) rows.push(await measure(count));
const head = ["instances", "beats/s", "a beat", "of a core", "members"];
console.log(table([...head, ...downs.map((down) => `away ${down} s: none away, all counted`)], rows));
console.log(
  aboutLines(about, `idle instances in ${PROCESSES} processes, measured for ${seconds} s; each restart loses all`),
);
process.exit(0);

// What idle instances cost a Redis, and when all of them are back after a restart that lost everything. It starts a Redis of
// its own and a few processes with all instances, each with a connection. It holds no figure: each is measured in the run
// that prints it.

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { State, Task } from "./beats/instances.ts";
import { type Children, startChildren } from "./children.ts";
import { aboutLines, circumstances, progress, table } from "./harness.ts";
import { type MortalRedis, startMortalRedis } from "./outage/redis-server.ts";

const PROCESSES = 4;
/** Whatever happens, it ends. */
const MINUTES = 20;
const MOST_INSTANCES = 8_000;
/** The longest wait until all are back. */
const BACK_WITHIN_MS = 120_000;

const { values } = parseArgs({
  options: {
    instances: { type: "string", default: "100,700,2000,4000" },
    /** How long is measured. */
    seconds: { type: "string", default: "30" },
    /** How long Redis is away. */
    down: { type: "string", default: "1,20" },
  },
});
const counts = numbers("--instances", values.instances, MOST_INSTANCES);
const [seconds = 30] = numbers("--seconds", values.seconds, 600);
const downs = numbers("--down", values.down, 60);

interface Cost {
  readonly connections: number;
  readonly beats: number;
  readonly percent: number;
  readonly usPerBeat: number;
}

async function cpuMs(server: MortalRedis): Promise<number> {
  const text = await server.control.info("cpu");
  const field = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(text)?.[1]);
  return 1_000 * (field("used_cpu_user") + field("used_cpu_sys"));
}

async function costWithin(server: MortalRedis, ms: number): Promise<Cost> {
  await server.control.config("RESETSTAT");
  const beforeMs = await cpuMs(server);
  const startMs = performance.now();
  await sleep(ms);
  const passedMs = performance.now() - startMs;
  const usedMs = (await cpuMs(server)) - beforeMs;
  const stats = await server.control.info("commandstats");
  const [, calls = 0, us = 0] = (/cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(stats) ?? []).map(Number);
  const connections = Number(/connected_clients:(\d+)/.exec(await server.control.info("clients"))?.[1]);
  return {
    connections,
    beats: (1_000 * calls) / passedMs,
    percent: (100 * usedMs) / passedMs,
    usPerBeat: us / Math.max(1, calls),
  };
}

type Instances = Children<Task, State>;

const AGAIN: readonly Task[] = Array.from({ length: PROCESSES }, () => ({ open: 0 }));
const WATCH: readonly Task[] = AGAIN.map((task) => ({ ...task, watch: true }));

function awayIn(states: readonly State[]): number {
  return states.reduce((sum, { away }) => sum + away, 0);
}

/** How long it takes until those are back that decided by themselves, and until all instances have beaten: ms. */
async function untilBack(server: MortalRedis, instances: Instances, count: number): Promise<[number, number]> {
  const startMs = performance.now();
  let hereMs = Number.NaN;
  while (performance.now() - startMs < BACK_WITHIN_MS) {
    const away = awayIn(await instances.ask(AGAIN));
    const ms = performance.now() - startMs;
    if (away === 0 && Number.isNaN(hereMs)) hereMs = ms;
    const known = await server.control.zcard("tollgate:1:$names:rate");
    if (known >= count && away === 0) return [hereMs, ms];
    await sleep(50);
  }
  throw new Error(`not all of ${count} instances were back within ${BACK_WITHIN_MS / 1_000} s`);
}

async function measure(count: number): Promise<string[]> {
  const server = await startMortalRedis();
  const instances = await startChildren<Task, State>(
    new URL("beats/instances.ts", import.meta.url),
    [String(server.port)],
    PROCESSES,
  );
  try {
    progress(`${count} instances`);
    const parts = Array.from({ length: PROCESSES }, (_, i) => Math.floor((count + i) / PROCESSES));
    const states = await instances.ask(parts.map((open) => ({ open })));
    const opened = states.reduce((sum, state) => sum + state.opened, 0);
    if (opened !== count) throw new Error(`${opened} of ${count} instances were opened`);
    await untilBack(server, instances, count);
    // Until each has beaten at its own pace.
    await sleep(Math.max(5_000, 30 * count));
    const cost = await costWithin(server, seconds * 1_000);
    progress(`${cost.percent.toFixed(2)} % of a core, ${cost.beats.toFixed(0)} beats/s`);
    const memory = await server.control.memory("USAGE", "tollgate:1:$names:rate", "SAMPLES", 0);
    const ends = await server.control.memory("USAGE", "tollgate:1:$ends:rate", "SAMPLES", 0);
    const backs: string[] = [];
    for (const down of downs) {
      await server.kill();
      await sleep(down * 1_000);
      await server.start();
      const away = awayIn(await instances.ask(WATCH));
      const [hereMs, allMs] = await untilBack(server, instances, count);
      const text = `${away}: ${(hereMs / 1_000).toFixed(1)} s, all: ${(allMs / 1_000).toFixed(1)} s`;
      progress(`away for ${down} s: ${text}`);
      backs.push(text);
    }
    return [
      String(count),
      cost.beats.toFixed(0),
      `${cost.usPerBeat.toFixed(0)} µs`,
      `${cost.percent.toFixed(2)} %`,
      `${(((memory ?? 0) + (ends ?? 0)) / 1_024).toFixed(0)} KiB`,
      ...backs,
    ];
  } finally {
    instances.close();
    await server.stop();
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
setTimeout(() => {
  console.error(`it did not end within ${MINUTES} minutes`);
  process.exit(1);
}, MINUTES * 60_000).unref();

const about = circumstances("npm run bench:beats --", "Redis", ["tollgate", "ioredis"]);
const rows: string[][] = [];
for (const count of counts) rows.push(await measure(count));
const head = [
  "instances",
  "beats/s",
  "a beat",
  "of a core",
  "members",
  ...downs.map((down) => `away ${down} s: none away, all counted`),
];
console.log(table(head, rows));
console.log(
  aboutLines(about, `idle instances in ${PROCESSES} processes, measured for ${seconds} s; each restart loses all`),
);
process.exit(0);

function numbers(option: string, text: string, most: number): number[] {
  return text.split(",").map((each) => {
    const number = Number(each);
    if (!/^\d+$/.test(each) || number < 1 || number > most) {
      console.error(`${option}: expected whole numbers from 1 to ${most}, got ${each}`);
      process.exit(2);
    }
    return number;
  });
}

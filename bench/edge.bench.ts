// One Durable Object, and a hundred, beside a bare counter object that runs one UPDATE: calls a second and latencies, inside
// one workerd. Both wait for their commit, to a disk in memory where there is one. Then a limit for all calls, with and without
// `borrow: auto`: messages of isolates for each call. Then the start of the Worker of examples/cloudflare beside that of an
// empty one: from the start of workerd until its first answer. Rounds of all kinds take turns, because the machine is not quiet.

import { rmSync } from "node:fs";
import type { Driven } from "../test/edge/borrowing-worker.ts";
import { dataFolder, startWorker } from "../test/edge/workerd.ts";
import { type Start, startOf } from "./edge/start.ts";

const ROUNDS = Number(process.env.TOLLGATE_BENCH_ROUNDS ?? 9);
const CALLS = 2_000;
const LANES = 32;
const KINDS = ["counter", "object", "one limit", "two limits"] as const;

const folder = dataFolder();
const worker = await startWorker({ folder, file: "../../bench/edge/worker.ts", flags: [] });

interface Round {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

async function round(kind: string, objects: number): Promise<Round> {
  const begunMs = performance.now();
  const took = await worker.ask<number[]>("", { kind, objects, lanes: LANES, calls: CALLS });
  const perSecond = (CALLS / (performance.now() - begunMs)) * 1_000;
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.floor(share * (took.length - 1))] ?? 0;
  return { perSecond, p50: at(0.5), p99: at(0.99) };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

console.log(`| objects | kind | calls/s | ratio | p50 ms | p99 ms |\n| --- | --- | --- | --- | --- | --- |`);
for (const objects of [1, 100]) {
  const rounds = Object.fromEntries(KINDS.map((kind) => [kind, [] as Round[]]));
  for (const kind of KINDS) await round(kind, objects);
  for (let i = 0; i < ROUNDS; i++) for (const kind of KINDS) rounds[kind]?.push(await round(kind, objects));
  for (const kind of KINDS) {
    const of = (field: keyof Round, name: string = kind) => (rounds[name] ?? []).map((each) => each[field]);
    const ratio = median(of("perSecond").map((each, i) => each / (of("perSecond", "counter")[i] ?? 1)));
    const numbers = [median(of("perSecond")).toFixed(0), ratio.toFixed(2), median(of("p50")).toFixed(1)];
    console.log(`| ${objects} | ${kind} | ${numbers.join(" | ")} | ${median(of("p99")).toFixed(1)} |`);
  }
}
await worker.stop();

const PER_SECOND = 300;
const ISOLATES = [0, 1, 2, 3];
const many = await startWorker({ file: "borrowing-worker.ts", isolates: ISOLATES.length, flags: [] });
const to = <Answer>(isolate: number, route: string, body?: unknown) => many.ask<Answer>("to", { isolate, route, body });

/** Messages for each call of a limit for all calls, alone or beside one for each session. */
async function messagesPerCall(isolates: number, awayMs: number, hasOwn: boolean, borrows: boolean): Promise<number> {
  const sent = async () => {
    const counts = await Promise.all(ISOLATES.map((isolate) => to<number>(isolate, "sent")));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  const limits = [
    { name: "all", per: ["tool"], quota: 1_000_000, ...(borrows && { borrow: "auto" }) },
    ...(hasOwn ? [{ name: "own", per: ["session"], quota: 1_000_000 }] : []),
  ];
  const load = { policy: { version: 1, limits }, tool: `${isolates}-${awayMs}-${hasOwn}-${borrows}` };
  const drive = { ...load, isolates: ISOLATES.slice(0, isolates), lanes: 128, perSecond: PER_SECOND, sessions: 20 };
  await Promise.all(ISOLATES.map((isolate) => to(isolate, "away", awayMs)));
  await many.ask("drive", { ...drive, forMs: 1_000 });
  const before = await sent();
  const { allowed } = await many.ask<Driven>("drive", { ...drive, forMs: 4_000 });
  return ((await sent()) - before) / allowed;
}

console.log(`\nMessages for each of ${PER_SECOND} calls a second:\n`);
console.log(
  "| isolates | ms to the object and back | limits | without | with borrow: auto |\n| --- | --- | --- | --- | --- |",
);
for (const isolates of [1, ISOLATES.length]) {
  for (const awayMs of [0, 100]) {
    for (const hasOwn of [false, true]) {
      const ratios = [];
      for (const borrows of [false, true]) ratios.push(await messagesPerCall(isolates, awayMs, hasOwn, borrows));
      const numbers = ratios.map((ratio) => ratio.toFixed(2)).join(" | ");
      console.log(`| ${isolates} | ${awayMs} | ${hasOwn ? "all, session" : "all"} | ${numbers} |`);
    }
  }
}
await many.stop();
rmSync(folder, { recursive: true, force: true });

const STARTED = { empty: "../../bench/edge/empty.ts", Tollgate: "../../examples/cloudflare/src/index.ts" } as const;
const STARTS = 2 * ROUNDS + 1;

const starts: Record<string, Start[]> = { empty: [], Tollgate: [] };
for (let i = 0; i < STARTS; i++) {
  // Each goes first in every other round.
  const turn = Object.entries(STARTED);
  for (const [name, file] of i % 2 === 0 ? turn : turn.reverse()) starts[name]?.push(await startOf(file));
}
console.log(`\n| Worker, ${STARTS} starts | median ms | least ms | median CPU ms | least CPU ms |`);
console.log("| --- | --- | --- | --- | --- |");
for (const [name, each] of Object.entries(starts)) {
  const numbers = [each.map(({ ms }) => ms), each.map(({ cpuMs }) => cpuMs)].flatMap((values) => {
    return [median(values).toFixed(0), Math.min(...values).toFixed(0)];
  });
  console.log(`| ${name} | ${numbers.join(" | ")} |`);
}
process.exit();

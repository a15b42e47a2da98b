// The command of the simulator:
//
//   npm run test:simulation -- --seed S --schedules N [--first I] [--processes P] [--shrink] [--story] [--until-found]
//
// It prints each violation with the seed of its schedule, and sums in the end. To see one schedule again:
//
//   npm run test:simulation -- --seed S --first I --schedules 1 --shrink --story

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";
import { NONE, sumOf, type Totals, textOf } from "./totals.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    schedules: { type: "string", default: "100" },
    first: { type: "string", default: "0" },
    processes: { type: "string", default: "1" },
    shrink: { type: "boolean", default: false },
    story: { type: "boolean", default: false },
    "until-found": { type: "boolean", default: false },
  },
});

const first = Number(values.first);
const schedules = Number(values.schedules);
const processes = Number(values.processes);

/** Simulates a part in a process of its own. */
function inProcess(from: number, count: number): Promise<Totals> {
  const args = ["--seed", values.seed, "--first", String(from), "--schedules", String(count)];
  const flags = (["shrink", "story", "until-found"] as const).filter((name) => values[name]).map((name) => `--${name}`);
  const child = fork(fileURLToPath(import.meta.url), [...args, ...flags]);
  return new Promise((resolve, reject) => {
    let totals = NONE;
    child.on("message", (message: Totals) => {
      totals = message;
    });
    child.on("exit", (code) => (totals === NONE ? reject(new Error(`a process ended with ${code}`)) : resolve(totals)));
  });
}

const begunMs = performance.now();
let totals: Totals;
if (processes > 1) {
  const each = Math.ceil(schedules / processes);
  const parts = Array.from(
    { length: processes },
    (_, i) => [first + i * each, Math.min(each, schedules - i * each)] as const,
  );
  totals = (await Promise.all(parts.map(([from, count]) => inProcess(from, count)))).reduce(sumOf, NONE);
} else {
  const { seed, shrink, story, "until-found": untilFound } = values;
  totals = await simulate({ seed, first, schedules, shrink, story, untilFound, print: console.log });
}
if (process.send === undefined) console.log(textOf(totals, (performance.now() - begunMs) / 1_000));
else process.send(totals);
if (totals.failing > 0) process.exitCode = 1;

// The command of the simulator:
//
//   npm run test:simulation -- --seed S --schedules N [--first I] [--processes P] [--sums FILE]
//                              [--shrink] [--story] [--digest] [--until-found]
//
// It prints each violation with the seed of its schedule, and sums in the end. To see one schedule again:
//
//   npm run test:simulation -- --seed S --first I --schedules 1 --shrink --story
//
// With --sums it adds a line to a file after every hundred schedules, and skips those that the file has: a long run can be stopped,
// and goes on when it is started again. `sums.ts` adds up such files.

import { parseArgs } from "node:util";
import { type Chunk, chunksOf, simulateInProcesses } from "./processes.ts";
import { simulate } from "./simulate.ts";
import { appendSum, readSums } from "./sum-files.ts";
import { NONE, sumOf, type Totals, textOf } from "./totals.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    schedules: { type: "string", default: "100" },
    first: { type: "string", default: "0" },
    processes: { type: "string", default: "1" },
    sums: { type: "string" },
    shrink: { type: "boolean", default: false },
    story: { type: "boolean", default: false },
    digest: { type: "boolean", default: false },
    "until-found": { type: "boolean", default: false },
  },
});

const { seed, shrink, story, digest, sums, "until-found": untilFound } = values;
const options = { seed, shrink, story, digest, untilFound };
const known = new Map(
  (sums === undefined ? [] : readSums(sums))
    .filter((line) => line.seed === seed)
    .map((line) => [`${line.first} ${line.totals.schedules}`, line.totals]),
);
let totals = NONE;
const left: Chunk[] = [];
for (const chunk of chunksOf(Number(values.first), Number(values.schedules))) {
  const before = known.get(`${chunk.first} ${chunk.schedules}`);
  if (before === undefined) left.push(chunk);
  else totals = sumOf(totals, before);
}

const begunMs = performance.now();
const next = () => (untilFound && totals.failing > 0 ? undefined : left.shift());
const add = ({ first }: Chunk, more: Totals) => {
  totals = sumOf(totals, more);
  if (sums !== undefined) appendSum(sums, { seed, first, totals: more });
};
const processes = Number(values.processes);
if (processes > 1) await simulateInProcesses(processes, options, next, add);
else {
  for (let chunk = next(); chunk !== undefined; chunk = next()) add(chunk, await simulate(chunk, options));
}
console.log(textOf(totals, (performance.now() - begunMs) / 1_000));
if (totals.failing > 0) process.exitCode = 1;

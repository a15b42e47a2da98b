// The load test of the service: 1, 2 and 4 instances on one Redis, thousands of sessions, instances that are killed meanwhile.
// It ends with 1 when not exactly as many calls ran as the limits allow. It holds no figure: each is measured in the run that
// prints it.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { circumstances, progress } from "./harness.ts";
import { plotOf } from "./load/plot.ts";
import { pageOf, summaryOf } from "./load/report.ts";
import { type Run, runLoad, type Size } from "./load/run.ts";
import { readTraces } from "./load/trace.ts";
import { serverVersions } from "./servers.ts";

const FULL: Size = {
  warmUpMs: 2_000,
  saturatedMs: 8_000,
  perSecond: 1_500,
  calmMs: 20_000,
  disturbedMs: 20_000,
  stormMs: 8_000,
  beside: 8,
  kills: (instances) => 2 + instances,
};
const SHORT: Size = {
  warmUpMs: 200,
  saturatedMs: 400,
  perSecond: 400,
  calmMs: 1_000,
  disturbedMs: 1_500,
  stormMs: 1_000,
  beside: 1,
  kills: (instances) => Math.min(2, instances),
};
/** Whatever happens, it ends. */
const MINUTES = { full: 6, short: 2 };
const MOST_INSTANCES = 16;

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    seed: { type: "string" },
    instances: { type: "string", default: "1,2,4" },
  },
});
const seed = wholeNumber("--seed", values.seed ?? String(Date.now() % 1_000_000), Number.MAX_SAFE_INTEGER);
const counts = values.instances.split(",").map((count) => wholeNumber("--instances", count, MOST_INSTANCES));

// What was started is ended with this process, however that ends.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
const minutes = values.short ? MINUTES.short : MINUTES.full;
setTimeout(() => {
  console.error(`it did not end within ${minutes} minutes`);
  process.exit(1);
}, minutes * 60_000).unref();

const trace = readTraces();
const size = values.short ? SHORT : FULL;
const engine = serverVersions().redis ?? "Redis";
const about = values.json ? null : circumstances("npm run test:load --", engine, ["tollgate", "undici", "ioredis"]);
progress(`sessions as in ${trace.about}; seed ${seed}`);
const runs: Run[] = [];
for (const instances of counts) {
  progress(`${instances} ${instances === 1 ? "instance" : "instances"}`);
  runs.push(await runLoad(instances, size, trace, seed + instances));
}
if (about === null) console.log(JSON.stringify(summaryOf(runs, trace, seed)));
else {
  const page = pageOf(runs, about, { trace, size, seed });
  console.log(page);
  if (values.write) {
    writeFileSync(new URL("RESULTS-load.md", import.meta.url), page);
    writeFileSync(new URL("RESULTS-load.svg", import.meta.url), plotOf(runs, size));
  }
}
for (const { instances, judgement } of runs) {
  for (const fault of judgement.faults) console.error(`${instances} instances: ${fault}`);
}
process.exit(runs.every(({ judgement }) => judgement.faultCount === 0) ? 0 : 1);

function wholeNumber(option: string, text: string, most: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= most) return number;
  console.error(`${option}: expected a whole number from 1 to ${most}, got ${text}`);
  process.exit(2);
}

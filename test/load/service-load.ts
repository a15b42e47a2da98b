// The load test of the service: 1, 2 and 4 instances on one Redis, thousands of sessions, and instances that are killed
// meanwhile. It exits with 1 unless exactly as many calls ran as the limits allow.
//
// npm run test:load -- [--short] [--json] [--write] [--seed N] [--instances 1,2,4]

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { boundRun, circumstances, progress, wholeNumbers } from "../../bench/harness.ts";
import { plotOf } from "../../bench/plot.ts";
import { serverVersions } from "../../bench/servers.ts";
import { pageOf, summaryOf, tablesOf } from "./service/report.ts";
import { type Run, runLoad, type Size } from "./service/run.ts";
import { readTraces } from "./service/trace.ts";

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
const MAX_MINUTES = { full: 6, short: 2 };
const MAX_INSTANCES = 16;

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    seed: { type: "string", default: String(1 + (Date.now() % 1_000_000)) },
    instances: { type: "string", default: "1,2,4" },
  },
});
const [seed = 1] = wholeNumbers("--seed", values.seed, Number.MAX_SAFE_INTEGER);
const counts = wholeNumbers("--instances", values.instances, MAX_INSTANCES);
boundRun(values.short ? MAX_MINUTES.short : MAX_MINUTES.full);

const trace = readTraces();
const size = values.short ? SHORT : FULL;
const engine = serverVersions().redis ?? "Redis";
const about = values.json ? null : circumstances("npm run test:load --", engine, ["tollgate", "undici", "ioredis"]);
progress(`sessions as in ${trace.about}; seed ${seed}`);
const runs: Run[] = [];
for (const instances of counts) {
  progress(`instances: ${instances}`);
  runs.push(await runLoad(instances, size, trace, seed + instances));
}
const page = about === null ? JSON.stringify(summaryOf(runs, trace, seed)) : pageOf(runs, about, { trace, size, seed });
console.log(page);
if (values.write && about !== null) {
  writeFileSync(new URL("../../bench/RESULTS-load.md", import.meta.url), page);
  writeFileSync(new URL("../../bench/RESULTS-load.svg", import.meta.url), plotOf(tablesOf(runs)));
}
for (const { instances, judgement } of runs) {
  for (const fault of judgement.faults) console.error(`instances: ${instances}: ${fault}`);
}
process.exit(runs.every(({ judgement }) => judgement.faultCount === 0) ? 0 : 1);

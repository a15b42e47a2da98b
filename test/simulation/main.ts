// The command of the simulator: npm run test:simulation -- --seed S --schedules N [--story] [--shrink].

import { parseArgs } from "node:util";
import { makeSchedule } from "./make/schedule.ts";
import { runSchedule } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    schedules: { type: "string", default: "100" },
    log: { type: "boolean" },
  },
});
const begun = performance.now();
let events = 0;
const n = Number(values.schedules);
const digests = [];
for (let i = 0; i < n; i++) {
  const run = await runSchedule(makeSchedule(n === 1 ? values.seed : `${values.seed}.${i}`));
  events += run.events;
  if (values.log) console.log(run.log.text());
  digests.push(run.log.digest());
}
const seconds = (performance.now() - begun) / 1000;
console.log(
  n,
  "schedules",
  events,
  "events",
  seconds.toFixed(2),
  "s",
  (n / seconds).toFixed(1),
  "per s",
  digests.at(-1)?.slice(0, 12),
);

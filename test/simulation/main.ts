// The command of the simulator: npm run test:simulation -- --seed S --schedules N [--first I] [--until-found] [--shrink] [--story] [--log].

import { parseArgs } from "node:util";
import { judge } from "./judges/judges.ts";
import { makeSchedule } from "./make/schedule.ts";
import { runSchedule } from "./run.ts";
import { shrink } from "./shrink.ts";
import { storyOf } from "./story.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    schedules: { type: "string", default: "100" },
    first: { type: "string", default: "0" },
    "until-found": { type: "boolean" },
    shrink: { type: "boolean" },
    story: { type: "boolean" },
    log: { type: "boolean" },
  },
});

/** Most violations that are shown of one schedule. */
const SHOWN = 3;

const first = Number(values.first);
const count = Number(values.schedules);
const begunMs = performance.now();
let events = 0;
let bad = 0;
for (let i = first; i < first + count; i++) {
  const seed = `${values.seed}.${i}`;
  let run = await runSchedule(makeSchedule(seed));
  events += run.events;
  let violations = judge(run);
  if (values.log) console.log(run.log.text());
  if (violations.length > 0 && values.shrink) {
    run = await runSchedule(await shrink(run.schedule, violations[0]?.judge ?? ""));
    violations = judge(run);
  }
  if (values.story) console.log(storyOf(run));
  if (violations.length > 0) bad++;
  const faults = [...new Set(run.schedule.faults.map(({ type }) => type))].join(" ");
  for (const { judge, problem } of violations.slice(0, SHOWN)) console.log(`${seed}: ${judge}: ${problem} [${faults}]`);
  if (bad > 0 && values["until-found"]) break;
}
const seconds = (performance.now() - begunMs) / 1_000;
const speed = `${(count / seconds).toFixed(1)} schedules a second`;
console.log(`${count} schedules, ${bad} with violations, ${events} events, ${seconds.toFixed(1)} s, ${speed}`);
if (bad > 0) process.exitCode = 1;

// Adds up the sums of long runs, and prints them as text and as the tables of a results page:
//
//   npm run test:simulation:sums -- FILE…

import { readSums } from "./sum-files.ts";
import { NONE, sumOf, tablesOf, textOf } from "./totals.ts";

let totals = NONE;
const untilOf = new Map<string, number>();
const lines = process.argv.slice(2).flatMap(readSums);
for (const line of lines.sort((one, other) => one.first - other.first)) {
  const { seed, first } = line;
  if (first < (untilOf.get(seed) ?? 0)) throw new Error(`the schedule ${seed}.${first} is in these files twice`);
  untilOf.set(seed, first + line.totals.schedules);
  totals = sumOf(totals, line.totals);
}
console.log(`${textOf(totals)}\n\n${tablesOf(totals)}`);

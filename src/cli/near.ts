// `tollgate near`: which buckets are nearly full?

import { Command } from "commander";
import { systemClock } from "../clock.ts";
import { formatDuration } from "../kernel/duration.ts";
import { invalidOption } from "../kernel/errors.ts";
import { NEAR } from "../log/near.ts";
import { wholeNumber } from "./defaults.ts";
import { namesText, ofText } from "./entry-text.ts";
import { type LogOptions, printRows, withLog, withLogOptions } from "./log-options.ts";

interface NearOptions extends LogOptions {
  readonly over: string;
  readonly count: string;
}

export function nearCommand(): Command {
  const command = new Command("near").description("show buckets that are filled to 80 % or more, the fullest first");
  return withLogOptions(command, "table")
    .option("--over <share>", "how full at least, 0.8 to 1", "0.8")
    .option("--count <n>", "how many rows, 1 to 200", "20")
    .action(run);
}

async function run(options: NearOptions, command: Command): Promise<void> {
  const over = Number(options.over);
  if (!(over >= NEAR && over <= 1)) {
    const expected = "a number from 0.8 to 1, because the log keeps only buckets that are filled to 80 % or more";
    throw invalidOption("--over", expected, options.over);
  }
  const count = wholeNumber("--count", options.count, 1, 200);
  const buckets = await withLog(options, command, (source) => source.near({ over, count }));
  const nowMs = systemClock.nowMs();
  const isCsv = options.csv === true;
  const share = `filled to ${Math.round(over * 100)} % or more`;
  if (!isCsv && options.json !== true && buckets.length > 0)
    console.log(`Buckets that are ${share}, the fullest first:`);
  printRows(
    options,
    buckets,
    isCsv
      ? ["limit", "whose", "used", "capacity", "unit", "whole_again_ms"]
      : ["limit", "whose", "used", "full", "whole again in"],
    buckets.map(({ limit, dimensions, used, capacity, unit, endsAtMs }) => {
      const whose = namesText(dimensions);
      const endsInMs = Math.max(0, endsAtMs - nowMs);
      if (isCsv) return [limit, whose, used, capacity, unit, endsInMs];
      const full = `${Math.floor((100 * used) / Math.max(1, capacity))} %`;
      return [limit, whose, ofText(used, capacity, unit), full, endsInMs === 0 ? "-" : formatDuration(endsInMs)];
    }),
    `No bucket is ${share}.`,
  );
}

// `tollgate top`: what makes most calls?

import { Command, Option } from "commander";
import { systemClock } from "../clock.ts";
import type { TopQuery } from "../log/storage.ts";
import { wholeNumber } from "./defaults.ts";
import { type LogOptions, printRows, spanMs, withLog, withLogOptions } from "./log-options.ts";

interface TopOptions extends LogOptions {
  readonly by: TopQuery["by"];
  readonly last: string;
  readonly count: string;
}

const BY = ["session", "user", "tool", "tenant", "limit"] as const;

export function topCommand(): Command {
  const command = new Command("top").description(
    "show which sessions, users, tools, tenants or limits have most calls",
  );
  return withLogOptions(command, "table")
    .addOption(new Option("--by <what>", "what to count by").choices(BY).default("tool"))
    .option("--last <duration>", "how far back, such as 15m, 1h or 7d", "1h")
    .option("--count <n>", "how many rows, 1 to 200", "20")
    .action(run);
}

async function run(options: TopOptions, command: Command): Promise<void> {
  const { by } = options;
  const toMs = systemClock.nowMs();
  const fromMs = toMs - spanMs("--last", options.last);
  const count = wholeNumber("--count", options.count, 1, 200);
  const rows = await withLog(options, command, (source) => source.top({ by, fromMs, toMs, count }));
  const isExact = rows.every(({ error }) => error === 0);
  printRows(
    options,
    rows,
    [by, "calls", "denied", "share denied", ...(isExact ? [] : ["calls too many by at most"])],
    rows.map(({ value, calls, denied, error }) => {
      const share = options.csv === true ? Number((denied / Math.max(1, calls)).toFixed(4)) : percent(denied, calls);
      return [value, calls, denied, share, ...(isExact ? [] : [error])];
    }),
    `No calls in the last ${options.last}.`,
  );
}

function percent(part: number, whole: number): string {
  const share = (100 * part) / Math.max(1, whole);
  return `${share > 0 && share < 10 ? share.toFixed(1) : Math.round(share)} %`;
}

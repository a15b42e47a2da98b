// `tollgate sessions`: which sessions are there?

import { Command } from "commander";
import { systemClock } from "../clock.ts";
import { wholeNumber } from "./defaults.ts";
import { timeText } from "./entry-text.ts";
import { type LogOptions, printRows, withLog, withLogOptions } from "./log-options.ts";

interface SessionsOptions extends LogOptions {
  readonly prefix?: string;
  readonly count: string;
}

export function sessionsCommand(): Command {
  const command = new Command("sessions").description("list sessions, those that called last come first");
  return withLogOptions(command, "table")
    .option("--prefix <text>", "only sessions that begin so")
    .option("--count <n>", "how many, 1 to 500", "20")
    .action(run);
}

async function run(options: SessionsOptions, command: Command): Promise<void> {
  const { prefix } = options;
  const pageSize = wholeNumber("--count", options.count, 1, 500);
  const query = { pageSize, ...(prefix === undefined ? {} : { prefix }) };
  const { items, nextCursor } = await withLog(options, command, (source) => source.sessions(query));
  const nowMs = systemClock.nowMs();
  const shown = (atMs: number) => (options.csv === true ? new Date(atMs).toISOString() : timeText(atMs, nowMs));
  printRows(
    options,
    items,
    ["session", "tenant", "user", "first call", "last call", "calls", "denied", "last denied by"],
    items.map(({ session, tenant, user, firstMs, lastMs, calls, denied, deniedBy }) => [
      session,
      tenant || null,
      user || null,
      shown(firstMs),
      shown(lastMs),
      calls,
      denied,
      deniedBy,
    ]),
    prefix === undefined ? "No session has called yet." : `No session begins with ${prefix}.`,
  );
  if (nextCursor !== null && options.json !== true)
    console.error(`There are more: --count shows up to 500, --prefix finds some.`);
}

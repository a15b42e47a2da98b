// The options of the commands that read a decision log, and the log that they name.

import type { Command } from "commander";
import { invalidOption } from "../kernel/errors.ts";
import { parseDuration } from "../kernel/duration.ts";
import { type Cell, formatCsv } from "./csv.ts";
import { withEnvironment } from "./defaults.ts";
import { CommandError } from "./exit.ts";
import { type LogSource, sourceAt, sourceOf } from "./log-source.ts";
import { DEFAULT_LOG, LOG_URLS, openLog } from "./log-url.ts";
import { storeLabel } from "./store-url.ts";
import { formatTable } from "./table.ts";

export interface LogOptions {
  readonly log: string;
  readonly url?: string;
  readonly asTenant?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

/** Adds the options that say which log, and how it is printed. */
export function withLogOptions(command: Command, form: "table" | "text"): Command {
  command
    .addOption(withEnvironment("--log <url>", `the decision log: ${LOG_URLS}`, "LOG").default(DEFAULT_LOG))
    .addOption(
      withEnvironment("--url <url>", "ask this service instead of a log; its key is in TOLLGATE_API_KEY", "URL"),
    )
    .option("--as-tenant <tenant>", "with --url: answer as to a key that is bound to this tenant")
    .option("--json", "print JSON");
  return form === "table" ? command.option("--csv", "print CSV") : command;
}

/** Opens what the options name, passes it on, and closes it in any case. */
export async function withLog<Result>(
  { log, url, asTenant }: LogOptions,
  command: Command,
  use: (source: LogSource) => Promise<Result>,
): Promise<Result> {
  const source = await opened(command.getOptionValueSource("log") === "cli" ? undefined : url, log, asTenant);
  try {
    return await use(source);
  } finally {
    await source.close();
  }
}

async function opened(url: string | undefined, log: string, asTenant: string | undefined): Promise<LogSource> {
  if (url !== undefined) return sourceAt(url, asTenant);
  if (asTenant !== undefined) throw invalidOption("--as-tenant", "--url beside it: a service knows tenants", asTenant);
  const found = await openLog(log, false);
  const reader = found?.storage.read;
  if (found === null || reader === undefined) throw new CommandError(`The log ${storeLabel(log)} cannot be read.`);
  return sourceOf(reader, () => found.close());
}

/** Rows as the options want them. */
export function printRows(
  { json, csv }: LogOptions,
  items: readonly object[],
  heading: readonly string[],
  rows: readonly (readonly Cell[])[],
  empty: string,
): void {
  if (json === true && csv === true) throw invalidOption("--json and --csv", "one of them", "both");
  if (json === true) console.log(JSON.stringify(items));
  else if (csv === true) console.log(formatCsv(heading, rows));
  else if (rows.length === 0) console.log(empty);
  else
    console.log(
      formatTable(
        heading,
        rows.map((row) => row.map((cell) => String(cell ?? "-"))),
      ),
    );
}

/** The length of a span such as `1h`. */
export function spanMs(option: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw invalidOption(option, "a duration such as 15m, 1h or 7d", text);
  return ms;
}

// `tollgate tail`: what is decided now.

import { Command, Option } from "commander";
import { sleep, systemClock } from "../clock.ts";
import type { LogEntry } from "../log/entry.ts";
import { wholeNumber } from "./defaults.ts";
import { entryLine } from "./entry-text.ts";
import { type LogOptions, spanMs, withLog, withLogOptions } from "./log-options.ts";
import type { LogSource } from "./log-source.ts";

interface TailOptions extends LogOptions {
  readonly lines: string;
  readonly since?: string;
  readonly follow: boolean;
  readonly denied?: boolean;
  readonly allowed?: boolean;
  readonly tool?: string;
  readonly limit?: string;
  readonly session?: string;
  readonly user?: string;
}

const EVERY_MS = 500;
const PAGE_SIZE = 500;

export function tailCommand(): Command {
  const command = new Command("tail").description("show what is decided, as it happens; Ctrl-C ends it");
  return withLogOptions(command, "text")
    .option("-n, --lines <n>", "how many of the last entries to begin with, 0 to 500", "10")
    .option("--since <duration>", "begin with the entries since then, such as 15m or 2h: 500 at most")
    .option("--no-follow", "end after the last entry")
    .addOption(new Option("--denied", "only denied calls").conflicts("allowed"))
    .option("--allowed", "only allowed calls")
    .option("--tool <name>", "only calls of this tool")
    .option("--limit <name>", "only denials by this limit, calls that it allowed, and changes of its buckets")
    .option("--session <id>", "only this session")
    .option("--user <id>", "only this user")
    .action((options: TailOptions, command: Command) => withLog(options, command, (source) => tail(source, options)));
}

async function tail(source: LogSource, options: TailOptions): Promise<void> {
  const { since } = options;
  const count = since === undefined ? wholeNumber("--lines", options.lines, 0, PAGE_SIZE) : PAGE_SIZE;
  const from = since === undefined ? {} : { fromMs: systemClock.nowMs() - spanMs("--since", since) };
  const query = queryOf(options);
  const first = await source.decisions({ ...query, ...from, pageSize: Math.max(1, count) });
  if (since !== undefined && first.nextCursor !== null)
    console.error(`There are more since then: these are the last ${first.items.length}.`);
  print(first.items.slice(0, count).toReversed(), options);
  let after = first.lastPosition;
  while (options.follow) {
    await sleep(EVERY_MS);
    const page = await source.decisions({ ...query, after, pageSize: PAGE_SIZE });
    print(page.items, options);
    after = page.nextCursor ?? page.lastPosition;
  }
}

function queryOf({ denied, allowed, tool, limit, session, user }: TailOptions) {
  const given = { tool, limit, session, user };
  return {
    ...(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Record<string, string>),
    ...(denied === true || allowed === true ? { allowed: allowed === true } : {}),
  };
}

function print(entries: readonly LogEntry[], { json }: TailOptions): void {
  const nowMs = systemClock.nowMs();
  for (const entry of entries) console.log(json === true ? JSON.stringify(entry) : entryLine(entry, nowMs));
}

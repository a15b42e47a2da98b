// `tollgate top`: what makes most calls, or spends most?

import { Command, Option } from "commander";
import { systemClock } from "../clock.ts";
import { MONEY_UNIT } from "../kernel/quantity.ts";
import { amount, nounOf, periodInWords } from "../kernel/words.ts";
import type { TopQuery, TopRow } from "../log/storage.ts";
import type { Cell } from "./csv.ts";
import { wholeNumber } from "./defaults.ts";
import { type LogOptions, printRows, spanMs, withLog, withLogOptions } from "./log-options.ts";
import type { LogSource } from "./log-source.ts";

interface TopOptions extends LogOptions {
  readonly by: TopQuery["by"];
  readonly unit?: string;
  readonly last: string;
  readonly count: string;
}

const BY = ["session", "user", "tool", "tenant", "limit"] as const;
/** What people call units. */
const UNITS: Readonly<Record<string, string | undefined>> = { usd: MONEY_UNIT, $: MONEY_UNIT, calls: undefined };

export function topCommand(): Command {
  const command = new Command("top").description(
    "show which sessions, users, tools, tenants or limits have most calls, or spend most money or tokens",
  );
  return withLogOptions(command, "table")
    .addOption(new Option("--by <what>", "what to count by").choices(BY).default("tool"))
    .option("--unit <name>", "what to rank by: a unit that limits count, such as usd or tokens; default: calls")
    .option("--last <duration>", "how far back, such as 15m, 1h or 7d", "1h")
    .option("--count <n>", "how many rows, 1 to 200", "20")
    .action(run);
}

async function run(options: TopOptions, command: Command): Promise<void> {
  const { by } = options;
  const unit = options.unit !== undefined && options.unit in UNITS ? UNITS[options.unit] : options.unit;
  const toMs = systemClock.nowMs();
  const lengthMs = spanMs("--last", options.last);
  const count = wholeNumber("--count", options.count, 1, 200);
  const query = { fromMs: toMs - lengthMs, toMs, ...(unit === undefined ? {} : { unit }) };
  const { rows, empty } = await withLog(options, command, async (source) => {
    const rows = await source.top({ ...query, by, count });
    return { rows, empty: rows.length > 0 ? "" : await emptyText(source, query, by, periodInWords(lengthMs)) };
  });
  const isExact = rows.every(({ error }) => error === 0);
  const isCsv = options.csv === true;
  const spent = unit === undefined ? [] : [isCsv ? unit : "spent"];
  printRows(
    options,
    rows,
    [by, ...spent, "calls", "denied", "share denied", ...(isExact ? [] : [errorHeading(unit)])],
    rows.map((row) => cellsOf(row, unit, isCsv, isExact)),
    empty,
  );
}

function cellsOf(
  { value, calls, denied, units, error }: TopRow,
  unit: string | undefined,
  isCsv: boolean,
  isExact: boolean,
): Cell[] {
  const inUnit = (count: number) => (unit === undefined || isCsv ? count : amount(count, unit));
  const share = isCsv ? Number((denied / Math.max(1, calls)).toFixed(4)) : percent(denied, calls);
  return [
    value,
    ...(unit === undefined ? [] : [inUnit(units)]),
    calls,
    denied,
    share,
    ...(isExact ? [] : [inUnit(error)]),
  ];
}

function errorHeading(unit: string | undefined): string {
  return unit === undefined ? "calls too many by at most" : "too much by at most";
}

/** Why there are no rows. */
async function emptyText(
  source: LogSource,
  query: Pick<TopQuery, "fromMs" | "toMs" | "unit">,
  by: TopQuery["by"],
  span: string,
): Promise<string> {
  const tools = await source.top({ ...query, by: "tool", count: 1 });
  if (tools.length > 0)
    return by === "limit"
      ? `No limit judged a call in the last ${span}.`
      : `No call of the last ${span} names a ${by}.`;
  if (query.unit === undefined) return `No calls in the last ${span}.`;
  return `In the last ${span}, no limit that counts ${nounOf(query.unit, 2)} judged a call.`;
}

function percent(part: number, whole: number): string {
  const share = (100 * part) / Math.max(1, whole);
  return `${share > 0 && share < 10 ? share.toFixed(1) : Math.round(share)} %`;
}

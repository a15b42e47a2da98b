// Writes the tables of events into the pages that have them, from src/events.ts. A test sees when a page has another one.

import { readFileSync, writeFileSync } from "node:fs";
import { CALL_EVENTS, EVENTS, type EventKind } from "../src/events.ts";

const ALL = Object.entries<EventKind>({ ...CALL_EVENTS, ...EVENTS });
const PAGES = ["docs/events.md", "docs/troubleshooting.md"] as const;

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map((head) => "-".repeat(head.length))), ...rows.map(line)].join("\n");
}

const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ");
const WHERE: Readonly<Record<string, string>> = { onEvent: "`onEvent`", stream: "stream", log: "log" };
const here = (text: string) => text.replaceAll("troubleshooting.md#", "#");

const TABLES: Readonly<Record<string, string>> = {
  events: table(
    ["event", "when", "fields", "what to do", "where"],
    ALL.map(([name, { when, advice = "nothing", fields, stream, log }]) => {
      const named = Object.entries(fields).map(([field, text]) => `\`${field}\`: ${text}`);
      const places = { onEvent: name in EVENTS, stream: stream !== undefined, log: log !== undefined };
      const where = Object.entries(places).flatMap(([place, isThere]) => (isThere ? [WHERE[place]] : []));
      return [code([name]), when, named.join("; ") || "—", advice, where.join(", ")];
    }),
  ),
  stream: table(
    ["event", "data"],
    ALL.flatMap(([name, { stream }]) => (stream === undefined ? [] : [[code([name]), code(stream)]])),
  ),
  log: table(
    ["event", "level", "message"],
    ALL.flatMap(([name, { log }]) => (log === undefined ? [] : [[code([name]), log.level, `\`${log.message}\``]])),
  ),
  rows: table(
    ["event", "what it means", "what to do"],
    ALL.map(([name, { when, advice = "nothing" }]) => [code([name]), when, here(advice)]),
  ),
};

/** A page with the tables as they are now. */
export function withTables(page: string): string {
  return page.replace(/(<!-- (\w+) -->\n)[\s\S]*?(<!-- \/\2 -->)/g, (whole, start, name, end) =>
    TABLES[name] === undefined ? whole : `${start}\n${TABLES[name]}\n\n${end}`,
  );
}

/** The pages, and what they have now. */
export function pages(): readonly (readonly [file: URL, text: string])[] {
  return PAGES.map((path) => {
    const file = new URL(`../${path}`, import.meta.url);
    return [file, readFileSync(file, "utf8")] as const;
  });
}

if (import.meta.main) for (const [file, text] of pages()) writeFileSync(file, withTables(text));

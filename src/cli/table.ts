// Tables for terminals.

import { stripVTControlCharacters } from "node:util";

/** Rows under a heading, in columns; numbers to the right. */
export function formatTable(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map(printable));
  const widths = heading.map((word, i) => Math.max(word.length, ...clean.map((row) => row[i]?.length ?? 0)));
  const isNumber = heading.map((_, i) => clean.every((row) => /^\$?[\d.,]+( |$)/.test(row[i] ?? "")));
  return [heading, ...clean]
    .map((row) =>
      row
        .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** One line for each row: its name, then its text. */
export function formatList(rows: readonly (readonly [name: string, text: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${printable(text)}`).join("\n");
}

/** Without control characters, which a key may hold. */
function printable(text: string): string {
  return stripVTControlCharacters(text).replace(/\p{Cc}/gu, "?");
}

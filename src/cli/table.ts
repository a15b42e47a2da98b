// Tables for terminals.

import { stripVTControlCharacters } from "node:util";

/** Rows under a heading, in columns; numbers to the right. Control characters, which a key may hold, are left out. */
export function formatTable(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => stripVTControlCharacters(cell).replace(/\p{Cc}/gu, "?")));
  const widths = heading.map((word, i) => Math.max(word.length, ...clean.map((row) => row[i]?.length ?? 0)));
  const isNumber = heading.map((_, i) => clean.every((row) => /^[\d.]+( |$)/.test(row[i] ?? "")));
  return [heading, ...clean]
    .map((row) =>
      row
        .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

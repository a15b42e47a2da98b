// Tables for spreadsheets: CSV as RFC 4180 has it.

export type Cell = string | number | boolean | null;

/** One line, without its end. `null` is an empty cell. */
export function csvLine(cells: readonly Cell[]): string {
  return cells.map((cell) => (typeof cell === "string" ? quoted(cell) : String(cell ?? ""))).join();
}

/** A heading and rows. */
export function formatCsv(heading: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [heading, ...rows].map(csvLine).join("\n");
}

/** A spreadsheet would run a text that begins like a formula, and names of tools come from models. */
function quoted(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

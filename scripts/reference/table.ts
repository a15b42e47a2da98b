// Tables in Markdown.

/** A table. Cells may have any text; lines in them are joined. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map((head) => "-".repeat(head.length))), ...rows.map((row) => line(row.map(cellOf)))]
    .join("\n")
    .concat("\n");
}

function cellOf(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("|", "\\|");
}

/** Names in backticks, with commas. */
export function code(names: Iterable<string>): string {
  return [...names].map((name) => `\`${name}\``).join(", ");
}

/** What a generated page begins with. */
export function headOf(title: string, about: string): string {
  return `# ${title}\n\n<!-- Generated from the code: npm run reference -->\n\n${about}\n`;
}

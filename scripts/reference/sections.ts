// Sections of a reference page, each a table. A section that has all rows of another one names it and shows the others.

import { table } from "./table.ts";

export interface Section {
  readonly name: string;
  /** What stands between the heading and the table. */
  readonly about: string;
  readonly rows: readonly (readonly string[])[];
}

/** With fewer rows, a section is not worth a look at another place. */
const MIN_SHARED = 2;

/** The text of all sections. */
export function sectionsText(heads: readonly string[], level: "##" | "###", all: readonly Section[]): string {
  return all
    .map((section) => `${level} ${section.name}\n\n${section.about}${rowsText(heads, section, all)}`)
    .join("\n");
}

function rowsText(heads: readonly string[], section: Section, all: readonly Section[]): string {
  const base = baseOf(section, all);
  if (base === undefined) return section.rows.length === 0 ? "" : table(heads, section.rows);
  const known = new Set(base.rows.map(String));
  const others = section.rows.filter((row) => !known.has(String(row)));
  const link = `As [${base.name}](#${base.name.toLowerCase()})`;
  return others.length === 0 ? `${link}.\n` : `${link}, and:\n\n${table(heads, others)}`;
}

/** The largest section whose rows another one has, too; of equal sections the first. */
function baseOf(section: Section, all: readonly Section[]): Section | undefined {
  const own = new Set(section.rows.map(String));
  const isEarlier = (other: Section) => other.rows.length < own.size || all.indexOf(other) < all.indexOf(section);
  const parts = all.filter((other) => {
    const isShared = other.rows.length >= MIN_SHARED && other.rows.every((row) => own.has(String(row)));
    return other !== section && isShared && isEarlier(other);
  });
  return parts.toSorted((a, b) => b.rows.length - a.rows.length)[0];
}

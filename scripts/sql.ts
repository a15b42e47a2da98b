// Embeds the migration files of Postgres into src/stores/postgres/migrations.gen.ts, statement by statement.
// A test compares the two.

import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "../src/stores/postgres");

/** The text of migrations.gen.ts. */
export function embeddedMigrations(): string {
  const files = globSync("*.sql", { cwd: folder }).sort();
  const migrations = files.map((file) =>
    readFileSync(join(folder, file), "utf8")
      .split("\n")
      .filter((line) => !line.trim().startsWith("--"))
      .join("\n")
      .split(/;\n/)
      .map((statement) => statement.replace(/\s+/g, " ").trim())
      .filter((statement) => statement !== ""),
  );
  const texts = migrations.map(
    (statements) => `  [\n${statements.map((each) => `    ${JSON.stringify(each)},\n`).join("")}  ],\n`,
  );
  return [
    "// Made from the migration files by `npm run sql`. Do not edit.",
    "",
    "/** The statements of each version, from 1. */",
    `export const MIGRATIONS: readonly (readonly string[])[] = [\n${texts.join("")}];`,
    "",
  ].join("\n");
}

if (import.meta.main) writeFileSync(join(folder, "migrations.gen.ts"), embeddedMigrations());

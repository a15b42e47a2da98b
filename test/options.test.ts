// Each option's comment and each page say the range and the default that the option's table has.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { ROOT, sources } from "./sources.ts";

interface WholeOption {
  readonly name: string;
  readonly min: string;
  readonly max: string;
  /** `null`: the option has none. */
  readonly default: string | null;
}

/** Whole numbers in the tables of a file, as comments write them. */
function wholesIn(text: string): WholeOption[] {
  const entries = text.matchAll(/^ {2}(\w+): whole\(([^,)]+), ([^,)]+)(?:, ([^)]+))?\),$/gm);
  return [...entries].map(([, name = "", min = "", max = "", byDefault]) => ({
    name,
    min: written(min),
    max: written(max),
    default: byDefault === undefined ? null : written(byDefault),
  }));
}

function written(number: string): string {
  if (number === "Number.MAX_SAFE_INTEGER") return "2^53 - 1";
  return Number(number.replaceAll("_", "")).toLocaleString("en");
}

/** The comment of an option: in its table, else in the interface beside it. */
function commentOf(text: string, name: string): string {
  const [, comment = ""] =
    new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s+(?:readonly )?${name}(?:\\?)?:`).exec(text) ?? [];
  return comment.replaceAll(/\s+\*?\s*/g, " ");
}

/** Pages with a table of options. */
const PAGES: Readonly<Record<string, string>> = {
  "src/service/bounds.ts": "docs/service.md",
  "src/service/node.ts": "docs/service.md",
  "src/envoy/options.ts": "docs/envoy.md",
  "src/client/options.ts": "docs/client.md",
  "src/session-id.ts": "docs/session-id.md",
  "src/stores/document/column.ts": "docs/stores/document.md",
  "src/stores/memory.ts": "docs/stores/memory.md",
  "src/stores/postgres.ts": "docs/stores/postgres.md",
  "src/stores/redis.ts": "docs/stores/redis.md",
  "src/stores/sqlite.ts": "docs/stores/sqlite.md",
};

for (const { path, text } of sources("src/**/*.ts")) {
  for (const option of wholesIn(text)) {
    it(`the comment of ${option.name} in ${path} says its range and its default`, () => {
      const comment = commentOf(text, option.name);
      // A port's default is a name as much as a number: 8420.
      const numbers = comment.replace(/\b(\d)(\d{3})\b/g, "$1,$2");
      assert.ok(comment.includes(`${option.min} to ${option.max}`), comment);
      if (option.default !== null) assert.match(numbers, new RegExp(`Default ${option.default}(?!,?\\d)`));
    });

    const page = PAGES[path];
    if (page === undefined) continue;
    it(`${page} has the default of ${option.name}`, () => {
      const row = new RegExp(`^\\| \`${option.name}\` .*`, "m").exec(readFileSync(ROOT + page, "utf8"))?.[0] ?? "";
      const numbers = row.replaceAll(/(?<=\d),(?=\d)/g, "").match(/\d+/g) ?? [];
      assert.ok(option.default === null || numbers.some((each) => each === option.default?.replaceAll(",", "")), row);
    });
  }
}

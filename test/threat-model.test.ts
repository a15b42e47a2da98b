// docs/threat-model.md names a test for each bypass: the file must exist and have a test of that name.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { ROOT } from "./sources.ts";

const rows = readFileSync(`${ROOT}docs/threat-model.md`, "utf8")
  .split("## Accepted risks")[0]
  ?.split("\n")
  .filter((line) => /^\| (?!bypass|party|---)/.test(line) && line.split("|").length === 5);

describe("the threat model", () => {
  it("has a test for each bypass", () => {
    assert.ok(rows !== undefined && rows.length > 30);
    for (const row of rows) assert.match(row, /\]\(\.\.\/(test|src)\//, row);
  });

  it("names tests that exist", () => {
    const wrong = rows?.flatMap((row) =>
      [...row.matchAll(/\[([^\]]+)\]\(\.\.\/((?:test|src)\/[^)]+)\)/g)].flatMap(([, name = "", path = ""]) => {
        if (!existsSync(ROOT + path)) return [`${path} does not exist`];
        return readFileSync(ROOT + path, "utf8").includes(name) ? [] : [`${path} has no test "${name}"`];
      }),
    );
    assert.deepEqual(wrong, []);
  });
});

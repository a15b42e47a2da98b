// Each mutant replaces one place of a source file. When that source changes, its mutant has to change with it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { describe, it } from "node:test";
import { MUTANTS } from "./mutants.ts";

const sourceOf = (file: string) => readFileSync(new URL(`../../../src/${file}`, import.meta.url), "utf8");

describe("the mutants of the simulator", () => {
  for (const [name, { file, find, replace }] of Object.entries(MUTANTS)) {
    it(`"${name}" has exactly one place in src/${file}`, () => {
      const source = sourceOf(file);
      assert.equal(source.split(find).length - 1, 1);
      const mutated = source.replace(find, () => replace);
      assert.notEqual(mutated, source);
      stripTypeScriptTypes(mutated);
    });
  }
});

// The pictures of the documentation show what the code does today.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { drawAlgorithm, PICTURES } from "../scripts/algorithm-pictures.ts";
import { ALGORITHMS } from "../src/kernel/algorithms/registry.ts";
import { ROOT } from "./sources.ts";

const read = (path: string) => readFileSync(ROOT + path, "utf8");

describe("the picture of an algorithm", () => {
  it("exists for each algorithm", () => {
    assert.deepEqual(Object.keys(PICTURES).sort(), Object.keys(ALGORITHMS).sort());
  });

  for (const [name, picture] of Object.entries(PICTURES)) {
    it(`${name} is drawn from its decisions, and is on the page of concepts`, async () => {
      const drawn = await drawAlgorithm(name, picture);
      assert.equal(read(`docs/algorithms/${name}.svg`), drawn, "run `npm run pictures`");
      assert.ok(read("docs/concepts.md").includes(`(algorithms/${name}.svg)`));
    });
  }
});

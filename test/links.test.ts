// Links of the documentation: each leads to a file, and to a heading that is there. Each page is on the index.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "./sources.ts";

const PAGES = globSync(["*.md", "docs/**/*.md", "examples/**/*.md"], { cwd: ROOT }).sort();
const read = (path: string) => readFileSync(ROOT + path, "utf8");
/** A page without its code. */
const prose = (path: string) => read(path).replace(/^```[\s\S]*?^```$/gm, "");

/** The anchors of a page, as GitHub makes them of headings. */
function anchors(path: string): string[] {
  return [...prose(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** The links of a page to files of the repository: `#anchor`, `path` or `path#anchor`. */
function links(path: string): string[] {
  return [...prose(path).matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, to = ""]) => (/^[a-z]+:/.test(to) ? [] : [to]));
}

describe("links of", () => {
  for (const page of PAGES) {
    it(page, () => {
      const broken = links(page).filter((link) => {
        const [file = "", anchor] = link.split("#");
        const target = file === "" ? page : normalize(join(dirname(page), file));
        if (!existsSync(ROOT + target)) return true;
        return anchor !== undefined && target.endsWith(".md") && !anchors(target).includes(anchor);
      });
      assert.deepEqual(broken, []);
    });
  }
});

describe("the index", () => {
  it("leads to each page", () => {
    const listed = links("docs/README.md").map((link) => normalize(join("docs", link)));
    const pages = PAGES.filter((page) => /^docs\//.test(page) && !/^docs\/(decisions\/|README)/.test(page));
    assert.deepEqual(
      pages.filter((page) => !listed.includes(page)),
      [],
    );
  });
});

describe("the list of decisions", () => {
  it("has each with its title", () => {
    const pages = PAGES.filter((page) => /^docs\/decisions\/\d/.test(page));
    const lines = pages.map(
      (page) => `- [${read(page).split("\n")[0]?.replace("# ", "")}](${page.replace(/.*\//, "")})`,
    );
    assert.deepEqual(read("docs/decisions/README.md").match(/^- .*$/gm), lines);
  });
});

describe("the glossary", () => {
  it("has its words in alphabetical order, one line each", () => {
    const tables = read("docs/glossary.md").split("\n## ").slice(1);
    assert.equal(tables.length, 2);
    for (const table of tables) {
      const words = [...table.matchAll(/^\| (?!word|-)`?([^|`]+?)`? \|/gm)].map(([, word = ""]) => word.toLowerCase());
      assert.deepEqual(words, [...new Set(words)].toSorted());
      assert.ok(words.length > 20);
    }
  });
});

// The difference between two policies, which `patch` takes.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import fc from "fast-check";
import { diffOf, patchOf } from "../../console/diff.ts";
import { temporaryFolder } from "../temporary.ts";

const shown = (before: string, after: string) => diffOf(before, after).map(({ mark, text }) => mark + text);

describe("a difference", () => {
  it("is the lines that are new, and those that are gone", () => {
    assert.deepEqual(shown("a\nb\nc", "a\nB\nc\nd"), [" a", "-b", "+B", " c", "+d"]);
    assert.deepEqual(shown("a", "a"), [" a"]);
    assert.deepEqual(shown("", "a"), ["-", "+a"]);
    assert.equal(patchOf("p", diffOf("a\nb", "a\nb")), "");
  });

  it("leads from one text to the other, and back", () => {
    const lines = fc.array(fc.constantFrom("a", "b", "c", ""), { maxLength: 12 }).map((each) => each.join("\n"));
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const all = diffOf(before, after);
        const without = (mark: string) => all.filter((line) => line.mark !== mark).map(({ text }) => text);
        assert.equal(without("+").join("\n"), before);
        assert.equal(without("-").join("\n"), after);
      }),
    );
  });

  it("is one that git applies", () => {
    const folder = temporaryFolder();
    const file = join(folder, "policy.yaml");
    const before = `${Array.from({ length: 40 }, (_, i) => `line ${i}`).join("\n")}\n`;
    const after = before
      .replace("line 5\n", "line five\n")
      .replace("line 30\n", "")
      .replace("line 36\n", "line 36\nmore\n");
    writeFileSync(file, before);
    const { status, stderr } = spawnSync("git", ["apply", "-p0", "-"], {
      cwd: folder,
      input: patchOf("policy.yaml", diffOf(before, after)),
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.equal(readFileSync(file, "utf8"), after);
  });
});

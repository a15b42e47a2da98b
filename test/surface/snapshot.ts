// What was agreed on is a text beside the tests. It is made from the code, and read by a reviewer as a diff.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

const UPDATE = "TOLLGATE_UPDATE_SURFACE=1 npm test -- 'test/surface/*.test.ts'";
const HEAD = `# Generated. To change it on purpose: ${UPDATE}`;

/**
 * Fails when a part of the public surface is not as it was agreed on.
 *
 * @param name of the snapshot, such as `http`
 * @param sections by their titles, each a list of lines
 */
export function assertAgreed(name: string, sections: Readonly<Record<string, readonly string[]>>): void {
  const file = new URL(`${name}.snapshot.txt`, import.meta.url);
  const parts = Object.entries(sections).map(([title, lines]) => [`## ${title}`, ...lines].join("\n"));
  const now = `${[HEAD, ...parts].join("\n\n")}\n`;
  if (process.env.TOLLGATE_UPDATE_SURFACE === "1") writeFileSync(file, now);
  const agreed = readFileSync(file, "utf8");
  assert.equal(now, agreed, `${name} has changed; if that is on purpose, run ${UPDATE} and review the diff`);
}

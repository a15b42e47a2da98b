// The lines of a text that changes replace, and those that they become, as a diff shows them.

import { type Change, splice } from "../../gateway/json/splice.ts";

const NEWLINE = 0x0a;

/** @param changes sorted, as `splice` takes them */
export function diffOf(bytes: Buffer, changes: readonly Change[]): string {
  return hunksOf(bytes, changes)
    .map(({ from, to, changes }) => {
      const old = bytes.subarray(from, to);
      const moved = changes.map(({ at, text }) => ({ at: { from: at.from - from, to: at.to - from }, text }));
      const line = bytes.subarray(0, from).filter((byte) => byte === NEWLINE).length + 1;
      return [`@@ line ${line} @@`, ...marked("-", old), ...marked("+", splice(old, moved))].join("\n");
    })
    .join("\n");
}

interface Hunk {
  readonly from: number;
  readonly to: number;
  readonly changes: readonly Change[];
}

/** The whole lines that are changed; those that follow one another are one hunk. */
function hunksOf(bytes: Buffer, changes: readonly Change[]): Hunk[] {
  const hunks: Hunk[] = [];
  for (const change of changes) {
    const from = bytes.lastIndexOf(NEWLINE, change.at.from - 1) + 1;
    const end = bytes.indexOf(NEWLINE, change.at.to);
    const to = end === -1 ? bytes.length : end + 1;
    const last = hunks.at(-1);
    if (last !== undefined && from <= last.to) {
      hunks[hunks.length - 1] = { from: last.from, to: Math.max(to, last.to), changes: [...last.changes, change] };
    } else hunks.push({ from, to, changes: [change] });
  }
  return hunks;
}

function marked(mark: string, lines: Buffer): string[] {
  return lines
    .toString("utf8")
    .replace(/\r?\n$/, "")
    .split(/\r?\n/)
    .map((line) => `${mark}${line}`);
}

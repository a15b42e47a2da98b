// The lines in which two texts differ, as `diff -u` writes them.

/** Most pairs of lines that are compared: a policy of 2,000 lines with another. */
const MOST_PAIRS = 4_000_000;
const CONTEXT = 3;

export interface DiffLine {
  readonly mark: " " | "+" | "-";
  readonly text: string;
}

/** All lines of both texts; those at their beginnings and ends that are equal cost nothing. */
export function diffOf(before: string, after: string): readonly DiffLine[] {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const middle = changed(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [...marked(" ", a.slice(0, start)), ...middle, ...marked(" ", end === 0 ? [] : a.slice(-end))];
}

function marked(mark: DiffLine["mark"], lines: readonly string[]): DiffLine[] {
  return lines.map((text) => ({ mark, text }));
}

/** By the longest common subsequence. */
function changed(a: readonly string[], b: readonly string[]): DiffLine[] {
  if (a.length * b.length > MOST_PAIRS) return [...marked("-", a), ...marked("+", b)];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => lengths[i * width + j] as number;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: DiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      lines.push({ mark: " ", text: a[i++] as string });
      j++;
    } else if (at(i + 1, j) >= at(i, j + 1)) lines.push({ mark: "-", text: a[i++] as string });
    else lines.push({ mark: "+", text: b[j++] as string });
  }
  return [...lines, ...marked("-", a.slice(i)), ...marked("+", b.slice(j))];
}

/** A patch that `patch` and `git apply` take; the empty text: nothing differs. */
export function patchOf(name: string, lines: readonly DiffLine[]): string {
  const hunks = hunksOf(lines);
  return hunks.length === 0 ? "" : [`--- ${name}`, `+++ ${name}`, ...hunks, ""].join("\n");
}

function hunksOf(lines: readonly DiffLine[]): string[] {
  const isNear = lines.map((_, i) =>
    lines.slice(Math.max(0, i - CONTEXT), i + CONTEXT + 1).some(({ mark }) => mark !== " "),
  );
  const hunks: string[] = [];
  let [before, after] = [1, 1];
  for (let i = 0; i < lines.length; ) {
    if (isNear[i] !== true) {
      i++;
      before++;
      after++;
      continue;
    }
    let end = i;
    while (isNear[end] === true) end++;
    const part = lines.slice(i, end);
    const count = (other: "+" | "-") => part.filter(({ mark }) => mark !== other).length;
    hunks.push(`@@ -${before},${count("+")} +${after},${count("-")} @@`, ...part.map(({ mark, text }) => mark + text));
    before += count("+");
    after += count("-");
    i = end;
  }
  return hunks;
}

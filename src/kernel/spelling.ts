// How close two names are: for "did you mean", and for pairs of names of which one is probably a typo.

/** Longest name that is compared. */
const MAX_LENGTH = 64;

/** The edits that turn one text into the other (insert, delete, replace, swap neighbours); `max + 1` where it takes more. */
export function editDistance(one: string, other: string, max: number): number {
  if (Math.abs(one.length - other.length) > max || Math.max(one.length, other.length) > MAX_LENGTH) return max + 1;
  const start = sharedStart(one, other);
  let end = 0;
  const shorter = Math.min(one.length, other.length) - start;
  while (end < shorter && one.at(-1 - end) === other.at(-1 - end)) end++;
  return distanceOf(one.slice(start, one.length - end), other.slice(start, other.length - end), max);
}

/** How many characters two texts begin with alike. */
function sharedStart(one: string, other: string): number {
  let start = 0;
  while (start < one.length && one[start] === other[start]) start++;
  return start;
}

/** Optimal string alignment: each row is the distances of one's beginning to each beginning of the other. */
function distanceOf(one: string, other: string, max: number): number {
  let before: number[] = [];
  let row = Array.from({ length: other.length + 1 }, (_, j) => j);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = (row[j - 1] as number) + (one[i - 1] === other[j - 1] ? 0 : 1);
      const isSwapped = j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      const swapped = isSwapped ? (before[j - 2] as number) + 1 : replaced;
      next.push(Math.min((next[j - 1] as number) + 1, (row[j] as number) + 1, replaced, swapped));
    }
    if (Math.min(...next) > max) return max + 1;
    before = row;
    row = next;
  }
  return Math.min(row[other.length] as number, max + 1);
}

/** The candidate that was probably meant; `null` where none is close. Case, hyphens and underscores do not count. */
export function closest(word: string, candidates: Iterable<string>): string | null {
  const plain = plainOf(word);
  const max = plain.length < 3 ? 0 : plain.length < 6 ? 1 : plain.length < 9 ? 2 : 3;
  let found: string | null = null;
  let least = max + 1;
  for (const candidate of candidates) {
    if (candidate === word) continue;
    const other = plainOf(candidate);
    // `T1` and `T4`, `search_v1` and `search_v2` are two names, not one and its typo.
    if (other !== plain && other.replace(/\d/g, "") === plain.replace(/\d/g, "")) continue;
    const distance = editDistance(plain, other, max);
    if (distance < least) [found, least] = [candidate, distance];
  }
  return found;
}

/** A hint at what was probably meant. */
export function didYouMean(name: string | null): string | null {
  return name === null ? null : `Did you mean "${name}"?`;
}

/** The hint of a fault, where a name is probably a typo of another. */
export function typoHint(name: unknown, names: Iterable<string>): { readonly hint?: string } {
  const hint = didYouMean(typeof name === "string" ? closest(name, names) : null);
  return hint === null ? {} : { hint };
}

/** A name without what people write differently: case, hyphens, underscores. */
export function plainOf(name: string): string {
  return name.toLowerCase().replace(/[\s_-]/g, "");
}

/**
 * Whether one of two names is very probably a typo of the other, although each could be right: one edit inside a word of at
 * least five letters. Names that people do tell apart are not: `get_x` and `set_x`, `read_file` and `read_files`,
 * `search_v1` and `search_v2`.
 */
export function isTypoOf(one: string, other: string): boolean {
  if (one === other) return false;
  if (plainOf(one) === plainOf(other)) return true;
  if (editDistance(one, other, 1) !== 1) return false;
  const start = sharedStart(one, other);
  const words = [wordAt(one, start), wordAt(other, start)];
  const [short = "", long = ""] = words.sort((a, b) => a.length - b.length);
  if (long.length < 5 || !/^[a-z]+$/i.test(short + long)) return false;
  // A letter that is there twice is a typo wherever it stands.
  const isFirstLetter = short.slice(1) === long.slice(1) || (short === long.slice(1) && long[0] !== long[1]);
  const isEnding = short === long.slice(0, -1) && /[sdrny]$/i.test(long) && long.at(-1) !== long.at(-2);
  return !isFirstLetter && !isEnding;
}

/** Whether one of two names of at least four characters has two neighbouring letters of the other one swapped. */
export function isSwapOf(one: string, other: string): boolean {
  if (one.length !== other.length || one.length < 4) return false;
  const start = sharedStart(one, other);
  const [first = "", second = ""] = one.slice(start);
  const isPair = /^[a-z]{2}$/i.test(first + second) && other.startsWith(second + first, start);
  return isPair && one.slice(start + 2) === other.slice(start + 2);
}

/** The word of a name that has, or ends at, a position. */
function wordAt(name: string, position: number): string {
  const before = /[^\s_.:/-]*$/.exec(name.slice(0, position))?.[0] ?? "";
  const after = /^[^\s_.:/-]*/.exec(name.slice(position))?.[0] ?? "";
  return before + after;
}

export function isPluralOf(one: string, other: string): boolean {
  return `${one}s` === other || `${other}s` === one;
}

// Names with `*` for any characters, also none.

/** Whether a pattern is more than one name. */
export function isGlob(pattern: string): boolean {
  return pattern.includes("*");
}

/**
 * Tells whether a name is what a pattern says. It looks at each part of the pattern once, from left to right, and never
 * goes back.
 */
export function globMatcher(pattern: string): (name: string) => boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return (name) => name === pattern;
  const parts = rest.filter((part) => part !== "");
  return (name) => {
    if (!name.startsWith(first)) return false;
    let from = first.length;
    for (const part of parts) {
      const at = name.indexOf(part, from);
      if (at === -1) return false;
      from = at + part.length;
    }
    return name.length - last.length >= from && name.endsWith(last);
  };
}

export function namesMatcher(patterns: readonly string[]): (name: string) => boolean {
  const names = new Set(patterns.filter((pattern) => !isGlob(pattern)));
  const globs = patterns.filter(isGlob).map(globMatcher);
  return (name) => names.has(name) || globs.some((matches) => matches(name));
}

/** Finds what stands under a name: its own entry, else that of the first pattern that matches. */
export function entryFinder<Entry>(entries: readonly (readonly [pattern: string, entry: Entry])[]) {
  const named = new Map(entries);
  const globs = entries
    .filter(([pattern]) => isGlob(pattern))
    .map(([pattern, entry]) => ({ matches: globMatcher(pattern), entry }));
  return (name: string): Entry | undefined => named.get(name) ?? globs.find(({ matches }) => matches(name))?.entry;
}

/** Whether each name that a pattern matches is matched by another one, too. */
export function covers(pattern: string, other: string): boolean {
  // The pattern is read as a name: its * stands for any characters, so only a * of the other one may match it.
  return globMatcher(pattern)(other);
}

/** Whether some name may be matched by both of two names or patterns. Where both have `*`, only their beginnings are compared. */
export function mayMeet(one: string, other: string): boolean {
  if (!isGlob(one) || !isGlob(other)) return covers(one, other) || covers(other, one);
  const [[start = ""], [begin = ""]] = [one.split("*"), other.split("*")];
  return start.startsWith(begin) || begin.startsWith(start);
}

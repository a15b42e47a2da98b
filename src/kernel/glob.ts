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

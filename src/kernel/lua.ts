// What the compiled part of the kernel has of Lua's own library in the Redis script (scripts/lua/kernel.ts puts it there). So
// positions are counted from 1, and patterns are what Lua and regular expressions share: literals, `%d` and `%w` as `\d` and
// `\w`, sets, repetitions and captures.

type Found = readonly [first: number, last: number, ...captures: string[]];

const NOT_FOUND = [] as unknown as Found;
const expressions = new Map<string, RegExp>();

function expressionOf(pattern: string): RegExp {
  const known = expressions.get(pattern);
  if (known !== undefined) return known;
  const made = new RegExp(pattern.slice("^".length).replaceAll("%", "\\"), "y");
  expressions.set(pattern, made);
  return made;
}

/**
 * Matches a pattern, which begins with `^`, from a position on.
 *
 * @returns the first and the last position of the match, and its captures; nothing where it does not match
 */
export function find(text: string, pattern: string, first = 1): Found {
  const expression = expressionOf(pattern);
  expression.lastIndex = first - 1;
  const match = expression.exec(text);
  return match === null ? NOT_FOUND : [first, expression.lastIndex, ...match.slice(1)];
}

/** The code of the character at a position; NaN, in Lua nil, where there is none. */
export function codeAt(text: string, position: number): number {
  return text.charCodeAt(position - 1);
}

/** The characters from one position to another. */
export function partOf(text: string, first: number, last: number): string {
  return text.slice(first - 1, last);
}

/** Whether a text contains another one. */
export function contains(text: string, other: string): boolean {
  return text.includes(other);
}

/** The number that digits are; above 2^53 it is rounded. */
export function numberOf(digits: string): number {
  return Number(digits);
}

/** A whole number as digits. */
export function textOf(number: number): string {
  return String(number);
}

/** The text of an entry, where it is known already: in Lua, entries keep the text that they were read from. */
export function knownText(_entry: object): string | undefined {
  return undefined;
}

/** Keeps the text of an entry. */
export function keepText(_entry: object, _text: string): void {}

/** An empty list. In Lua it has room for a few items, because a list that grows is made again each time. */
export function shortList<Item>(): Item[] {
  return [];
}

// Which calls a part of a policy is for: `when`, patterns by dimension. They are made ready once, so that asking is cheap.

import type { Dimension } from "./call.ts";
import { isGlob, namesMatcher } from "./glob.ts";
import type { SelectorInput, WhenInput } from "./policy/input-values.ts";

/** What a call says of a dimension, as text: `undefined` for nothing, `null` where that is not known, so that it matches. */
export type TextOf = (dimension: Dimension) => string | undefined | null;

/** Tells whether a call matches a `when`, by what it says of its dimensions. */
export type CallMatcher = (textOf: TextOf) => boolean;

export function patternsOf(value: SelectorInput): string[] {
  return [value].flat().map(String);
}

/** The value that a pattern excludes; `null` where it does not exclude one. */
export function excludedBy(pattern: string): string | null {
  return pattern.startsWith("!") ? pattern.slice(1) : null;
}

export function includedIn(patterns: readonly string[]): string[] {
  return patterns.filter((pattern) => excludedBy(pattern) === null);
}

/** What the patterns with `!` exclude. */
export function excludedIn(patterns: readonly string[]): string[] {
  return patterns.flatMap((pattern) => excludedBy(pattern) ?? []);
}

/**
 * Tells whether a value is what patterns say: one pattern without `!` matches it, or all have `!`; and none with `!` does.
 * No value matches only where all patterns have `!`. A value that is not known matches.
 */
export function valueMatcher(value: SelectorInput): (value: string | undefined | null) => boolean {
  const patterns = patternsOf(value);
  const isIncluded = namesMatcher(includedIn(patterns));
  const isExcluded = namesMatcher(excludedIn(patterns));
  const isForOthers = includedIn(patterns).length === 0;
  return (value) => {
    if (value === null) return true;
    if (value === undefined) return isForOthers;
    return (isForOthers || isIncluded(value)) && !isExcluded(value);
  };
}

/** Tells whether a call matches each dimension of a `when`. */
export function callMatcher(when: WhenInput): CallMatcher {
  const tests = Object.entries(when).map(([dimension, value]) => [dimension, valueMatcher(value)] as const);
  return (textOf) => {
    for (const [dimension, matches] of tests) if (!matches(textOf(dimension))) return false;
    return true;
  };
}

/** How many of the patterns of a `when` have a `*`. */
export function globsIn(when: WhenInput): number {
  return Object.values(when).flatMap(patternsOf).filter(isGlob).length;
}

/** Whether a `when` has one whole value for each dimension, so that it is looked up and not tried. */
export function isExact(when: WhenInput): boolean {
  const values = Object.values(when).map(patternsOf);
  return values.length > 0 && values.every(([pattern = "!", ...others]) => others.length === 0 && isWhole(pattern));
}

function isWhole(pattern: string): boolean {
  return !isGlob(pattern) && excludedBy(pattern) === null;
}

/**
 * Finds the first `when` of a list that a call matches: its index, or -1. Whole values are looked up once for each set of
 * dimensions, whatever their number. The others are tried in order, as far as an earlier one may match.
 */
export function firstMatcher(whens: readonly WhenInput[]): (textOf: TextOf) => number {
  const sets = new Map<
    string,
    { readonly dimensions: readonly Dimension[]; readonly firstWith: Map<string, number> }
  >();
  const tried: { readonly index: number; readonly matches: CallMatcher }[] = [];
  for (const [index, when] of whens.entries()) {
    if (!isExact(when)) {
      tried.push({ index, matches: callMatcher(when) });
      continue;
    }
    const dimensions = Object.keys(when).sort();
    const { firstWith } = sets.get(dimensions.join()) ?? { firstWith: new Map<string, number>() };
    sets.set(dimensions.join(), { dimensions, firstWith });
    const values = valuesOf(dimensions, (dimension) => String(when[dimension]));
    if (values !== null && !firstWith.has(values)) firstWith.set(values, index);
  }
  return (textOf) => {
    let first = whens.length;
    for (const { dimensions, firstWith } of sets.values())
      first = Math.min(first, firstWith.get(valuesOf(dimensions, textOf) ?? "") ?? first);
    for (const { index, matches } of tried) {
      if (index >= first) break;
      if (matches(textOf)) return index;
    }
    return first === whens.length ? -1 : first;
  };
}

/** The values of some dimensions as one text, which no other values have; `null` where one is not known. */
function valuesOf(dimensions: readonly Dimension[], textOf: TextOf): string | null {
  let values = "";
  for (const dimension of dimensions) {
    const value = textOf(dimension);
    if (typeof value !== "string") return null;
    values += `${value.length}:${value}`;
  }
  return values;
}

// Which calls a part of a policy is for: `when`, patterns by dimension. They are made ready once, so that asking is cheap.

import type { Dimension } from "./call.ts";
import { isGlob, namesMatcher } from "./glob.ts";
import type { SelectorInput, WhenInput } from "./policy/input-values.ts";

/** What a call says of a dimension, as text: `undefined` for nothing, `null` where that is not known, so that it matches. */
export type TextOf = (dimension: Dimension) => string | undefined | null;

/** Tells whether a call matches a `when`, by what it says of its dimensions. */
export type CallMatcher = (textOf: TextOf) => boolean;

/** The patterns of one dimension, as texts. */
export function patternsOf(value: SelectorInput): string[] {
  return [value].flat().map(String);
}

/** The value that a pattern excludes; `null` where it does not exclude one. */
export function excludedBy(pattern: string): string | null {
  return pattern.startsWith("!") ? pattern.slice(1) : null;
}

/** The patterns without `!`. */
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

/** By the value of one dimension: the same by that of the next one, or a place in the list. */
type Level = Map<string, Level | number>;

/**
 * Finds the first `when` of a list that a call matches: its place, or -1. Whole values are looked up once for each set of
 * dimensions, whatever their number. The others are tried in order, as far as an earlier one may match.
 */
export function firstMatcher(whens: readonly WhenInput[]): (textOf: TextOf) => number {
  const sets = new Map<string, { readonly dimensions: readonly Dimension[]; readonly values: Level }>();
  const tried: { readonly place: number; readonly matches: CallMatcher }[] = [];
  for (const [place, when] of whens.entries()) {
    if (!isExact(when)) {
      tried.push({ place, matches: callMatcher(when) });
      continue;
    }
    const dimensions = Object.keys(when).sort();
    const set = sets.get(dimensions.join()) ?? { dimensions, values: new Map() };
    sets.set(dimensions.join(), set);
    keepFirst(
      set.values,
      dimensions.map((dimension) => String(when[dimension])),
      place,
    );
  }
  return (textOf) => {
    let first = whens.length;
    for (const { dimensions, values } of sets.values())
      first = Math.min(first, placeIn(values, dimensions, textOf) ?? first);
    for (const { place, matches } of tried) {
      if (place >= first) break;
      if (matches(textOf)) return place;
    }
    return first === whens.length ? -1 : first;
  };
}

function keepFirst(level: Level, [value = "", ...rest]: readonly string[], place: number): void {
  if (rest.length === 0) {
    if (!level.has(value)) level.set(value, place);
    return;
  }
  const next = level.get(value) ?? new Map();
  level.set(value, next);
  keepFirst(next as Level, rest, place);
}

function placeIn(values: Level, dimensions: readonly Dimension[], textOf: TextOf): number | undefined {
  let found: Level | number | undefined = values;
  for (const dimension of dimensions) {
    const value = textOf(dimension);
    found = typeof value !== "string" ? undefined : (found as Level).get(value);
    if (found === undefined) return undefined;
  }
  return found as number;
}

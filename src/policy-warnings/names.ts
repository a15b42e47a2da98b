// Dimensions and tools that are spelled in two ways, or nearly like a dimension that Tollgate knows.

import { DERIVED_DIMENSIONS, DIMENSIONS } from "../kernel/call.ts";
import { isGlob } from "../kernel/glob.ts";
import { distinctOf } from "../kernel/policy/compile.ts";
import { isPlanWord } from "../kernel/policy/quota-hints.ts";
import { durationFrom } from "../kernel/policy/values.ts";
import { didYouMean, editDistance, isPluralOf, isSwapOf, isTypoOf, plainOf } from "../kernel/spelling.ts";
import { type Known, type KnownLimit, keyUses, type Use, usesIn } from "./known.ts";
import { ofKey, ofPair, ofValue, quoted, type Warnings } from "./warning.ts";

/** Most names that are compared with one another, and most dimensions whose values are. */
const MAX_PAIRED = 300;
const MAX_COMPARED = 20;
/** Dimensions whose values are ids; `group`, whose values `tools` has. */
const WITHOUT_TYPOS = ["tenant", "user", "session", "turn", "agent", "group"];
/** Spans of time, which are windows in a policy. Calls are not told them. */
const SPANS = new Set(["second", "minute", "hour", "hourly", "daily", "weekly"]);
const WINDOWED = "an algorithm that has one, such as fixed-window";
const BUILT_IN: readonly string[] = [...DIMENSIONS, ...DERIVED_DIMENSIONS];
/** Words that are one letter away from one of these, and are no typos. */
const OWN_WORDS = new Set("pool stool toll use usher burn urn turf tern tie pier tiger tire ages arms arts".split(" "));

/** Of dimensions that are nearly like one that Tollgate knows. */
export function* dimensionWarnings({ input, limits }: Known): Warnings {
  const required = new Set(
    input.limits.flatMap(({ per, onMissing }) =>
      (onMissing ?? input.defaults?.onMissing ?? "error") === "error" ? per : [],
    ),
  );
  for (const { name, keys, isKey } of limits.flatMap(dimensionUses)) {
    const meant = builtInFor(name) ?? (required.has(name) ? null : builtInWithSuffix(name));
    const span = SPANS.has(name) ? durationFrom(name) : null;
    if (meant === null && span === null) continue;
    const message = `Tollgate has no dimension ${quoted(name)}, so it is one of your own.`;
    const hint =
      span === null ? didYouMean(meant) : `For a quota in each ${name}, write "window: ${span}" and ${WINDOWED}.`;
    yield (isKey ? ofKey : ofValue)("unusual-dimension", keys, message, hint);
  }
}

/** The dimension that a name of the policy's own is a typo of; `null` for none. */
function builtInFor(name: string): string | null {
  if (BUILT_IN.includes(name) || OWN_WORDS.has(name)) return null;
  return BUILT_IN.find((dimension) => editDistance(name, dimension, 1) === 1) ?? null;
}

/** The dimension that `user_id` or `tool_name` means; `null` for none. */
function builtInWithSuffix(name: string): string | null {
  const [, stem] = /^(.+?)_?(?:id|name)$/.exec(name) ?? [];
  return DIMENSIONS.find((dimension) => dimension === stem) ?? null;
}

function dimensionUses({ limit, keys, whens }: KnownLimit): Use[] {
  const distinct = distinctOf(limit);
  return [
    ...limit.per.map((name, n) => ({ name, keys: [...keys, "per", n], isKey: false })),
    ...(distinct === null ? [] : [{ name: distinct, keys: [...keys, "distinct"], isKey: false }]),
    ...whens.flatMap(({ when, keys }) => keyUses(when, keys)),
    ...keyUses(limit.quotas, [...keys, "quotas"]),
  ];
}

/** Own dimensions and units that most policies call the same, so that a name that is nearly one of them is the typo. */
const WELL_KNOWN_NAMES =
  "plan region workspace team project customer account country environment calls tokens credits requests usd_micros";
const WELL_KNOWN = new Set(WELL_KNOWN_NAMES.split(" "));

/** Whether a name is well known: it is right where another one is nearly the same. */
export function isWellKnown(name: string): boolean {
  return WELL_KNOWN.has(name) || BUILT_IN.includes(name) || isPlanWord(name);
}

/** Of names of which one is a typo of the other. Where there are `tools`, only their names are compared: others are unknown. */
export function* similarWarnings({ input, limits, tools, toolUses }: Known): Warnings {
  const isOwn = ({ name }: Use) => !BUILT_IN.includes(name) && builtInFor(name) === null;
  yield* similarAmong(limits.flatMap(dimensionUses).filter(isOwn), "dimensions", isLikeDimension);
  yield* similarAmong(tools === null ? toolUses : keyUses(input.tools, ["tools"]), "tools", isTypoOf);
  const values = Map.groupBy(limits.flatMap(valueUses), ({ dimension }) => dimension);
  for (const [dimension, uses] of [...values].slice(0, MAX_COMPARED)) {
    const [patterns, whole] = [uses.filter(({ name }) => isGlob(name)), uses.filter(({ name }) => !isGlob(name))];
    if (dimension !== "tool") yield* similarAmong(whole, `values of ${dimension}`, isLikeValue);
    if (dimension !== "tool" || tools === null) yield* similarAmong(patterns, `patterns of ${dimension}`, isLikeValue);
  }
}

/** The name of a dimension is one word, mostly: from four letters on, one edit behind the first letter is a typo. */
function isLikeDimension(one: string, other: string): boolean {
  if (isTypoOf(one, other) || isPluralOf(one, other)) return true;
  const isWord = (name: string) => /^[a-z_]{4,}$/.test(name);
  return isWord(one) && isWord(other) && one[0] === other[0] && editDistance(one, other, 1) === 1;
}

function isLikeValue(one: string, other: string): boolean {
  return isTypoOf(one, other) || isSwapOf(one, other);
}

/** The values of a dimension, without those that are ids, which may be nearly the same, and groups, which tools have. */
function valueUses({ whens, quotas }: KnownLimit): (Use & { readonly dimension: string })[] {
  const inWhens = whens.flatMap(({ when, keys }) =>
    Object.entries(when).flatMap(([dimension, value]) =>
      usesIn(value, [...keys, dimension]).map((use) => ({ ...use, dimension })),
    ),
  );
  return [...inWhens, ...quotas].filter(({ dimension }) => !WITHOUT_TYPOS.includes(dimension));
}

function* similarAmong(uses: readonly Use[], what: string, isSimilar: typeof isTypoOf): Warnings {
  const byName = Map.groupBy(uses, ({ name }) => name);
  const names = [...byName.keys()].slice(0, MAX_PAIRED);
  for (const [n, name] of names.entries()) {
    const other = names.slice(0, n).find((each) => isSimilar(each, name));
    if (other === undefined) continue;
    const [one = [], two = []] = [byName.get(other), byName.get(name)];
    // The place is the one of the name that is used less often, else of the later one. Neither is known to be the right one.
    const isRight = isWellKnown(name) === isWellKnown(other) ? one.length < two.length : isWellKnown(name);
    const [wrongs, rights] = isRight ? [one, two] : [two, one];
    const [[wrong], [right]] = [wrongs, rights];
    if (wrong === undefined || right === undefined || isBothMeant(wrong, right)) continue;
    const message = `The ${what} ${quoted(wrong.name)} and ${quoted(right.name)} differ by a typo.`;
    yield isWellKnown(right.name) && !isWellKnown(wrong.name)
      ? (wrong.isKey ? ofKey : ofValue)("similar-names", wrong.keys, message, didYouMean(right.name))
      : ofPair("similar-names", message, [wrong, right]);
  }
}

/** Whether one list has a pattern in two spellings, as in `[delete_*, delete-*]`. */
function isBothMeant(one: Use, other: Use): boolean {
  const listOf = ({ keys }: Use) => keys.slice(0, -1).join();
  return isGlob(one.name) && plainOf(one.name) === plainOf(other.name) && listOf(one) === listOf(other);
}

// Limits and overrides that can never apply, or say what another has said.

import { entryFinder, isGlob } from "../kernel/glob.ts";
import { shown } from "../kernel/policy/place.ts";
import { MONEY_UNIT } from "../kernel/quantity.ts";
import { patternsOf } from "../kernel/selector.ts";
import { didYouMean, isPluralOf, isTypoOf } from "../kernel/spelling.ts";
import { type Known, type KnownLimit, usesIn } from "./known.ts";
import { isWellKnown } from "./names.ts";
import { ofPair, ofValue, quoted, type Warnings } from "./warning.ts";

/** Of overrides that come after one for all of their calls. */
export function* overrideWarnings({ limit, keys }: KnownLimit): Warnings {
  /** By the set of dimensions: where the first override with some values of them is. */
  const sets = new Map<string, { readonly dimensions: readonly string[]; readonly firstWith: Map<string, number> }>();
  for (const [n, { when }] of (limit.overrides ?? []).entries()) {
    const valuesOf = (dimensions: readonly string[]) =>
      JSON.stringify(dimensions.map((name) => patternsOf(when[name] ?? []).sort()));
    const earlier = [...sets.values()].flatMap(({ dimensions, firstWith }) =>
      dimensions.every((name) => Object.hasOwn(when, name)) ? (firstWith.get(valuesOf(dimensions)) ?? []) : [],
    );
    if (earlier.length > 0) {
      const first = Math.min(...earlier);
      const message = `It never applies: overrides[${first}] comes first and is for all of its calls.`;
      const isSame = Object.keys(limit.overrides?.[first]?.when ?? {}).length === Object.keys(when).length;
      const hint = isSame ? "Remove one of them." : "Put the one with more conditions first.";
      yield ofValue("no-effect", [...keys, "overrides", n], message, hint);
      continue;
    }
    const dimensions = Object.keys(when).sort();
    const set = sets.get(dimensions.join()) ?? { dimensions, firstWith: new Map() };
    sets.set(dimensions.join(), set);
    set.firstWith.set(valuesOf(dimensions), n);
  }
}

/** Of a unit that no tool costs, and that is nearly the same as the one that other limits count. */
export function* unitWarnings({ unit, keys }: KnownLimit, { limits, pricedUnits }: Known): Warnings {
  if (unit === null || unit === "calls" || pricedUnits.has(unit)) return;
  const counted = limits.flatMap((other) => other.unit ?? []);
  const uses = (name: string) => counted.filter((other) => other === name).length;
  const isRarer = (other: string) =>
    uses(other) > uses(unit) || (uses(other) === uses(unit) && counted.indexOf(other) < counted.indexOf(unit));
  const isUsual = (other: string) =>
    isWellKnown(other) || pricedUnits.has(other) || (!isWellKnown(unit) && isRarer(other));
  const isSimilar = (other: string) => isTypoOf(unit, other) || isPluralOf(unit, other);
  const meant = ["calls", ...counted].find((other) => isSimilar(other) && isUsual(other));
  if (meant === undefined) return;
  const message = `Nothing in this policy costs ${quoted(unit)}.`;
  const own = { name: unit, keys: [...keys, "unit"], isKey: false };
  const other = limits.find((each) => each.unit === meant);
  yield other === undefined || isWellKnown(meant) || pricedUnits.has(meant)
    ? ofValue("uncounted-unit", own.keys, message, didYouMean(meant))
    : ofPair("uncounted-unit", message, [own, { name: meant, keys: [...other.keys, "unit"], isKey: false }]);
}

/** Of tools that a limit names, and that have no price in what it counts: their calls are free unless they say a cost. */
export function* priceWarnings({ limit, unit, keys }: KnownLimit, { input }: Known): Warnings {
  if (unit === null || unit === "calls") return;
  const toolNamed = entryFinder(Object.entries(input.tools ?? {}));
  for (const { name, keys: own, isExcluded } of usesIn(limit.when?.tool, [...keys, "when", "tool"])) {
    // The guards of a model report what its calls took.
    if (isExcluded || isGlob(name) || name === "model" || toolNamed(name)?.cost?.[unit] !== undefined) continue;
    const message = `Calls of ${quoted(name)} have no price in ${quoted(unit)}, so they are free unless they say their cost.`;
    const amount = unit === MONEY_UNIT ? "$1" : "1";
    const hint = `Give it one: tools: { ${shown(name)}: { cost: { ${unit}: ${amount} } } }.`;
    yield ofValue("uncounted-unit", own, message, hint);
  }
}

/** Of a limit that limits nothing. */
export function* limitWarnings({ limit, keys, appliesTo }: KnownLimit, { groupOf }: Known): Warnings {
  const { per } = limit;
  if (per.includes("group") && ![...groupOf.keys()].some(appliesTo)) {
    const message = "It limits nothing: it is per group, and no tool that it is for has a group.";
    yield ofValue("no-effect", [...keys, "per"], message, 'Give the tools a group in "tools".');
  }
}

/** Of limits that differ in nothing but their names. */
export function* duplicateWarnings({ limits }: Known): Warnings {
  const first = new Map<string, string>();
  for (const { limit, keys } of limits) {
    const { name, ...rest } = limit;
    const text = JSON.stringify(sorted(rest));
    const same = first.get(text);
    if (same === undefined) first.set(text, name);
    else
      yield ofValue("duplicate-limit", keys, `It says the same as the limit ${quoted(same)}.`, "Remove one of them.");
  }
}

function sorted(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  return Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)]);
}

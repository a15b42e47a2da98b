// Dimensions and tools that are spelled in two ways, or nearly like a dimension that Tollgate knows.

import { DERIVED_DIMENSIONS, DIMENSIONS } from "../kernel/call.ts";
import type { LimitInput } from "../kernel/policy-input.ts";
import { durationFrom } from "../kernel/policy-values.ts";
import { editDistance, isPluralOf, isTypoOf } from "../kernel/spelling.ts";
import type { Known, Use } from "./known.ts";
import { didYouMean, ofKey, ofValue, quoted, type Warnings } from "./warning.ts";

/** Most names that are compared with one another. */
const MAX_PAIRED = 300;
/** Spans of time, which are windows in a policy. Calls are not told them. */
const SPANS = new Set(["second", "minute", "hour", "hourly", "daily", "weekly"]);
const WINDOWED = "an algorithm that has one, such as fixed-window";
const BUILT_IN: readonly string[] = [...DIMENSIONS, ...DERIVED_DIMENSIONS];
/** Words that are one letter away from one of these, and are no typos. */
const OWN_WORDS = new Set("pool stool toll use usher burn urn turf tern tie pier tiger tire ages arms arts".split(" "));

/** Of dimensions that are nearly like one that Tollgate knows. */
export function* dimensionWarnings({ input }: Known): Warnings {
  const required = new Set(
    input.limits.flatMap(({ per, onMissing }) =>
      (onMissing ?? input.defaults?.onMissing ?? "error") === "error" ? per : [],
    ),
  );
  for (const { name, keys, isKey } of input.limits.flatMap(dimensionUses)) {
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

function dimensionUses(limit: LimitInput, i: number): Use[] {
  const uses: Use[] = limit.per.map((name, n) => ({ name, keys: ["limits", i, "per", n], isKey: false }));
  if ("distinct" in limit && limit.distinct !== undefined) {
    uses.push({ name: limit.distinct, keys: ["limits", i, "distinct"], isKey: false });
  }
  for (const key of ["when", "quotas"] as const) {
    for (const name of Object.keys(limit[key] ?? {})) uses.push({ name, keys: ["limits", i, key, name], isKey: true });
  }
  for (const [n, { when }] of (limit.overrides ?? []).entries()) {
    for (const name of Object.keys(when)) {
      uses.push({ name, keys: ["limits", i, "overrides", n, "when", name], isKey: true });
    }
  }
  return uses;
}

/** Of names of which one is a typo of the other. Where there are `tools`, only their names are compared: others are unknown. */
export function* similarWarnings({ input, tools, toolUses }: Known): Warnings {
  const own = input.limits
    .flatMap(dimensionUses)
    .filter(({ name }) => !BUILT_IN.includes(name) && builtInFor(name) === null);
  yield* similarAmong(own, "dimensions", (one, other) => isTypoOf(one, other) || isPluralOf(one, other));
  const listed = [...(tools ?? [])].map((name): Use => ({ name, keys: ["tools", name], isKey: true }));
  yield* similarAmong(tools === null ? toolUses : listed, "tools", isTypoOf);
}

function* similarAmong(
  uses: readonly Use[],
  what: string,
  isSimilar: (one: string, other: string) => boolean,
): Warnings {
  const byName = Map.groupBy(uses, ({ name }) => name);
  const names = [...byName.keys()].slice(0, MAX_PAIRED);
  for (const [n, name] of names.entries()) {
    const other = names.slice(0, n).find((each) => isSimilar(each, name));
    if (other === undefined) continue;
    const [one = [], two = []] = [byName.get(other), byName.get(name)];
    // The one that is used less often is the typo; else the later one.
    const [[wrong], right] = one.length < two.length ? [one, name] : [two, other];
    if (wrong === undefined) continue;
    const message = `The ${what} ${quoted(wrong.name)} and ${quoted(right)} differ by a typo.`;
    yield (wrong.isKey ? ofKey : ofValue)("similar-names", wrong.keys, message, didYouMean(right));
  }
}

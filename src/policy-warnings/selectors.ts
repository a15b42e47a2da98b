// What `when` says, of limits and of overrides: names that no tool or group has, values that none or no policy can know.

import { covers, isGlob, mayMeet } from "../kernel/glob.ts";
import type { SelectorInput, WhenInput } from "../kernel/policy/input-values.ts";
import type { Keys } from "../kernel/policy/place.ts";
import { closest, didYouMean } from "../kernel/spelling.ts";
import { excludedIn, includedIn, patternsOf, valueMatcher } from "../kernel/selector.ts";
import { ADD_TOOL, MADE_AT_RUN_TIME, namedTool, unknownTool } from "./tools.ts";
import { type Known, type KnownLimit, type Use, usesIn } from "./known.ts";
import { ofKey, ofValue, quoted, type Warnings } from "./warning.ts";

/** Signs of regular expressions and of lists, which no name of a tool has. */
const NOT_A_NAME = /[|^$\\,]/;

export function* selectorWarnings(of: KnownLimit, known: Known): Warnings {
  for (const { when, keys, isOverride } of of.whens) {
    yield* whenWarnings(when, keys, known, isOverride ? of : null);
  }
}

/** @param within the limit whose override it is; `null` for a limit's own */
function* whenWarnings(when: WhenInput, keys: Keys, known: Known, within: KnownLimit | null): Warnings {
  for (const [dimension, value] of Object.entries(when)) {
    const own = [...keys, dimension];
    const patterns = patternsOf(value);
    if (isContradiction(patterns)) {
      const message = "No call matches: what stands behind ! leaves out all that the other values name.";
      yield ofKey("no-effect", own, message);
      continue;
    }
    yield* idleWarnings(value, own);
    if (dimension === "tool") {
      for (const use of usesIn(value, own)) yield* toolUse(use, known, within);
    } else if (dimension === "group") {
      for (const use of usesIn(value, own)) yield* groupUse(use, known);
    } else if (MADE_AT_RUN_TIME.includes(dimension) && patterns.some((each) => !/^!?\*$/.test(each))) {
      const message = `Values of ${dimension} are made at run time: a policy cannot know them.`;
      yield ofKey("wrong-dimension", own, message);
    }
  }
}

/** Of values behind `!` that no other value of their list lets in. */
function* idleWarnings(value: SelectorInput, keys: Keys): Warnings {
  const included = includedIn(patternsOf(value));
  if (included.length === 0) return;
  for (const { name, keys: own } of usesIn(value, keys).filter(({ isExcluded }) => isExcluded)) {
    if (included.some((pattern) => mayMeet(pattern, name))) continue;
    const message = `${quoted(`!${name}`)} keeps nothing out: no value without ! lets it in.`;
    yield ofValue("no-effect", own, message, "Remove it; or remove the values without ! for all others.");
  }
}

/** Whether each value is behind `!`, too. */
function isContradiction(patterns: readonly string[]): boolean {
  const excluded = excludedIn(patterns);
  const included = includedIn(patterns);
  return included.length > 0 && included.every((each) => excluded.some((other) => covers(other, each)));
}

function* toolUse({ name, keys }: Use, known: Known, within: KnownLimit | null): Warnings {
  if (NOT_A_NAME.test(name) && known.tools?.has(name) !== true) {
    const hint = "Write one name in each entry; only * and a ! in front are special.";
    yield ofValue("unknown-tool", keys, `${quoted(name)} is taken as the name of one tool.`, hint);
  } else if (!isGlob(name)) {
    if (within === null) yield* unknownTool(name, keys, known, ofValue);
    else yield* namedTool(name, keys, known, within, ofValue);
  } else if (known.tools !== null && !known.mayList(name)) {
    const hint = didYouMean(closestPattern(name, known.tools)) ?? ADD_TOOL;
    yield ofValue("unknown-tool", keys, `No tool in "tools" matches ${quoted(name)}.`, hint);
  }
}

/** The pattern that was probably meant by a beginning of names: `search_*` by `serach_*`. */
function closestPattern(pattern: string, tools: ReadonlySet<string>): string | null {
  const start = pattern.slice(0, -1);
  if (!pattern.endsWith("*") || isGlob(start)) return null;
  const meant = closest(start, new Set([...tools].flatMap((tool) => [tool, tool.slice(0, start.length)])));
  return meant === null ? null : `${meant}*`;
}

function* groupUse({ name, keys }: Use, { groups }: Known): Warnings {
  if ([...groups].some(valueMatcher(name))) return;
  const what = isGlob(name) ? `a group that matches ${quoted(name)}` : `the group ${quoted(name)}`;
  yield ofValue("unknown-group", keys, `No tool in "tools" has ${what}.`, didYouMean(closest(name, groups)));
}

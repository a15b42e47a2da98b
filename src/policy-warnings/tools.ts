// Tools and groups: names that no tool has, and entries of `tools` that no limit looks at.

import { globMatcher, isGlob } from "../kernel/glob.ts";
import { closest, isTypoOf } from "../kernel/spelling.ts";
import {
  didYouMean,
  type Keys,
  type Known,
  type KnownLimit,
  ofKey,
  ofValue,
  quoted,
  selectedTools,
  type Warnings,
} from "./warning.ts";

const ADD_TOOL = 'If it is right, add it to "tools".';

const USE_QUOTA = 'Write "quota" for all values that "quotas" does not name.';

/** Of the entries of `tools`. */
export function* toolWarnings({ input, limits }: Known): Warnings {
  const allUnits = new Set(limits.flatMap(({ unit }) => unit ?? []));
  for (const [tool, { cost = {}, group }] of Object.entries(input.tools ?? {})) {
    const keys = ["tools", tool];
    if (isGlob(tool)) {
      const message = `"tools" has whole names, and ${quoted(tool)} is taken as one.`;
      yield ofKey("unknown-tool", keys, message, "Write an entry for each tool.");
      continue;
    }
    const applying = limits.filter(({ appliesTo }) => appliesTo(tool));
    if (applying.length === 0) {
      const message = `No limit is for the tool ${quoted(tool)}, so its calls always pass.`;
      yield ofKey("no-effect", keys, message, "Add a limit for it, or remove the entry.");
      continue;
    }
    const units = new Set(applying.flatMap(({ unit }) => unit ?? []));
    for (const unit of Object.keys(cost)) {
      if (units.has(unit)) continue;
      const message = `No limit for the tool ${quoted(tool)} counts ${quoted(unit)}, so this cost is never charged.`;
      yield ofKey(
        "uncounted-unit",
        [...keys, "cost", unit],
        message,
        didYouMean(closest(unit, units) ?? closest(unit, allUnits)),
      );
    }
    if (group !== undefined) yield* groupWarnings(group, [...keys, "group"], limits);
  }
}

/** A group that limits per group leave out, although they name one that is nearly the same. */
function* groupWarnings(group: string, keys: Keys, limits: readonly KnownLimit[]): Warnings {
  const named = limits.flatMap(({ limit }) => Object.keys(limit.quotas?.group ?? {}));
  const meant = named.includes(group) ? undefined : named.find((name) => isTypoOf(name, group));
  if (meant === undefined) return;
  yield ofValue("unknown-group", keys, `No limit names the group ${quoted(group)}.`, didYouMean(meant));
}

/** Signs of regular expressions, of lists and of exclusions, which no name of a tool has. */
const NOT_A_NAME = /[|^$\\,]|^!/;

/** Of the tools that a limit is for. */
export function* selectorWarnings({ limit, keys }: KnownLimit, known: Known): Warnings {
  for (const { name: pattern, keys: own } of selectedTools(limit.when, [...keys, "when"])) {
    if (NOT_A_NAME.test(pattern) && known.tools?.has(pattern) !== true) {
      const hint = "Write one name in each entry; only * is special, and stands for any characters.";
      yield ofValue("unknown-tool", own, `${quoted(pattern)} is taken as the name of one tool.`, hint);
    } else if (known.tools === null) continue;
    else if (!isGlob(pattern)) yield* unknownTool(pattern, own, known, ofValue);
    else if (![...known.tools].some(globMatcher(pattern))) {
      const hint = didYouMean(closestPattern(pattern, known.tools)) ?? ADD_TOOL;
      yield ofValue("unknown-tool", own, `No tool in "tools" matches ${quoted(pattern)}.`, hint);
    }
  }
}

/** The pattern that was probably meant by a beginning of names: `search_*` by `serach_*`. */
function closestPattern(pattern: string, tools: ReadonlySet<string>): string | null {
  const start = pattern.slice(0, -1);
  if (!pattern.endsWith("*") || isGlob(start)) return null;
  const meant = closest(start, new Set([...tools].flatMap((tool) => [tool, tool.slice(0, start.length)])));
  return meant === null ? null : `${meant}*`;
}

/** Of a name that is not in `tools`, where there are some. */
function* unknownTool(name: string, keys: Keys, { tools, groups }: Known, of: typeof ofKey): Warnings {
  if (tools === null || tools.has(name)) return;
  const hint = groups.has(name)
    ? `It is a group: write group instead of tool.`
    : (didYouMean(closest(name, tools)) ?? ADD_TOOL);
  yield of("unknown-tool", keys, `No tool in "tools" is named ${quoted(name)}.`, hint);
}

/** Of the tool and the group in the `when` of overrides. */
export function* overrideToolWarnings({ limit, keys, matches }: KnownLimit, known: Known): Warnings {
  for (const [n, { when }] of (limit.overrides ?? []).entries()) {
    const own = [...keys, "overrides", n, "when"];
    for (const use of selectedTools(when, own)) yield* namedTool(use.name, use.keys, known, matches, ofValue);
    const group = String(when.group ?? "");
    if (when.group === undefined || known.groups.has(group)) continue;
    const message = `No tool in "tools" has the group ${quoted(group)}.`;
    yield ofValue("unknown-group", [...own, "group"], message, didYouMean(closest(group, known.groups)));
  }
}

/** Of a tool that a limit names beside those that it is for. */
function* namedTool(
  name: string,
  keys: Keys,
  known: Known,
  matches: KnownLimit["matches"],
  of: typeof ofKey,
): Warnings {
  if (known.tools?.has(name) === false) yield* unknownTool(name, keys, known, of);
  else if (!matches(name)) {
    yield of("no-effect", keys, `This limit is not for the tool ${quoted(name)}: its "when" leaves it out.`);
  }
}

/** Of a limit's `quotas`. */
export function* quotaWarnings(of: KnownLimit, known: Known): Warnings {
  const { tool, group, ...others } = of.limit.quotas ?? {};
  yield* quotasByTool(Object.keys(tool ?? {}), of, known);
  yield* quotasByGroup(Object.keys(group ?? {}), of, known);
  for (const dimension of Object.keys(others).filter((name) => MADE_AT_RUN_TIME.includes(name))) {
    const message = `These quotas are by ${dimension}: its values are made at run time.`;
    yield ofKey("wrong-dimension", [...of.keys, "quotas", dimension], message);
  }
}

function* quotasByTool(names: readonly string[], { keys, matches }: KnownLimit, known: Known): Warnings {
  for (const name of names) {
    const own = [...keys, "quotas", "tool", name];
    if (name === "default" && known.tools?.has(name) !== true) {
      yield ofKey("unknown-tool", own, `${quoted(name)} is taken as the name of one tool.`, USE_QUOTA);
    } else yield* namedTool(name, own, known, matches, ofKey);
  }
}

function* quotasByGroup(names: readonly string[], { limit, keys, appliesTo }: KnownLimit, known: Known): Warnings {
  const groups = new Set([...known.groupOf].filter(([tool]) => appliesTo(tool)).map(([, group]) => group));
  // A limit that is for no tool at all is warned of once, as a whole.
  if (groups.size === 0 && limit.per.includes("group")) return;
  for (const name of names) {
    if (groups.has(name)) continue;
    const message = `No tool of this limit has the group ${quoted(name)}.`;
    const other = known.namedTools.has(name)
      ? "It is a tool: write tool instead of group."
      : didYouMean(closest(name, groups));
    yield ofKey("unknown-group", [...keys, "quotas", "group", name], message, name === "default" ? USE_QUOTA : other);
  }
}

/** Dimensions whose values are made at run time: a policy cannot know them. */
const MADE_AT_RUN_TIME = ["session", "turn"];

// Tools and groups: names that no tool has, and entries of `tools` that no limit looks at.

import { covers, isGlob } from "../kernel/glob.ts";
import type { Keys } from "../kernel/policy/place.ts";
import { closest, didYouMean, isTypoOf } from "../kernel/spelling.ts";
import type { Known, KnownLimit } from "./known.ts";
import { ofKey, ofValue, quoted, type Warnings } from "./warning.ts";

/** Dimensions whose values are made at run time: a policy cannot know them. */
export const MADE_AT_RUN_TIME = ["session", "turn"];

export const ADD_TOOL = 'If it is right, add it to "tools".';
const USE_QUOTA = 'Write "quota" for all values that "quotas" does not name.';

/** Most patterns of `tools` that later ones are compared with. */
const MAX_PATTERNS = 300;

export function* toolWarnings({ input, limits }: Known): Warnings {
  const allUnits = new Set(limits.flatMap(({ unit }) => unit ?? []));
  const patterns: string[] = [];
  const entries = Object.entries(input.tools ?? {});
  /** Patterns whose ignoreArgs a tool with an entry before them does not get. A name comes before all patterns. */
  const ignoring = entries
    .flatMap(([name, tool], at) => (isGlob(name) && tool.ignoreArgs?.length ? [{ name, at }] : []))
    .slice(0, MAX_PATTERNS);
  for (const [n, [tool, { cost = {}, group, ignoreArgs }]] of entries.entries()) {
    const keys = ["tools", tool];
    for (const [i, field] of (ignoreArgs ?? []).entries()) {
      const [outer = ""] = field.split(".");
      if (outer === field) continue;
      const message = `${quoted(field)} is taken as the name of one field at the top level.`;
      const hint = outer === "" ? null : `${quoted(outer)} leaves out that field with all that is in it.`;
      yield ofValue("unusual-value", [...keys, "ignoreArgs", i], message, hint);
    }
    const earlier = isGlob(tool) ? patterns.find((pattern) => covers(pattern, tool)) : undefined;
    if (isGlob(tool) && patterns.length < MAX_PATTERNS) patterns.push(tool);
    if (earlier !== undefined) {
      const message = `It never applies: ${quoted(earlier)} comes first and matches all of its tools.`;
      yield ofKey("no-effect", keys, message, "Put the longer pattern first.");
      continue;
    }
    const what = isGlob(tool) ? `tools that ${quoted(tool)} matches` : `tool ${quoted(tool)}`;
    const applying = limits.filter(({ appliesTo }) => appliesTo(tool));
    if (applying.length === 0) {
      const message = `No limit is for the ${what}, so ${isGlob(tool) ? "their" : "its"} calls always pass.`;
      yield ofKey("no-effect", keys, message, `Add a limit for ${isGlob(tool) ? "them" : "it"}, or remove the entry.`);
      continue;
    }
    const units = new Set(applying.flatMap(({ unit }) => unit ?? []));
    for (const unit of Object.keys(cost)) {
      if (units.has(unit)) continue;
      const message = `No limit for the ${what} counts ${quoted(unit)}, so this cost is never charged.`;
      const money = units.has(`${unit}_micros`) ? `${unit}_micros` : null;
      const meant = closest(unit, units) ?? closest(unit, allUnits) ?? money;
      yield ofKey("uncounted-unit", [...keys, "cost", unit], message, didYouMean(meant));
    }
    const hidden = ignoring.find(({ name, at }) => (at > n || !isGlob(tool)) && covers(name, tool));
    if (hidden !== undefined && ignoreArgs === undefined && applying.some(({ limit }) => limit.per.includes("args"))) {
      const message = `The ignoreArgs of ${quoted(hidden.name)} do not apply to it: it has an entry of its own.`;
      yield ofKey("no-effect", keys, message, "Write ignoreArgs here, too; [] for none.");
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

/** Of a whole name that `tools` does not have, where there are some. */
export function* unknownTool(
  name: string,
  keys: Keys,
  { tools, groups, mayList }: Known,
  make: typeof ofKey,
): Warnings {
  if (tools === null || mayList(name)) return;
  const hint = groups.has(name)
    ? "It is a group: write group instead of tool."
    : (didYouMean(closest(name, tools)) ?? ADD_TOOL);
  yield make("unknown-tool", keys, `No tool in "tools" is named ${quoted(name)}.`, hint);
}

/** Of a tool that a limit names beside those that it is for. */
export function* namedTool(name: string, keys: Keys, known: Known, of: KnownLimit, make: typeof ofKey): Warnings {
  if (known.tools !== null && !known.mayList(name)) yield* unknownTool(name, keys, known, make);
  else if (!of.matches(name)) {
    yield make("no-effect", keys, `This limit is not for the tool ${quoted(name)}: its "when" leaves it out.`);
  }
}

export function* quotaWarnings(of: KnownLimit, known: Known): Warnings {
  const { tool, group, ...others } = of.limit.quotas ?? {};
  yield* quotasByTool(Object.keys(tool ?? {}), of, known);
  yield* quotasByGroup(Object.keys(group ?? {}), of, known);
  for (const dimension of Object.keys(others).filter((name) => MADE_AT_RUN_TIME.includes(name))) {
    const message = `These quotas are by ${dimension}: its values are made at run time.`;
    yield ofKey("wrong-dimension", [...of.keys, "quotas", dimension], message);
  }
}

function* quotasByTool(names: readonly string[], of: KnownLimit, known: Known): Warnings {
  for (const name of names) {
    const own = [...of.keys, "quotas", "tool", name];
    if (name === "default" && !known.mayList(name)) {
      yield ofKey("unknown-tool", own, `${quoted(name)} is taken as the name of one tool.`, USE_QUOTA);
    } else yield* namedTool(name, own, known, of, ofKey);
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

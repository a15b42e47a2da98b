// Tools and tiers: names that no tool has, and entries of `tools` that no limit looks at.

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
  type Warnings,
} from "./warning.ts";

const ADD_TOOL = 'If it is right, add it to "tools".';

const USE_QUOTA = 'Write "quota" for all values that "quotas" does not name.';

/** Of the entries of `tools`. */
export function* toolWarnings({ input, limits }: Known): Warnings {
  const allUnits = new Set(limits.flatMap(({ unit }) => unit ?? []));
  for (const [tool, { cost = {}, tier }] of Object.entries(input.tools ?? {})) {
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
    if (tier !== undefined) yield* tierWarnings(tier, [...keys, "tier"], limits);
  }
}

/** A tier that limits per tier leave out, although they name one that is nearly the same. */
function* tierWarnings(tier: string, keys: Keys, limits: readonly KnownLimit[]): Warnings {
  const named = limits.flatMap(({ limit: { per, quotas = {} } }) => (per.at(-1) === "tier" ? Object.keys(quotas) : []));
  const meant = named.includes(tier) ? undefined : named.find((name) => isTypoOf(name, tier));
  if (meant === undefined) return;
  yield ofValue("unknown-tier", keys, `No limit names the tier ${quoted(tier)}.`, didYouMean(meant));
}

/** Signs of regular expressions, of lists and of exclusions, which no name of a tool has. */
const NOT_A_NAME = /[|^$\\,]|^!/;

/** Of a limit's `match`. */
export function* matchWarnings({ limit, keys }: KnownLimit, known: Known): Warnings {
  for (const [n, pattern] of (limit.match ?? []).entries()) {
    const own = [...keys, "match", n];
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
function* unknownTool(name: string, keys: Keys, { tools, tiers }: Known, of: typeof ofKey): Warnings {
  if (tools === null || tools.has(name)) return;
  const hint = tiers.has(name)
    ? "It is a tier. For quotas by tier, put tier last in per."
    : (didYouMean(closest(name, tools)) ?? ADD_TOOL);
  yield of("unknown-tool", keys, `No tool in "tools" is named ${quoted(name)}.`, hint);
}

/** Of the tool and the tier in the `when` of overrides. */
export function* whenWarnings({ limit, keys, matches }: KnownLimit, known: Known): Warnings {
  for (const [n, { when }] of (limit.overrides ?? []).entries()) {
    const own = [...keys, "overrides", n, "when"];
    if (when.tool !== undefined) yield* namedTool(String(when.tool), [...own, "tool"], known, matches, ofValue);
    const tier = String(when.tier ?? "");
    if (when.tier === undefined || known.tiers.has(tier)) continue;
    const message = `No tool in "tools" has the tier ${quoted(tier)}.`;
    yield ofValue("unknown-tier", [...own, "tier"], message, didYouMean(closest(tier, known.tiers)));
  }
}

/** Of a tool that a limit names beside its `match`. */
function* namedTool(
  name: string,
  keys: Keys,
  known: Known,
  matches: KnownLimit["matches"],
  of: typeof ofKey,
): Warnings {
  if (known.tools?.has(name) === false) yield* unknownTool(name, keys, known, of);
  else if (!matches(name)) {
    yield of("no-effect", keys, `This limit is not for the tool ${quoted(name)}: its "match" leaves it out.`);
  }
}

/** Of a limit's `quotas`. */
export function* quotaWarnings(of: KnownLimit, known: Known): Warnings {
  const last = of.limit.per.at(-1);
  const names = Object.keys(of.limit.quotas ?? {});
  if (names.length === 0 || last === undefined) return;
  if (last === "tool") yield* quotasByTool(names, of, known);
  else if (last === "tier") yield* quotasByTier(names, of, known);
  else yield* quotasByOther(names, last, of, known);
}

function* quotasByTool(names: readonly string[], { keys, matches }: KnownLimit, known: Known): Warnings {
  for (const name of names) {
    const own = [...keys, "quotas", name];
    if (name === "default" && known.tools?.has(name) !== true) {
      yield ofKey("unknown-tool", own, `${quoted(name)} is taken as the name of one tool.`, USE_QUOTA);
    } else if (!isGlob(name)) yield* namedTool(name, own, known, matches, ofKey);
    else {
      const hint = 'Name each tool, or give the tools a limit of their own with "match".';
      yield ofKey("unknown-tool", own, `"quotas" has whole names, and ${quoted(name)} is taken as one.`, hint);
    }
  }
}

function* quotasByTier(names: readonly string[], { keys, appliesTo }: KnownLimit, known: Known): Warnings {
  const tiers = new Set([...known.tierOf].filter(([tool]) => appliesTo(tool)).map(([, tier]) => tier));
  // A limit that is for no tool at all is warned of once, as a whole.
  if (tiers.size === 0) return;
  for (const name of names) {
    if (tiers.has(name)) continue;
    const message = `No tool of this limit has the tier ${quoted(name)}.`;
    const other = known.namedTools.has(name)
      ? "It is a tool. For quotas by tool, put tool last in per."
      : didYouMean(closest(name, tiers));
    yield ofKey("unknown-tier", [...keys, "quotas", name], message, name === "default" ? USE_QUOTA : other);
  }
}

/** Dimensions whose values are made at run time: a policy cannot know them. */
const MADE_AT_RUN_TIME = ["session", "turn", "args"];

function* quotasByOther(names: readonly string[], last: string, { limit, keys }: KnownLimit, known: Known): Warnings {
  const kinds = [
    ["tool", known.namedTools],
    ["tier", known.tiers],
  ] as const;
  // A tenant may have a tool's name by chance: beside a per with the tool, or if all are names of tools, it is none.
  const kind = kinds.find(([dimension, those]) =>
    limit.per.includes(dimension) ? names.some((name) => those.has(name)) : names.every((name) => those.has(name)),
  );
  const message = `"quotas" are by the last dimension of per, which is ${last}`;
  const own = [...keys, "quotas"];
  if (kind !== undefined) {
    const [dimension, those] = kind;
    const per = [...limit.per.filter((each) => each !== dimension), dimension].join(", ");
    const name = quoted(names.find((each) => those.has(each)) ?? "");
    yield ofKey(
      "wrong-dimension",
      own,
      `${message}, but ${name} is a ${dimension}.`,
      `Put ${dimension} last: per: [${per}].`,
    );
  } else if (MADE_AT_RUN_TIME.includes(last)) {
    const other = limit.per.find((dimension) => !MADE_AT_RUN_TIME.includes(dimension));
    const hint = other === undefined ? null : `For quotas by ${other}, put ${other} last in per.`;
    yield ofKey("wrong-dimension", own, `${message}: its values are made at run time.`, hint);
  }
}

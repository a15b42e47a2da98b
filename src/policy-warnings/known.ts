// What the warnings of a policy look at: its tools, their groups and prices, what each limit is for.

import { algorithmNamed, impliedAlgorithm } from "../kernel/algorithms/registry.ts";
import { isGlob, mayMeet } from "../kernel/glob.ts";
import { toolMatcher } from "../kernel/policy/compile.ts";
import type { SelectorInput } from "../kernel/policy/input-values.ts";
import type { LimitInput, PolicyInput } from "../kernel/policy/input.ts";
import { excludedBy, patternsOf, valueMatcher } from "../kernel/selector.ts";
import type { Keys } from "./warning.ts";

/** A place where a policy uses a name. */
export interface Use {
  readonly name: string;
  readonly keys: Keys;
  readonly isKey: boolean;
}

/** A limit, and what is known of it. */
export interface KnownLimit {
  readonly keys: Keys;
  readonly limit: LimitInput;
  /** Whether its `when` includes a tool. */
  readonly matches: (tool: string) => boolean;
  /** Whether it may be for an entry of `tools`, also by its group. */
  readonly appliesTo: (tool: string) => boolean;
  /** What it counts that calls have a price in; `null` where it counts something else. */
  readonly unit: string | null;
}

/** A policy, and what is known of it. */
export interface Known {
  readonly input: PolicyInput;
  readonly limits: readonly KnownLimit[];
  /** The names and patterns in `tools`; `null` where the policy has none, so that any name may be right. */
  readonly tools: ReadonlySet<string> | null;
  /** Whether `tools` may have an entry for a tool, or for one that a pattern matches. */
  readonly mayList: (name: string) => boolean;
  /** By the names and patterns in `tools`. */
  readonly groupOf: ReadonlyMap<string, string>;
  readonly groups: ReadonlySet<string>;
  /** Where limits name tools. */
  readonly toolUses: readonly Use[];
  /** Tools that any part of the policy names. */
  readonly namedTools: ReadonlySet<string>;
  /** Units in which some tool has a cost. */
  readonly pricedUnits: ReadonlySet<string>;
}

export function knownOf(input: PolicyInput): Known {
  const entries = Object.entries(input.tools ?? {});
  const groupOf = new Map(
    entries.flatMap(([tool, { group }]) => (group === undefined ? [] : [[tool, group] as const])),
  );
  const toolUses = input.limits.flatMap(toolUsesOf);
  const names = entries.map(([tool]) => tool);
  return {
    input,
    limits: input.limits.map((limit, i): KnownLimit => {
      const matches = toolMatcher(limit);
      const { tool = "*", group } = limit.when ?? {};
      const isOfGroup = group === undefined ? () => true : valueMatcher(group);
      const appliesTo = (name: string) =>
        (isGlob(name) ? mayMatchSome(tool, name) : matches(name)) &&
        (!limit.per.includes("group") || groupOf.has(name)) &&
        isOfGroup(groupOf.get(name));
      return { keys: ["limits", i], limit, matches, appliesTo, unit: unitOf(limit) };
    }),
    tools: entries.length === 0 ? null : new Set(names),
    mayList: (name) => names.some((each) => mayMeet(each, name)),
    groupOf,
    groups: new Set(groupOf.values()),
    toolUses,
    namedTools: new Set([...names, ...toolUses.map(({ name }) => name)]),
    pricedUnits: new Set(entries.flatMap(([, { cost }]) => Object.keys(cost ?? {}))),
  };
}

/** Whether patterns may match a tool that a pattern of `tools` matches. */
function mayMatchSome(value: SelectorInput, pattern: string): boolean {
  const included = patternsOf(value).filter((each) => excludedBy(each) === null);
  return included.length === 0 || included.some((each) => mayMeet(each, pattern));
}

function toolUsesOf({ when, quotas, overrides = [] }: LimitInput, i: number): Use[] {
  const uses = usesIn(when?.tool, ["limits", i, "when", "tool"]);
  for (const name of Object.keys(quotas?.tool ?? {}).filter((each) => each !== "default"))
    uses.push({ name, keys: ["limits", i, "quotas", "tool", name], isKey: true });
  for (const [n, { when }] of overrides.entries()) {
    uses.push(...usesIn(when.tool, ["limits", i, "overrides", n, "when", "tool"]));
  }
  return uses.filter(({ name }) => !isGlob(name));
}

/**
 * The values in a part of a `when`, without `!`, and where they stand.
 *
 * @param isAsked which of them, as they are written; default: all
 */
export function usesIn(
  value: SelectorInput | undefined,
  keys: Keys,
  isAsked: (pattern: string) => boolean = () => true,
): Use[] {
  if (value === undefined) return [];
  return patternsOf(value).flatMap((pattern, n) =>
    isAsked(pattern)
      ? [{ name: excludedBy(pattern) ?? pattern, keys: Array.isArray(value) ? [...keys, n] : keys, isKey: false }]
      : [],
  );
}

function unitOf(limit: LimitInput): string | null {
  const { countsUnits, policy } = algorithmNamed(limit.algorithm ?? impliedAlgorithm({ ...limit }));
  const isDistinct = "distinct" in limit && limit.distinct !== undefined;
  return countsUnits && policy.callPrice === null && !isDistinct ? policy.unit(limit) : null;
}

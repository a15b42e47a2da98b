// What the warnings of a policy look at: its tools, their groups and prices, what each limit is for.

import { algorithmNamed, impliedAlgorithm } from "../kernel/algorithms/registry.ts";
import { isGlob, mayMeet } from "../kernel/glob.ts";
import { distinctOf, toolMatcher } from "../kernel/policy/compile.ts";
import type { SelectorInput, WhenInput } from "../kernel/policy/input-values.ts";
import type { LimitInput, PolicyInput } from "../kernel/policy/input.ts";
import type { Keys } from "../kernel/policy/place.ts";
import { excludedBy, includedIn, patternsOf, valueMatcher } from "../kernel/selector.ts";

/** A place where a policy uses a name. */
export interface Use {
  readonly name: string;
  readonly keys: Keys;
  readonly isKey: boolean;
}

export interface KnownLimit {
  readonly keys: Keys;
  readonly limit: LimitInput;
  /** Its `when`, and those of its overrides. */
  readonly whens: readonly { readonly when: WhenInput; readonly keys: Keys; readonly isOverride: boolean }[];
  /** Its quotas for values of dimensions; a value is the name. */
  readonly quotas: readonly (Use & { readonly dimension: string; readonly quota: unknown })[];
  /** Whether its `when` includes a tool. */
  readonly matches: (tool: string) => boolean;
  /** Whether it may be for an entry of `tools`, also by its group. */
  readonly appliesTo: (tool: string) => boolean;
  /** What it counts that calls have a price in; `null` where it counts something else. */
  readonly unit: string | null;
}

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
  const limits = input.limits.map((limit, i) => knownLimit(limit, ["limits", i], groupOf));
  const toolUses = limits.flatMap(toolUsesOf);
  const names = entries.map(([tool]) => tool);
  return {
    input,
    limits,
    tools: entries.length === 0 ? null : new Set(names),
    mayList: (name) => names.some((each) => mayMeet(each, name)),
    groupOf,
    groups: new Set(groupOf.values()),
    toolUses,
    namedTools: new Set([...names, ...toolUses.map(({ name }) => name)]),
    pricedUnits: new Set(entries.flatMap(([, { cost }]) => Object.keys(cost ?? {}))),
  };
}

function knownLimit(limit: LimitInput, keys: Keys, groupOf: ReadonlyMap<string, string>): KnownLimit {
  const { when = {}, overrides = [], quotas = {} } = limit;
  const matches = toolMatcher(limit);
  const isOfGroup = when.group === undefined ? () => true : valueMatcher(when.group);
  return {
    keys,
    limit,
    whens: [
      { when, keys: [...keys, "when"], isOverride: false },
      ...overrides.map(({ when }, n) => ({ when, keys: [...keys, "overrides", n, "when"], isOverride: true })),
    ],
    quotas: Object.entries(quotas).flatMap(([dimension, byValue]) =>
      keyUses(byValue, [...keys, "quotas", dimension]).map((use) => ({ ...use, dimension, quota: byValue[use.name] })),
    ),
    matches,
    appliesTo: (name) =>
      (isGlob(name) ? mayMatchSome(when.tool ?? "*", name) : matches(name)) &&
      (!limit.per.includes("group") || groupOf.has(name)) &&
      isOfGroup(groupOf.get(name)),
    unit: unitOf(limit),
  };
}

/** Whether patterns may match a tool that a pattern of `tools` matches. */
function mayMatchSome(value: SelectorInput, pattern: string): boolean {
  const included = includedIn(patternsOf(value));
  return included.length === 0 || included.some((each) => mayMeet(each, pattern));
}

function toolUsesOf({ whens, quotas }: KnownLimit): Use[] {
  const inWhens = whens.flatMap(({ when, keys }) => usesIn(when.tool, [...keys, "tool"]));
  const inQuotas = quotas.filter(({ dimension, name }) => dimension === "tool" && name !== "default");
  return [...inWhens, ...inQuotas].filter(({ name }) => !isGlob(name));
}

export function keyUses(object: object = {}, keys: Keys): Use[] {
  return Object.keys(object).map((name) => ({ name, keys: [...keys, name], isKey: true }));
}

/** The values in a part of a `when`, without `!`, and where they stand. */
export function usesIn(value: SelectorInput | undefined, keys: Keys): (Use & { readonly isExcluded: boolean })[] {
  return patternsOf(value ?? []).map((pattern, n) => ({
    name: excludedBy(pattern) ?? pattern,
    keys: Array.isArray(value) ? [...keys, n] : keys,
    isKey: false,
    isExcluded: excludedBy(pattern) !== null,
  }));
}

function unitOf(limit: LimitInput): string | null {
  const { countsUnits, policy } = algorithmNamed(limit.algorithm ?? impliedAlgorithm({ ...limit }));
  return countsUnits && policy.callPrice === null && distinctOf(limit) === null ? policy.unit(limit) : null;
}

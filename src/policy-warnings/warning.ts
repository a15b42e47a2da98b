// A warning, and what the checks of a policy know of it: its tools, their groups and prices, what each limit is for.

import { isGlob } from "../kernel/glob.ts";
import { toolMatcher, toolsOf } from "../kernel/policy-compile.ts";
import { formatPath } from "../kernel/policy-contradictions.ts";
import type { LimitInput, PolicyInput, WhenInput } from "../kernel/policy-input.ts";

/** What kinds of warnings there are. */
export const WARNING_CODES = [
  "unknown-tool",
  "unknown-group",
  "uncounted-unit",
  "unusual-dimension",
  "similar-names",
  "wrong-dimension",
  "no-effect",
  "duplicate-limit",
] as const;

export type WarningCode = (typeof WARNING_CODES)[number];

/** A part of a policy that has no effect, or probably not the one that was meant. */
export interface PolicyWarning {
  readonly code: WarningCode;
  /** Where, as `limits[0].quotas.serach`. */
  readonly path: string;
  /** What is wrong, as a sentence. */
  readonly message: string;
  /** What to write instead, as a sentence; `null` where there is no guess. */
  readonly hint: string | null;
  /** Where it stands in a file: `policy.yaml:3:12`. */
  readonly at?: string;
  /** The keys that lead to it. */
  readonly keys: Keys;
  /** Whether the last key itself is meant, not what it leads to. */
  readonly isKey: boolean;
}

export type Keys = readonly (string | number)[];
export type Warnings = Generator<PolicyWarning, void, undefined>;

/** A warning of the value that keys lead to. */
export function ofValue(code: WarningCode, keys: Keys, message: string, hint: string | null = null): PolicyWarning {
  return { code, path: formatPath(keys), message, hint, keys, isKey: false };
}

/** A warning of the last of some keys. */
export function ofKey(code: WarningCode, keys: Keys, message: string, hint: string | null = null): PolicyWarning {
  return { ...ofValue(code, keys, message, hint), isKey: true };
}

export function didYouMean(name: string | null): string | null {
  return name === null ? null : `Did you mean "${name}"?`;
}

export function quoted(name: string | number): string {
  return JSON.stringify(String(name).slice(0, 64));
}

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
  /** Whether it is for a tool of `tools`, also by the tool's group. */
  readonly appliesTo: (tool: string) => boolean;
  /** What it counts that calls have a price in; `null` where it counts something else. */
  readonly unit: string | null;
}

/** A policy, and what is known of it. */
export interface Known {
  readonly input: PolicyInput;
  readonly limits: readonly KnownLimit[];
  /** The names in `tools`; `null` where the policy has none, so that any name may be right. */
  readonly tools: ReadonlySet<string> | null;
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
  return {
    input,
    limits: input.limits.map((limit, i): KnownLimit => {
      const matches = toolMatcher(toolsOf(limit));
      const isPerGroup = limit.per.includes("group");
      const appliesTo = (tool: string) => matches(tool) && (!isPerGroup || groupOf.has(tool));
      return { keys: ["limits", i], limit, matches, appliesTo, unit: unitOf(limit) };
    }),
    tools: entries.length === 0 ? null : new Set(entries.map(([tool]) => tool)),
    groupOf,
    groups: new Set(groupOf.values()),
    toolUses,
    namedTools: new Set([...entries.map(([tool]) => tool), ...toolUses.map(({ name }) => name)]),
    pricedUnits: new Set(entries.flatMap(([, { cost }]) => Object.keys(cost ?? {}))),
  };
}

function toolUsesOf({ when, quotas, overrides = [] }: LimitInput, i: number): Use[] {
  const uses = selectedTools(when, ["limits", i, "when"]).filter(({ name }) => !isGlob(name));
  for (const name of Object.keys(quotas?.tool ?? {}).filter((each) => each !== "default"))
    uses.push({ name, keys: ["limits", i, "quotas", "tool", name], isKey: true });
  for (const [n, { when }] of overrides.entries()) {
    uses.push(...selectedTools(when, ["limits", i, "overrides", n, "when"]));
  }
  return uses;
}

/** Where a `when` names tools. */
export function selectedTools(when: WhenInput = {}, keys: Keys): Use[] {
  const { tool } = when;
  if (tool === undefined) return [];
  const own = [...keys, "tool"];
  return Array.isArray(tool)
    ? tool.map((name, n) => ({ name: String(name), keys: [...own, n], isKey: false }))
    : [{ name: String(tool), keys: own, isKey: false }];
}

function unitOf(limit: LimitInput): string | null {
  if (limit.algorithm === "elapsed" || limit.algorithm === "streak") return null;
  return "distinct" in limit && limit.distinct !== undefined ? null : (limit.unit ?? "calls");
}

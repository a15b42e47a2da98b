// A warning, and what the checks of a policy know of it: its tools, their tiers and prices, what each limit is for.

import { isGlob } from "../kernel/glob.ts";
import { toolMatcher } from "../kernel/policy-compile.ts";
import { formatPath } from "../kernel/policy-contradictions.ts";
import type { LimitInput, PolicyInput } from "../kernel/policy-schema.ts";

/** What kinds of warnings there are. */
export const WARNING_CODES = [
  "unknown-tool",
  "unknown-tier",
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
  /** Whether its `match` lets a tool through. */
  readonly matches: (tool: string) => boolean;
  /** Whether it is for a tool of `tools`, also by the tool's tier. */
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
  readonly tierOf: ReadonlyMap<string, string>;
  readonly tiers: ReadonlySet<string>;
  /** Where limits name tools. */
  readonly toolUses: readonly Use[];
  /** Tools that any part of the policy names. */
  readonly namedTools: ReadonlySet<string>;
  /** Units in which some tool has a cost. */
  readonly pricedUnits: ReadonlySet<string>;
}

export function knownOf(input: PolicyInput): Known {
  const entries = Object.entries(input.tools ?? {});
  const tierOf = new Map(entries.flatMap(([tool, { tier }]) => (tier === undefined ? [] : [[tool, tier] as const])));
  const toolUses = input.limits.flatMap(toolUsesOf);
  return {
    input,
    limits: input.limits.map((limit, i): KnownLimit => {
      const matches = toolMatcher(limit.match);
      const isPerTier = limit.per.includes("tier");
      const appliesTo = (tool: string) => matches(tool) && (!isPerTier || tierOf.has(tool));
      return { keys: ["limits", i], limit, matches, appliesTo, unit: unitOf(limit) };
    }),
    tools: entries.length === 0 ? null : new Set(entries.map(([tool]) => tool)),
    tierOf,
    tiers: new Set(tierOf.values()),
    toolUses,
    namedTools: new Set([...entries.map(([tool]) => tool), ...toolUses.map(({ name }) => name)]),
    pricedUnits: new Set(entries.flatMap(([, { cost }]) => Object.keys(cost ?? {}))),
  };
}

function toolUsesOf({ per, match = [], quotas = {}, overrides = [] }: LimitInput, i: number): Use[] {
  const uses: Use[] = [];
  for (const [n, name] of match.entries()) {
    if (!isGlob(name)) uses.push({ name, keys: ["limits", i, "match", n], isKey: false });
  }
  if (per.at(-1) === "tool") {
    for (const name of Object.keys(quotas).filter((each) => each !== "default"))
      uses.push({ name, keys: ["limits", i, "quotas", name], isKey: true });
  }
  for (const [n, { when }] of overrides.entries()) {
    if (when.tool === undefined) continue;
    uses.push({ name: String(when.tool), keys: ["limits", i, "overrides", n, "when", "tool"], isKey: false });
  }
  return uses;
}

function unitOf(limit: LimitInput): string | null {
  if (limit.algorithm === "elapsed" || limit.algorithm === "streak") return null;
  return "count" in limit && limit.count !== undefined ? null : (limit.unit ?? "calls");
}

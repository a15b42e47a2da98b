// What the schema of a policy cannot say: demands of one part of it on another.

import { algorithmNamed, MAX_SEEN } from "../algorithms/registry.ts";
import { DERIVED_DIMENSIONS, DIMENSIONS } from "../call.ts";
import { type Fault, formatGot } from "../errors.ts";
import { isGlob } from "../glob.ts";
import type { Demand } from "./algorithm-policy.ts";
import { unitsOf } from "./amounts.ts";
import { allottedIn, distinctOf, isFromCall, quotasIn } from "./compile.ts";
import { isMoneyText, MONEY_UNIT } from "../quantity.ts";
import { globsIn, isExact } from "../selector.ts";
import type { ParsedLimit, ParsedPolicy } from "./schema.ts";

/** A fault, and the keys that lead to it. */
export interface PolicyFault extends Fault {
  readonly keys: readonly (string | number)[];
  /** Whether the last key itself is wrong, not what it leads to. */
  readonly isKey?: boolean;
  /** Whether no policy has that key. */
  readonly isUnknown?: boolean;
  /** The values that are right, where there are only some. */
  readonly choices?: readonly string[];
  /** Whether it is a word that policies had once. */
  readonly isOld?: boolean;
}

export function policyFault(keys: readonly (string | number)[], expected: string, got: string): PolicyFault {
  return { keys, path: formatPath(keys), expected, got };
}

/** Keys as a path: `limits[0].quotas.search`. */
export function formatPath(keys: readonly (string | number)[]): string {
  if (keys.length === 0) return "policy";
  return keys
    .map((key) =>
      typeof key === "number" ? `[${key}]` : /^[\w$]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`,
    )
    .join("")
    .replace(/^\./, "");
}

export function contradictions({ partition, tools = {}, limits }: ParsedPolicy): PolicyFault[] {
  const derived: readonly string[] = DERIVED_DIMENSIONS;
  const known = [...DIMENSIONS, ...limits.flatMap(({ per }) => per)].filter((name) => !derived.includes(name));
  const unknown = partition === undefined || known.includes(partition) ? [] : [partition];
  const expected = "a dimension that some limit is per";
  const faults = unknown.map((name) => policyFault(["partition"], expected, formatGot(name)));
  const patterns = patternsIn(limits) + Object.keys(tools).filter(isGlob).length;
  if (patterns > MAX_PATTERNS) faults.push(policyFault(["limits"], MOST_PATTERNS, String(patterns)));
  for (const [tool, { cost = {} }] of Object.entries(tools)) {
    for (const [unit, amount] of Object.entries(cost)) {
      if (unit === MONEY_UNIT || !isMoney(amount)) continue;
      faults.push(policyFault(["tools", tool, "cost", unit], NO_MONEY, formatGot(amount)));
    }
  }
  return [...faults, ...limits.flatMap((limit, i) => limitContradictions(limit, i, limits))];
}

/** Most patterns of a policy: a call may be compared with all of them. */
const MAX_PATTERNS = 4_096;
const MOST_PATTERNS = `at most ${MAX_PATTERNS} values with *, and overrides with lists or !, in the whole policy`;

/** How many patterns and lists of values a call may be compared with. */
function patternsIn(limits: readonly ParsedLimit[]): number {
  const ofWhen = limits.map(({ when = {} }) => globsIn(when));
  const ofOverrides = limits.flatMap(({ overrides = [] }) =>
    overrides.map(({ when }) => (isExact(when) ? 0 : Math.max(1, globsIn(when)))),
  );
  return [...ofWhen, ...ofOverrides].reduce((sum, count) => sum + count, 0);
}

/** Most sets of dimensions in the `when` of one limit's overrides: a call is looked up once for each. */
const MAX_OVERRIDE_SETS = 32;

function limitContradictions(limit: ParsedLimit, i: number, limits: readonly ParsedLimit[]): PolicyFault[] {
  const faults: PolicyFault[] = [];
  const demand: Demand = (isMet, keys, expected, got) => {
    if (!isMet) faults.push(policyFault(["limits", i, ...keys], expected, formatGot(got)));
  };
  const { name, per } = limit;
  demand(limits.findIndex((each) => each.name === name) === i, ["name"], "a name that no other limit has", name);
  demand(new Set(per).size === per.length, ["per"], "each dimension once", per);
  moneyContradictions(limit, demand);
  const { policy } = algorithmNamed(limit.algorithm);
  for (const [keys, given, burst] of quotasIn(limit)) {
    if (given === "unlimited") continue;
    const units = unitsOf(given);
    const fault = policy.quotaFault(policy.specOf(limit, units, burst), units);
    demand(fault === null, keys, fault ?? "", given);
    const isRemembered = distinctOf(limit) === null || units <= MAX_SEEN;
    demand(isRemembered, keys, `at most ${MAX_SEEN} values that are counted`, given);
  }
  claimContradictions(limit, demand);
  const exact = (limit.overrides ?? []).filter(({ when }) => isExact(when));
  const sets = new Set(exact.map(({ when }) => Object.keys(when).sort().join())).size;
  const mostSets = `at most ${MAX_OVERRIDE_SETS} different sets of dimensions in when`;
  demand(sets <= MAX_OVERRIDE_SETS, ["overrides"], mostSets, sets);
  policy.contradictions(limit, demand);
  distinctContradictions(limit, demand);
  return faults;
}

/** What limits of distinct values, and limits that are borrowed from, cannot say. */
function distinctContradictions(limit: ParsedLimit, demand: Demand): void {
  const distinct = distinctOf(limit);
  const counted = "where distinct values are counted";
  if (distinct !== null && "unit" in limit) demand(false, ["unit"], `no unit ${counted}`, limit.unit);
  const isOther = distinct === null || !limit.per.includes(distinct);
  demand(isOther, ["distinct"], "a dimension that the limit is not per", distinct);
  if (distinct !== null && "onError" in limit)
    demand(false, ["onError"], `no onError ${counted}: they stay counted`, limit.onError);
  if (!("borrow" in limit)) return;
  demand(distinct === null, ["borrow"], `no borrow ${counted}`, limit.borrow);
  const { mode = "enforce" } = limit;
  demand(mode === "enforce", ["borrow"], `no borrow in mode ${mode}, which denies nothing`, limit.borrow);
}

/** What a quota that calls bring cannot say: each number up to its `max` must be one that the limit could have. */
function claimContradictions(limit: ParsedLimit, demand: Demand): void {
  const { quota } = allottedIn(limit);
  if (!isFromCall(quota)) return;
  const { default: usual, max } = quota;
  const most = max === "unlimited" ? Number.POSITIVE_INFINITY : unitsOf(max);
  const isWithin = max === "unlimited" || (usual !== "unlimited" && unitsOf(usual) <= most);
  demand(isWithin, ["quota", "default"], `at most max, which is ${max}`, usual);
  const { policy } = algorithmNamed(limit.algorithm);
  const isBounded = policy.hasLargestQuota || distinctOf(limit) !== null;
  demand(!isBounded || max !== "unlimited", ["quota", "max"], "a number, because this limit has a largest quota", max);
  const fault = max === "unlimited" ? null : policy.claimFault(limit, most);
  demand(fault === null, ["quota", "max"], fault ?? "", max);
}

/** Dollars are an amount of one unit alone. */
function moneyContradictions(limit: ParsedLimit, demand: Demand): void {
  if ("unit" in limit && limit.unit === MONEY_UNIT) return;
  for (const [keys, quota, burst] of quotasIn(limit)) {
    demand(!isMoney(quota), keys, NO_MONEY, quota);
    demand(!isMoney(burst), [...keys.slice(0, -1), "burst"], NO_MONEY, burst);
  }
  if ("burst" in limit) demand(!isMoney(limit.burst), ["burst"], NO_MONEY, limit.burst);
}

const NO_MONEY = `an amount without $, which is for unit: ${MONEY_UNIT}`;

function isMoney(amount: unknown): boolean {
  return typeof amount === "string" && isMoneyText(amount);
}

// What the schema of a policy cannot say: demands of one part of it on another.

import { MAX_SEEN } from "./algorithms/counter.ts";
import { DERIVED_DIMENSIONS, DIMENSIONS } from "./call.ts";
import { type Fault, formatGot } from "./errors.ts";
import { isGlob } from "./glob.ts";
import { MAX_HOLDS } from "./holds.ts";
import { specOf, unitsOf } from "./policy-compile.ts";
import type { LimitInput, PolicyInput } from "./policy-schema.ts";

/** A fault, and the keys that lead to it. */
export interface PolicyFault extends Fault {
  readonly keys: readonly (string | number)[];
  /** Whether the last key itself is wrong, not what it leads to. */
  readonly isKey?: boolean;
}

/** A fault at the end of some keys. */
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

/** Everything that contradicts itself. */
export function contradictions({ partition, limits }: PolicyInput): PolicyFault[] {
  const derived: readonly string[] = DERIVED_DIMENSIONS;
  const known = [...DIMENSIONS, ...limits.flatMap(({ per }) => per)].filter((name) => !derived.includes(name));
  const unknown = partition === undefined || known.includes(partition) ? [] : [partition];
  const expected = "a dimension that some limit is per";
  const faults = unknown.map((name) => policyFault(["partition"], expected, formatGot(name)));
  const globs = limits.reduce((sum, { match = [] }) => sum + match.filter(isGlob).length, 0);
  if (globs > MAX_GLOBS) {
    const most = `at most ${MAX_GLOBS} names with * in the match of all limits together`;
    faults.push(policyFault(["limits"], most, String(globs)));
  }
  return [...faults, ...limits.flatMap((limit, i) => limitContradictions(limit, i, limits))];
}

/** Most patterns of a policy: a call may be compared with all of them. */
const MAX_GLOBS = 4_096;
/** Most sets of dimensions in the `when` of one limit's overrides: a call is looked up once for each. */
const MAX_OVERRIDE_SETS = 32;

function limitContradictions(limit: LimitInput, i: number, limits: readonly LimitInput[]): PolicyFault[] {
  const faults: PolicyFault[] = [];
  const demand = (isMet: boolean, keys: readonly (string | number)[], expected: string, got: unknown) => {
    if (!isMet) faults.push(policyFault(["limits", i, ...keys], expected, formatGot(got)));
  };
  const { name, per, quota, quotas, otherwise } = limit;
  demand(limits.findIndex((each) => each.name === name) === i, ["name"], "a name that no other limit has", name);
  demand(new Set(per).size === per.length, ["per"], "each dimension once", per);
  demand(quotas === undefined || per.length > 0, ["quotas"], "a dimension in per whose values these are", quotas);
  demand(quota !== undefined || quotas !== undefined, ["quota"], "a quota, or quotas", quota);
  demand(
    quota !== undefined || quotas === undefined || otherwise !== undefined,
    ["otherwise"],
    "allow or deny, because there is no quota for other values",
    otherwise,
  );
  demand(
    quota === undefined || otherwise === undefined,
    ["otherwise"],
    "no otherwise beside a quota, which is for all other values",
    otherwise,
  );
  for (const [keys, given] of quotasOf(limit)) {
    if (given === "unlimited") continue;
    const units = unitsOf(given);
    const spec = specOf(limit, units);
    const isExact = spec.algorithm !== "token-bucket" || 2 * spec.burst * spec.levelPerUnit < 2 ** 52;
    demand(isExact, keys, EXACT_RATE, given);
    const isHeld = spec.algorithm !== "concurrency" || units <= MAX_HOLDS;
    demand(isHeld, keys, `at most ${MAX_HOLDS} units in use at once`, given);
    const isSeen = !("count" in limit) || limit.count === undefined || units <= MAX_SEEN;
    demand(isSeen, keys, `at most ${MAX_SEEN} values that are counted`, given);
  }
  const sets = new Set((limit.overrides ?? []).map(({ when }) => Object.keys(when).sort().join()));
  demand(
    sets.size <= MAX_OVERRIDE_SETS,
    ["overrides"],
    `at most ${MAX_OVERRIDE_SETS} different sets of dimensions in when`,
    sets.size,
  );
  if (limit.algorithm === "fixed-window") calendarContradictions(limit, demand);
  if ("count" in limit && limit.count !== undefined) {
    demand(limit.unit === undefined, ["unit"], "no unit where values are counted", limit.unit);
    demand(!per.includes(limit.count), ["count"], "a dimension that the limit is not per", limit.count);
    demand(
      limit.onError === undefined,
      ["onError"],
      "no onError where values are counted: they stay counted",
      limit.onError,
    );
  }
  if ("lease" in limit && limit.lease === "auto") {
    const isCount = "count" in limit && limit.count !== undefined;
    demand(!isCount, ["lease"], "no lease where values are counted", limit.lease);
    demand(limit.mode !== "shadow", ["lease"], "no lease in mode shadow, which denies nothing", limit.lease);
  }
  return faults;
}

/** Every quota of a limit, and the keys that lead to it. */
function quotasOf({ quota, quotas = {}, overrides = [] }: LimitInput) {
  return [
    ...(quota === undefined ? [] : [[["quota"], quota] as const]),
    ...Object.entries(quotas).map(([value, units]) => [["quotas", value], units] as const),
    ...overrides.map((override, n) => [["overrides", n, "quota"], override.quota] as const),
  ];
}

// Beyond this a level (token-bucket.ts) could pass 2^53, and arithmetic would no longer be exact.
const EXACT_RATE = "a quota with 2 * burst * window / gcd(quota, window in ms) below 2^52";

function calendarContradictions(
  { window, align, timezone, anchorDay }: Extract<LimitInput, { algorithm: "fixed-window" }>,
  demand: (isMet: boolean, keys: readonly string[], expected: string, got: unknown) => void,
): void {
  const isCalendar = align === "calendar";
  const isWord = window === "day" || window === "week" || window === "month";
  demand(isCalendar || !isWord, ["window"], "a duration; day, week and month are for align: calendar", window);
  demand(!isCalendar || isWord, ["window"], "day, week or month", window);
  demand(isCalendar || timezone === undefined, ["timezone"], "no timezone but for align: calendar", timezone);
  demand(isCalendar || anchorDay === undefined, ["anchorDay"], "no anchorDay but for align: calendar", anchorDay);
  demand(timezone === undefined || isTimezone(timezone), ["timezone"], TIMEZONE, timezone);
  const most = window === "month" ? 31 : window === "week" ? 7 : 1;
  demand((anchorDay ?? 1) <= most || !isCalendar, ["anchorDay"], `at most ${most} in a ${window}`, anchorDay);
}

const TIMEZONE = "a time zone by its IANA name, such as Europe/Berlin";

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

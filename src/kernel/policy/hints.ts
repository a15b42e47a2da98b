// What to write instead of a key that no policy has, as one table. A hint is a guess at what was meant and decides nothing.

import { DIMENSIONS } from "../call.ts";
import { DURATION_PATTERN } from "../duration.ts";
import { formatGot } from "../errors.ts";
import { impliedAlgorithm } from "../algorithms/registry.ts";
import { isCalendarWord } from "./amounts.ts";
import { closest, plainOf } from "../spelling.ts";
import { listed } from "../words.ts";
import { AFTER_COMMA } from "./amount-hints.ts";
import { hintForForeign, isQuotaKey } from "./foreign.ts";
import {
  entriesText,
  isObject,
  isWord,
  type Keys,
  MAX_TEXT,
  namesText,
  objectOr,
  placeOf,
  shown,
  textOf,
  windowed,
} from "./place.ts";
import { isQuota } from "./quota-hints.ts";
import { DEFAULTS_KEYS, LIMIT_KEYS, POLICY_KEYS, TOOL_KEYS } from "./schema.ts";
import { calendarFrom, durationFrom } from "./values.ts";

/** What to write instead of a key that is unknown; `null` where there is no guess. */
export function hintForKey(keys: Keys, input: unknown): string | null {
  const { key, value, limit } = placeOf(keys, input, []);
  if (key.length > MAX_TEXT) return null;
  if (/^(\/\/|\/\*)/.test(key)) return "A comment begins with #.";
  const [, before = "", after = ""] = /^([A-Za-z]+):(.+)$/.exec(key) ?? [];
  if (before !== "") return `Put a space after the colon: "${before}: ${after}".`;
  const level = levelOf(keys);
  if (/^\d{1,3}$/.test(key) && value === null) return hintForRest(key, limit);
  if (level === "hold" && KNOWN.hold.includes(key)) return "Remove it: a unit in use is always free again in the end.";
  if (level === "limit") return hintForLimitKey(key, value, limit);
  const known = KNOWN[level];
  const foreign = foreignKey(key, level);
  if (foreign !== null) return `Write "${foreign}" instead of "${key}".`;
  const meant = closest(key, known);
  if (meant !== null) return `Did you mean "${meant}"?`;
  const foreignOfLimit = foreignKey(key, "limit");
  const isQuota = isQuotaKey(key) || key === "quota" || foreignOfLimit === "quota";
  if (level === "policy") {
    if (isObject(value) && "limits" in value)
      return `Remove the line "${key}:", and write what is inside it at the top.`;
    const word = ALL_LIMIT_KEYS.has(key) ? key : (foreignOfLimit ?? (isQuota ? key : null));
    return word === null ? null : `Write "${word}" in a limit, which is an entry of "limits".`;
  }
  if (level === "override") return `Write it in "when": { ${shown(key)}: ${shown(value)} }.`;
  if (level === "defaults") return ALL_LIMIT_KEYS.has(key) ? `Write "${key}" in each limit.` : null;
  if (level !== "tool") return null;
  const tool = shown(keys[1]);
  if (isQuota) return `Write it in a limit of its own, with "when: { tool: ${tool} }".`;
  return ALL_LIMIT_KEYS.has(key) ? `Write it in a limit that is per tool: quotas: { tool: { ${tool}: 5 } }.` : null;
}

/** What stands behind the comma of `quota: $1,000` in braces, where a comma ends the value. YAML reads 000 as 0. */
function hintForRest(key: string, limit: Readonly<Record<string, unknown>>): string {
  const amount = [limit.quota, limit.burst].map(String).find((text) => /^\$?\d{1,3}$/.test(text));
  return amount === undefined ? AFTER_COMMA : `A comma ends a value. Write ${amount}${key.padStart(3, "0")}.`;
}

type Level = "policy" | "defaults" | "tool" | "limit" | "override" | "hold" | "notice";

const KNOWN: Readonly<Record<Exclude<Level, "limit">, readonly string[]>> = {
  policy: POLICY_KEYS,
  tool: TOOL_KEYS,
  defaults: DEFAULTS_KEYS,
  override: ["when", "quota", "burst"],
  hold: ["lease", "onExpiry"],
  notice: ["at", "message"],
};
const ALL_LIMIT_KEYS: ReadonlySet<string> = new Set([...LIMIT_KEYS.values()].flat());

/** Keys of other tools without case, hyphens and underscores, by the key that a policy has for it. */
const FOREIGN: Readonly<Record<Level, Readonly<Record<string, string>>>> = {
  policy: {
    limits: "rules rule limit ratelimits ratelimit policies quotas budgets",
    tools: "functions",
    version: "v apiversion",
  },
  tool: { cost: "price pricing weight points units", group: "class kind tier level category" },
  limit: {
    quota:
      "limit max maximum maxcalls maxrequests amount points budget allowance capacity rate ratelimit threshold calls " +
      "requests cap",
    window: "period interval every windowms windowsize timewindow duration reset resets frequency",
    algorithm: "type kind strategy method algo",
    per: "by key keys scope dimensions dimension groupby partitionby",
    when: "match tool tools only pattern patterns include",
    resetAfterIdle: "expires expiry expire idle timeout ttl",
    burst: "burstsize bucketsize maxburst",
    unit: "currency units",
    name: "id label",
    overrides: "if exceptions",
    timezone: "tz zone",
    align: "alignment",
    distinct: "unique distinctvalues countdistinct",
    description: "comment note title",
  },
  override: { when: "if for match", quota: "limit max" },
  hold: { lease: "ttl timeout duration", onExpiry: "expiry onexpire" },
  notice: { at: "threshold share from" },
  defaults: {},
};

function foreignKey(key: string, level: Level): string | null {
  return Object.entries(FOREIGN[level]).find(([, others]) => others.split(" ").includes(plainOf(key)))?.[0] ?? null;
}

function levelOf(keys: Keys): Level {
  if (keys.length === 1) return "policy";
  if (keys[0] === "tools") return "tool";
  if (keys[0] === "defaults" && keys.length === 2) return "defaults";
  if (keys[0] === "limits" && keys.length === 3) return "limit";
  return keys[2] === "overrides" ? "override" : keys.at(-2) === "hold" ? "hold" : "notice";
}

function hintForLimitKey(key: string, value: unknown, limit: Readonly<Record<string, unknown>>): string | null {
  const written = hintForForeign(key, value, limit);
  if (written !== null) return written;
  if (ALL_LIMIT_KEYS.has(key)) return misplaced(key, value, limit);
  const foreign = foreignKey(key, "limit");
  const own = LIMIT_KEYS.get(textOf(limit.algorithm ?? impliedAlgorithm(limit))) ?? [];
  const dimension = dimensionIn(key);
  const quotas = Object.entries(objectOr(value));
  if (dimension !== null && quotas.length > 0 && quotas.every(([, quota]) => isQuota(quota))) {
    const entries = quotas.map(([name, quota]) => `${shown(name)}: ${quota}`);
    return `Write quotas: { ${dimension}: { ${entriesText(entries)} } }.`;
  }
  if (key === "plans" && namesText(value) !== "") return `Write when: { plan${namesText(value)} }.`;
  if (foreign === null && dimension === key && isWord(value)) return `Write when: { ${key}: ${shown(value)} }.`;
  const meant = foreign ?? closest(key, own) ?? closest(key, ALL_LIMIT_KEYS);
  if (meant === null) return null;
  if (foreign !== null && limit[foreign] !== undefined) return `Remove "${key}": this limit has "${foreign}" already.`;
  const list = meant === "per" || meant === "when" ? namesText(value) : "";
  const names = meant === "when" && list !== "" ? `: { tool${list} }` : list;
  const span = meant === "window" && typeof value === "string" && value.length <= MAX_TEXT ? windowFrom(value) : null;
  const text = `${meant}${names}${span === null || span === value ? "" : `: ${span}`}`;
  const hint = foreign === null ? `Did you mean "${meant}"?` : `Write "${text}" instead of "${key}".`;
  const isInferred = isCalendarWord(span) && limit.algorithm === undefined;
  return own.includes(meant) || isInferred ? hint : `${hint} ${misplaced(meant, span ?? value, limit)}`;
}

/** The dimension that a key names, also by its plural; `null` for none. */
function dimensionIn(key: string): string | null {
  return ["plan", ...DIMENSIONS].find((dimension) => key === dimension || key === `${dimension}s`) ?? null;
}

function windowFrom(text: string): string | null {
  return DURATION_PATTERN.test(text) ? text : (calendarFrom(text) ?? durationFrom(text));
}

/** A key that only limits of other algorithms have. */
function misplaced(key: string, value: unknown, limit: Readonly<Record<string, unknown>>): string {
  const algorithm = limit.algorithm === undefined ? undefined : textOf(limit.algorithm);
  if (key === "window" && algorithm === undefined) {
    const text = textOf(value).slice(0, MAX_TEXT);
    const word = calendarFrom(text);
    if (word === null) return `A window needs an algorithm. Add ${windowed(value)}.`;
    const write = `Write "window: ${word}" for a ${word} of the calendar`;
    return DURATION_PATTERN.test(text) ? `${write}, or add ${windowed(value)}.` : `${write}.`;
  }
  if (key === "window") return `The algorithm "${algorithm}" has no window. Remove it, or use ${windowed(value)}.`;
  const owners = [...LIMIT_KEYS].flatMap(([name, keys]) => (keys.includes(key) ? name : []));
  return algorithm === undefined && owners.length === 1
    ? `"${key}" is for ${owners[0]}. Add "algorithm: ${owners[0]}", or remove "${key}".`
    : `"${key}" is for ${listed(owners)}, and this limit is ${algorithm ?? impliedAlgorithm(limit)}. Remove it, or change the algorithm.`;
}

/** What is expected, and what was found, where a key is right in limits of other algorithms; `null` where it never is. */
export function misplacement(keys: Keys, input: unknown): readonly [expected: string, got: string] | null {
  const { key, value, limit } = placeOf(keys, input, []);
  if (levelOf(keys) !== "limit" || !ALL_LIMIT_KEYS.has(key)) return null;
  if (key === "window" && limit.algorithm === undefined) {
    return DURATION_PATTERN.test(textOf(value))
      ? ["an algorithm beside it", "none"]
      : ["day, week or month, or a duration with an algorithm beside it", formatGot(value)];
  }
  return [`a key of ${textOf(limit.algorithm ?? impliedAlgorithm(limit)).slice(0, MAX_TEXT)}`, formatGot(key)];
}

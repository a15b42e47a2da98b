// What to write instead of a value that is wrong, as one table by key. A hint is a guess at what was meant and decides nothing.

import { CALL_WORDS, DERIVED_DIMENSIONS, DIMENSIONS } from "../call.ts";
import { quantityOf } from "../quantity.ts";
import { closest, plainOf } from "../spelling.ts";
import { MESSAGE_WORDS, NOTICE_WORDS } from "../words.ts";
import { amountHint, costHint, durationHint, lifeHint } from "./amount-hints.ts";
import { isCalendarWord } from "./amounts.ts";
import { isObject, type Keys, MAX_TEXT, namesText, type Place, placeOf, shown, textOf, windowed } from "./place.ts";
import { dimensionQuestion, isQuota } from "./quota-hints.ts";
import { LIMIT_KEYS } from "./schema.ts";
import { calendarFrom, durationFrom, moneyFrom, nameFrom } from "./values.ts";

const EXAMPLE = "{ name: per-session, per: [session], quota: 50 }";
const WHOSE = "per: [session], [user] or [tenant]";

/** What to write instead of a value that is wrong; `null` where there is no guess. */
export function hintForValue(keys: Keys, input: unknown, choices: readonly string[]): string | null {
  const place = placeOf(keys, input, choices);
  const { value } = place;
  if (typeof value === "string" && value.length > MAX_TEXT) return null;
  const [root, , key, inner] = keys;
  if (keys.length === 0) return policyHint(value);
  if (root === "tools" && keys.length === 2) return toolHint(place);
  if (root === "limits" && keys.length === 2) return `Write an object: ${EXAMPLE}.`;
  if (key === "per" && inner !== undefined) return dimensionHint(value);
  if (keys.includes("when") && keys.at(-1) !== "when") {
    if (value === "") return 'A value that begins with ! or * needs quotes, as in "!delete_*".';
    return typeof value === "boolean" ? `Write "${value}", with quotes.` : null;
  }
  if (key === "cost" && inner !== undefined) return costHint(place);
  if (key === "quotas" && keys.length === 4) return quotasHint(place);
  const subject = key === "quotas" && inner !== undefined ? "quota" : place.key;
  return (Object.hasOwn(VALUES, subject) ? VALUES[subject]?.(place) : null) ?? choiceHint(place);
}

/** A key that is no dimension, or no unit, where a name of either stands. */
export function hintForName(keys: Keys): string | null {
  const name = String(keys.at(-1));
  if (name.length > MAX_TEXT) return null;
  return keys.includes("cost") ? unitHint(name) : keys.includes("when") ? dimensionHint(name) : null;
}

const VALUES: Readonly<Record<string, (place: Place) => string | null>> = {
  version: ({ value }) =>
    value === undefined ? 'Add "version: 1".' : value === "1" ? "Write 1 without quotes." : 'Write "version: 1".',
  limits: ({ value }) => {
    if (value === undefined || value === null || Array.isArray(value))
      return `Add at least one limit: limits: [${EXAMPLE}].`;
    if (!isObject(value)) return null;
    if ("name" in value || "per" in value || "quota" in value) return 'Write "- " before the limit: limits are a list.';
    const [name = "a"] = Object.keys(value);
    return `Limits are a list, in the order in which they are judged. Write "- name: ${name.slice(0, 64)}" for each.`;
  },
  tools: ({ value }) => {
    if (!Array.isArray(value)) return "Write an object with a key for each tool: tools: { search: {} }.";
    const [name = "search"] = value.filter((each) => typeof each === "string" && each.length <= MAX_TEXT);
    return `Tools are an object with a key for each tool, not a list. Write tools: { ${shown(name)}: {} }.`;
  },
  cost: ({ value }) => {
    if (typeof value === "number") return `Name the unit: cost: { calls: ${value} }.`;
    const money = typeof value === "string" ? moneyFrom(value) : null;
    return money === null ? null : `Name the unit: cost: { ${money.unit}: ${quantityOf(money.micros, money.unit)} }.`;
  },
  group: ({ value }) => {
    if (typeof value === "number") return `Write "${value}", with quotes.`;
    const [group] = Array.isArray(value) ? value : [];
    return typeof group === "string" ? `A tool has one group: write group: ${shown(group)}.` : null;
  },
  name: ({ value }) => {
    if (value === undefined) return "Give each limit a name, such as tool-per-session.";
    const name = typeof value === "string" ? nameFrom(value, "-") : "";
    return name === "" || name === value ? null : `Write "${name.slice(0, 64)}".`;
  },
  per: ({ value }) => {
    if (value === undefined) return `Say whose quota it is: ${WHOSE}, or [] for one quota for all calls.`;
    const span = typeof value === "string" ? durationFrom(value) : null;
    return span === null
      ? listHint("per", value)
      : `Say whose quota it is: ${WHOSE}. A quota for each ${span} has ${windowed(span)}, with "window: ${span}".`;
  },
  quotas: ({ value }) => (isObject(value) ? null : "Write an object: quotas: { tool: { search: 5 } }."),
  of: (place) => (place.value === undefined ? 'Add "of: errors" or "of: results".' : null),
  ignoreArgs: ({ value }) => listHint("ignoreArgs", value),
  overrides: ({ value }) =>
    isObject(value) ? "Write a list: overrides: [{ when: { plan: pro }, quota: 500 }]." : null,
  when: ({ value }) => {
    const names = value === "" ? "" : namesText(value);
    return names === "" ? "Say for which calls: when: { plan: pro }." : `Name the dimension: when: { tool${names} }.`;
  },
  distinct: ({ value }) => dimensionHint(value),
  partition: ({ value }) => dimensionHint(value),
  unit: ({ value }) => (typeof value === "string" ? unitHint(value) : null),
  quota: (place) => (place.limit.algorithm === "elapsed" ? durationHint(place) : amountHint(place)),
  burst: (place) => (Number(textOf(place.value)) < 1 ? "Write 1 or more." : amountHint(place)),
  window: (place) => {
    const { value, limit } = place;
    if (value === undefined) return "Add the window that the quota is for, such as window: 1h.";
    const word = calendarFrom(textOf(value));
    if (word === null) return durationHint(place);
    const span = word === "month" ? "30d" : durationFrom(word);
    if (limit.algorithm === "fixed-window") return `Write ${word} for a ${word} of the calendar, or ${span}.`;
    return isCalendarWord(value)
      ? `Write ${span}, or leave the algorithm out for a ${value} of the calendar.`
      : `Write ${span}, or "window: ${word}" without an algorithm for a ${word} of the calendar.`;
  },
  pause: (place) => (place.value === undefined ? "Add the pause, such as pause: 2s." : durationHint(place)),
  resetAfterIdle: lifeHint,
  resetAfter: (place) =>
    place.limit.resetAfterIdle === undefined ? lifeHint(place) : "Remove one of them: a scope has one life.",
  maxHold: durationHint,
  lease: durationHint,
  borrow: ({ value, limit }) => {
    if (value === "auto") return limit.mode === undefined ? null : 'Remove it, or the "mode".';
    return value === true ? 'Write "borrow: auto".' : "Remove it: each call asks the store then.";
  },
  hold: ({ value }) => (typeof value === "string" ? `Write hold: { lease: ${durationFrom(value) ?? "2m"} }.` : null),
  notice: ({ value }) => (isObject(value) || value === null ? null : `Write notice: { at: ${shown(value)} }.`),
  at: ({ value }) => {
    const [, percent] = /^(\d+(?:\.\d+)?)\s*%?$/.exec(textOf(value)) ?? [];
    const share = Number(percent) / 100;
    if (value === 0 || value === false) return "Write never.";
    if (typeof value === "string" && Number(value) > 0 && Number(value) <= 1) return `Write ${value} without quotes.`;
    return share > 0.01 && share <= 1 ? `It is a share of the quota: write ${share}.` : null;
  },
  message: ({ value, within }) => {
    const known: readonly string[] = within === "notice" ? NOTICE_WORDS : MESSAGE_WORDS;
    const words = [...textOf(value).matchAll(/\{([^{}]*)\}/g)].map(([, word = ""]) => word);
    const wrong = words.find((word) => !known.includes(word));
    const meant = wrong === undefined ? null : closest(wrong, known);
    return meant === null ? null : `Did you mean {${meant}}?`;
  },
  timezone: ({ value, limit }) => {
    if (limit.window !== undefined && !isCalendarWord(limit.window))
      return "Remove it: a window of a fixed length is the same in every zone.";
    const zones = Intl.supportedValuesOf("timeZone");
    const city = plainOf(textOf(value));
    const meant = zones.find((zone) => plainOf(zone).endsWith(`/${city}`)) ?? closest(textOf(value), zones);
    return meant === null ? null : `Did you mean "${meant}"?`;
  },
};

const CHARGE_OR_REFUND = { refund: /^(release|free|return)$/, charge: /^(spend|keep|book)$/ };

/** Values of other tools, by the value that a policy has for it. */
const FOREIGN_VALUES: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  algorithm: {
    "token-bucket": /^gcra$|bucket|leaky|^rate$|ratelimit/,
    "sliding-window": /sliding|rolling|moving/,
    "fixed-window": /fixed|^window$|calendar/,
    budget: /^(quota|counter|count|total|lifetime|cap)$/,
    concurrency: /concurren|semaphore|parallel|inflight/,
    elapsed: /^(time|timeout|duration|deadline|wallclock)/,
    cooldown: /^(pause|delay|throttle|debounce|mininterval|spacing)/,
    streak: /^(loop|repeat|consecutive|inarow)/,
  },
  mode: {
    shadow: /^(dryrun|log|report|monitor|reportonly|logonly)$/,
    enforce: /^(on|live|deny|block)$/,
    warn: /^(notice|notify|soft|allow)$/,
  },
  onMissing: {
    skip: /^(ignore|pass|allow|optional|true)$/,
    error: /^(deny|fail|refuse|required?|false)$/,
    shared: /^(share|anonymous|together|one)$/,
  },
  onStoreError: { allow: /open$/, deny: /close/ },
  of: { errors: /^(failures?|fail)$/, results: /^(calls|same|outputs?|repeats?)$/ },
  onExpiry: CHARGE_OR_REFUND,
  onError: CHARGE_OR_REFUND,
};

/** What each algorithm needs beside a name and `per`. */
const NEEDED: Readonly<Record<string, string>> = {
  "token-bucket": "quota and window",
  "sliding-window": "quota and window",
  "fixed-window": "quota and window",
  elapsed: "a duration as quota",
  streak: "of and quota",
  cooldown: "a pause, such as 2s",
};

function policyHint(value: unknown): string | null {
  if (value === null || value === undefined) return 'It is empty. Begin with "version: 1" and "limits:".';
  if (Array.isArray(value)) return 'Write "version: 1" and "limits:" above the list.';
  const loads = "A file is read by loadPolicy(path), a text in YAML or JSON by parsePolicy(text).";
  return typeof value === "string" ? loads : null;
}

function toolHint({ key, value }: Place): string {
  const name = shown(key);
  return typeof value === "number"
    ? `Write it in a limit that is per tool, quotas: { tool: { ${name}: ${value} } }, and here ${name}: {}.`
    : `Write ${name}: {} for a tool without settings.`;
}

function choiceHint({ key, value, choices }: Place): string | null {
  const known = key === "algorithm" ? LIMIT_KEYS.keys() : choices;
  const word = plainOf(textOf(value));
  const foreign = Object.entries(FOREIGN_VALUES[key] ?? {}).find(([, pattern]) => pattern.test(word))?.[0];
  const meant = closest(textOf(value), known);
  if (meant !== null) return `Did you mean "${meant}"?`;
  if (foreign === undefined) return null;
  const needed = key === "algorithm" ? NEEDED[foreign] : undefined;
  return `It is called "${foreign}" here: write ${key}: ${foreign}${needed === undefined ? "" : `, with ${needed}`}.`;
}

/** Quotas without their dimension, or a value where its quota should be. */
function quotasHint({ key, value, limit }: Place): string | null {
  if (isObject(value) || !isObject(limit.quotas)) return null;
  return typeof value === "string" && !isQuota(value)
    ? `Write the quota of each value: quotas: { ${shown(key)}: { ${shown(value)}: 500 } }.`
    : dimensionQuestion(limit.quotas, limit.per);
}

function dimensionHint(value: unknown): string | null {
  if (typeof value !== "string") return `Write the name of a dimension, as in ${WHOSE}.`;
  if ([...CALL_WORDS, "limit"].includes(value)) return `"${value}" has another meaning in a call. Use another name.`;
  const name = nameFrom(value, "_");
  const meant = closest(name, [...DIMENSIONS, ...DERIVED_DIMENSIONS]);
  if (meant !== null) return `Did you mean "${meant}"?`;
  return name === value || name === "" ? null : `Write "${name}".`;
}

function unitHint(value: string): string | null {
  const name = nameFrom(value, "_");
  return name === value || !/^[a-z][a-z0-9_]{0,31}$/.test(name) ? null : `Write "${name}".`;
}

function listHint(key: string, value: unknown): string | null {
  const written = typeof value === "string" ? value.split(/[\s,]+/).filter((name) => name !== "") : [];
  const names = isObject(value) ? Object.keys(value).slice(0, 3) : written;
  return names.length === 0 ? null : `Write a list: ${key}: [${names.map(shown).join(", ")}].`;
}

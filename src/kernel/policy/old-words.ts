// The words that policies had once, and what to write now: one table for the errors that name them (policy.ts) and for
// `tollgate policy upgrade` (src/policy-file/upgrade.ts). Nothing is found in a policy that has only the words of today.

import { isCalendarWord } from "./amounts.ts";
import { entriesText, isObject, type Keys, listOr, MAX_TEXT, objectOr, shown, textOf } from "./place.ts";
import { dimensionQuestion, isQuota, isUnclear } from "./quota-hints.ts";

/** How to write a part of a policy today. */
export interface Rewriting {
  /** The new key, or that and a key in it; `null` where the key stays. */
  readonly to: readonly [string] | readonly [string, string] | null;
  /** What replaces the value. */
  readonly value?: string;
  /** Which part of the value replaces it. */
  readonly within?: string;
}
export type Edit = Rewriting | "remove";

/** An old word of a policy. */
export interface OldWord {
  readonly keys: Keys;
  /** `null` where a person has to decide. */
  readonly edit: Edit | null;
  readonly hint: string;
  /** What stands there instead, as in `when: { tool: [search] }`; `null` for nothing. */
  readonly now: string | null;
}

type Found = Omit<OldWord, "keys">;
type Written = Readonly<Record<string, unknown>>;

/** Every old word of a policy, right or wrong in the rest. */
export function oldWordsIn(input: unknown): readonly OldWord[] {
  const { tools, limits } = objectOr(input);
  const hasTiers = Object.values(objectOr(tools)).some((tool) => "tier" in objectOr(tool));
  const policy = { hasTiers, hasGroups: hasTiers && listOr(limits).some(hasOwnGroups) };
  return [
    ...Object.entries(objectOr(tools)).flatMap(([name, tool]) => inTool(objectOr(tool), ["tools", name], policy)),
    ...listOr(limits).flatMap((limit, i) => inLimit(objectOr(limit), ["limits", i], policy)),
  ];
}

interface PolicyFacts {
  /** Whether the policy has tiers of tools, so that `tier` is their dimension. Else it is one of the policy's own. */
  readonly hasTiers: boolean;
  /** Whether it has a dimension of its own that is named as tiers are today. */
  readonly hasGroups: boolean;
}

function hasOwnGroups(limit: unknown): boolean {
  const { per, count, overrides } = objectOr(limit);
  return [per, count].flat().includes("group") || whensOf(overrides).some((when) => "group" in when);
}

function whensOf(overrides: unknown): Written[] {
  return listOr(overrides).map((override) => objectOr(objectOr(override).when));
}

function inTool(tool: Written, keys: Keys, policy: PolicyFacts): OldWord[] {
  return Object.entries(tool).flatMap(([key, value]) => {
    const found = key === "tier" ? tierAs({ to: ["group"] }, value, policy) : null;
    const own = key === "volatile" ? moved(tool, key, { to: ["ignoreArgs"] }) : found;
    return own === null ? [] : [{ keys: [...keys, key], ...own }];
  });
}

function inLimit(limit: Written, keys: Keys, policy: PolicyFacts): OldWord[] {
  const found = Object.keys(limit).flatMap((key) => {
    const word = Object.hasOwn(LIMIT_WORDS, key) ? LIMIT_WORDS[key]?.(limit, policy) : null;
    return word === null || word === undefined ? [] : [{ keys: [...keys, key], ...word }];
  });
  return [...found, ...tiersIn(limit, keys, policy)];
}

/** The keys of a limit that changed; what stands there now is what it says. */
const LIMIT_WORDS: Readonly<Record<string, (limit: Written, policy: PolicyFacts) => Found | null>> = {
  match: (limit) => (isNames(limit.match) ? moved(limit, "match", { to: ["when", "tool"] }) : null),
  quotas: ({ quotas, per }, { hasTiers, hasGroups }) => {
    const last = listOr(per).at(-1);
    const plain = Object.values(objectOr(quotas)).filter((quota) => !isObject(quota));
    const isOld = isObject(quotas) && plain.length > 0 && plain.every(isQuota);
    if (!isOld || typeof last !== "string" || last.length > MAX_TEXT) return null;
    if (isUnclear(last, Object.keys(quotas))) return byHand(dimensionQuestion(quotas, per));
    const isMixed = Object.values(quotas).some(isObject);
    const to = ["quotas", last === "tier" && hasTiers && !hasGroups ? "group" : last] as const;
    return isMixed
      ? byHand(`Put each quota under its dimension: quotas: { ${last}: { … } }.`)
      : written({ to }, quotas);
  },
  otherwise: (limit) => {
    const { otherwise, algorithm, quota } = limit;
    if (otherwise !== "allow" && otherwise !== "deny") return null;
    if (quota !== undefined) return removed("quota is for all values that quotas does not name");
    if (otherwise === "deny" && algorithm === "elapsed")
      return byHand("Write a quota for all other values. No time at all is a limit of its own with quota: 0.");
    return written({ to: ["quota"], value: otherwise === "allow" ? "unlimited" : "0" }, undefined);
  },
  optional: (limit) => {
    const value = limit.optional === true ? "skip" : limit.optional === false ? "error" : null;
    return value === null ? null : moved(limit, "optional", { to: ["onMissing"], value });
  },
  ttl: (limit) => {
    if (!isObject(limit.ttl)) return isPlain(limit.ttl) ? moved(limit, "ttl", { to: ["resetAfterIdle"] }) : null;
    const isFromFirst = Object.keys(limit.ttl).join() === "fromFirst" && isPlain(limit.ttl.fromFirst);
    return isFromFirst ? moved(limit, "ttl", { to: ["resetAfter"], within: "fromFirst" }) : null;
  },
  noticeAt: (limit) => (isPlain(limit.noticeAt) ? moved(limit, "noticeAt", { to: ["notice", "at"] }) : null),
  action: ({ action, mode, algorithm }) => {
    if (algorithm !== "streak" || (action !== "warn" && action !== "deny")) return null;
    if (action === "deny") return removed("a limit denies unless its mode is warn or shadow");
    return mode === undefined
      ? written({ to: ["mode"], value: "warn" }, undefined)
      : removed(`the mode is ${shown(mode)} already`);
  },
  align: ({ align, window }) => {
    const rest = isCalendarWord(window) ? "" : "; write window: day, week or month";
    return align === "calendar" ? removed(`windows of a day, a week or a month are a calendar's${rest}`) : null;
  },
  count: (limit, policy) => {
    const isTier = limit.count === "tier" && policy.hasTiers;
    if (isTier) return tierAs({ to: ["distinct"], value: "group" }, "group", policy);
    return isPlain(limit.count) ? moved(limit, "count", { to: ["distinct"] }) : null;
  },
  lease: (limit) => {
    if (!isPlain(limit.lease)) return null;
    return moved(limit, "lease", limit.lease === "auto" ? { to: ["borrow"] } : { to: ["hold", "lease"] });
  },
  algorithm: ({ algorithm }) => {
    const value = algorithm === "gcra" ? "token-bucket" : algorithm === "quota" ? "budget" : null;
    if (value === null) return null;
    const now = `algorithm: ${value}`;
    return { edit: { to: null, value }, hint: `Write ${now}.`, now };
  },
};

/** The dimension of a tool's tier, wherever a limit names it. */
function tiersIn({ per, overrides }: Written, keys: Keys, policy: PolicyFacts): OldWord[] {
  if (!policy.hasTiers) return [];
  const inPer = listOr(per).flatMap((dimension, n): OldWord[] =>
    dimension === "tier"
      ? [{ keys: [...keys, "per", n], ...tierAs({ to: null, value: "group" }, undefined, policy) }]
      : [],
  );
  const inWhens = whensOf(overrides).flatMap((when, n): OldWord[] =>
    "tier" in when
      ? [{ keys: [...keys, "overrides", n, "when", "tier"], ...tierAs({ to: ["group"] }, when.tier, policy) }]
      : [],
  );
  return [...inPer, ...inWhens];
}

function tierAs(edit: Rewriting, value: unknown, { hasGroups }: PolicyFacts): Found {
  if (hasGroups)
    return byHand('Write "group" for "tier". First give your own dimension "group" another name, also in your calls.');
  return written(edit, value);
}

/** A value under a new key, unless the limit has that key already. */
function moved(around: Written, key: string, edit: Rewriting): Found {
  const [to, inner] = edit.to ?? [];
  const value = edit.within === undefined ? around[key] : (around[key] as Written)[edit.within];
  if (to !== undefined && to in around) {
    const text = inner === undefined ? `"${to}" is there already` : `write ${inner}: ${valueText(value)} in "${to}"`;
    return byHand(`Remove it: ${text}.`);
  }
  return written(edit, value);
}

function byHand(hint: string): Found {
  return { edit: null, hint, now: null };
}

function removed(why: string): Found {
  return { edit: "remove", hint: `Remove it: ${why}.`, now: null };
}

function written(edit: Rewriting, value: unknown): Found {
  const text = edit.value ?? valueText(value);
  const [key, inner] = edit.to ?? [];
  const entry = inner === undefined ? `${key}: ${text}` : `${key}: { ${inner}: ${text} }`;
  const now = key === undefined ? text : entry;
  return { edit, hint: `Write ${now}.`, now };
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return `[${entriesText(value.map(shown))}]`;
  if (!isObject(value)) return plainText(value);
  return `{ ${entriesText(Object.entries(value).map(([key, inner]) => `${shown(key)}: ${plainText(inner)}`))} }`;
}

function plainText(value: unknown): string {
  return typeof value === "string" && !/^[\w.-]+$/.test(value) ? shown(value) : textOf(value).slice(0, MAX_TEXT);
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string");
}

/** A value that needs no quotes wherever it stands, as all right ones are. */
function isPlain(value: unknown): boolean {
  return typeof value === "number" || (typeof value === "string" && /^[\w.%-]{1,100}$/.test(value));
}

const PATTERN_OF_TOOLS = "This name is a pattern now: it is for all tools that match it.";
const EXCLUDED_TOOL = 'A name that begins with "!" now means all tools but this one.';
const WHOLE_VALUES = "quotas takes whole values only. Write overrides for patterns.";
const NO_ARGS = '"when" no longer takes args. Write a limit that is per args.';
const PATTERNS = 'In "when", * now stands for any characters, and ! at the beginning for all other values.';

/** What an old policy says in words that mean something else today. Only a person knows which is meant. */
export function changedMeanings(input: unknown): readonly Pick<OldWord, "keys" | "hint">[] {
  const { tools, limits } = objectOr(input);
  const patterns = Object.keys(objectOr(tools)).filter((name) => name.includes("*"));
  return [
    ...patterns.map((name) => ({ keys: ["tools", name], hint: PATTERN_OF_TOOLS })),
    ...listOr(limits).flatMap((limit, i) =>
      [...changedIn(objectOr(limit))].map(([hint, ...keys]) => ({ keys: ["limits", i, ...keys], hint })),
    ),
  ];
}

function* changedIn({ match, overrides, quotas }: Written): Generator<readonly [hint: string, ...keys: Keys]> {
  for (const [n, name] of listOr(match).entries()) {
    if (textOf(name).startsWith("!")) yield [EXCLUDED_TOOL, "match", n];
  }
  for (const value of Object.keys(objectOr(quotas))) {
    if (value.includes("*")) yield [WHOLE_VALUES, "quotas", value];
  }
  for (const [n, when] of whensOf(overrides).entries()) {
    for (const [dimension, value] of Object.entries(when)) {
      const isChanged = dimension === "args" || /^!|\*/.test(textOf(value));
      if (isChanged) yield [dimension === "args" ? NO_ARGS : PATTERNS, "overrides", n, "when", dimension];
    }
  }
}

// Values that are right, and very probably not what was meant: plans where the ids of users stand, dollars that are millionths,
// time zones by their abbreviations, limits that refuse the calls of tools.

import { isPlanWord } from "../kernel/policy/quota-hints.ts";
import { MONEY_UNIT } from "../kernel/quantity.ts";
import type { Known, KnownLimit } from "./known.ts";
import { type Keys, ofKey, ofValue, quoted, type Warnings } from "./warning.ts";

/** Dimensions whose values are ids. */
const WITH_IDS = ["tenant", "user", "agent"];
/** A cent, in millionths of a dollar. */
const CENT = 10_000;
/** Units of which an amount such as $0.05 cannot be written. */
const DOLLARS = new Set(["usd", "dollar", "dollars", "cent", "cents"]);
/** Abbreviations that are other zones than most people mean, and the zones that these mean. */
const ZONES: Readonly<Record<string, string>> = {
  EST: "America/New_York",
  MST: "America/Denver",
  BST: "Europe/London",
};

/** Of the values of one limit. */
export function* valueWarnings(of: KnownLimit, known: Known): Warnings {
  yield* planWarnings(of);
  yield* modelWarnings(of, known);
  yield* moneyWarnings(of);
}

/** Of plans that stand where the ids of users or tenants do. */
function* planWarnings({ limit, keys }: KnownLimit): Warnings {
  const { when = {}, quotas = {}, overrides = [] } = limit;
  const selectors: (readonly [Keys, Readonly<Record<string, unknown>>])[] = [
    [[...keys, "when"], when],
    ...overrides.map((override, n) => [[...keys, "overrides", n, "when"], override.when] as const),
  ];
  for (const dimension of WITH_IDS) {
    const hint = `If it is a plan, write "plan" instead of "${dimension}".`;
    const message = (value: unknown) => `${quoted(String(value))} is taken as the id of one ${dimension}.`;
    for (const value of Object.keys(quotas[dimension] ?? {}).filter(isPlanWord)) {
      yield ofKey("wrong-dimension", [...keys, "quotas", dimension, value], message(value), hint);
    }
    for (const [at, selector] of selectors) {
      const value = [selector[dimension]].flat().find((each) => isPlanWord(String(each).replace(/^!/, "")));
      if (value !== undefined) yield ofKey("wrong-dimension", [...at, dimension], message(value), hint);
    }
  }
}

/** Of a limit per model that refuses all calls of tools. */
function* modelWarnings({ limit, keys }: KnownLimit, { input }: Known): Warnings {
  const { per, when = {}, onMissing = input.defaults?.onMissing ?? "error" } = limit;
  if (!per.includes("model") || onMissing !== "error" || "model" in when || "tool" in when) return;
  const message = "Calls of tools have no model, and this limit refuses them.";
  const hint = 'Write when: { model: "*" }, or onMissing: skip.';
  yield ofValue("wrong-dimension", [...keys, "per", per.indexOf("model")], message, hint);
}

/** Of money: numbers that were probably meant as dollars. */
function* moneyWarnings({ limit, keys, unit }: KnownLimit): Warnings {
  if (unit !== null && DOLLARS.has(unit)) {
    const message = `Amounts of ${quoted(unit)} are whole, so that no price below 1 can be written.`;
    yield ofValue(
      "unusual-value",
      [...keys, "unit"],
      message,
      `Write "unit: ${MONEY_UNIT}", and amounts such as $0.05.`,
    );
  }
  if (unit !== MONEY_UNIT) return;
  const { quota, quotas = {}, overrides = [] } = limit;
  const amounts: (readonly [Keys, unknown])[] = [
    [["quota"], quota],
    ...Object.entries(quotas).flatMap(([dimension, byValue]) =>
      Object.entries(byValue).map(([value, amount]) => [["quotas", dimension, value], amount] as const),
    ),
    ...overrides.map((override, n) => [["overrides", n, "quota"], override.quota] as const),
  ];
  for (const [at, amount] of amounts) {
    if (typeof amount !== "number" || amount === 0 || amount >= CENT) continue;
    const message = `${amount} is less than a cent: usd_micros are millionths of a dollar.`;
    yield ofValue("unusual-value", [...keys, ...at], message, `For dollars write $${amount}.`);
  }
}

/** Of time zones by an abbreviation that other people understand in another way. */
export function* zoneWarnings({ input }: Known): Warnings {
  const zones: (readonly [Keys, string | undefined])[] = [
    [["defaults", "timezone"], input.defaults?.timezone],
    ...input.limits.map(
      (limit, i) => [["limits", i, "timezone"], "timezone" in limit ? limit.timezone : undefined] as const,
    ),
  ];
  for (const [keys, zone = ""] of zones) {
    const meant = Object.hasOwn(ZONES, zone) ? ZONES[zone] : undefined;
    if (meant === undefined) continue;
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions();
    const message = `${quoted(zone)} is ${timeZone === zone ? "a zone without summer time" : `the zone ${timeZone}`}.`;
    yield ofValue("unusual-value", keys, message, `Did you mean "${meant}"?`);
  }
}

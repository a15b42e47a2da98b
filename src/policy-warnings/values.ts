// Values that are right, and very probably not what was meant: plans where the ids of users stand, dollars that are millionths,
// time zones by their abbreviations, limits that refuse the calls of tools.

import { isPlanWord } from "../kernel/policy/quota-hints.ts";
import { MONEY_UNIT } from "../kernel/quantity.ts";
import { didYouMean } from "../kernel/spelling.ts";
import type { Known, KnownLimit } from "./known.ts";
import { ofKey, ofValue, quoted, type Warnings } from "./warning.ts";

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

/** Of plans that stand where the ids of users or tenants do. */
export function* planWarnings({ whens, quotas }: KnownLimit): Warnings {
  for (const dimension of WITH_IDS) {
    const hint = `If it is a plan, write "plan" instead of "${dimension}".`;
    const message = (value: unknown) => `${quoted(String(value))} is taken as the id of one ${dimension}.`;
    for (const { name, keys } of quotas.filter((each) => each.dimension === dimension && isPlanWord(each.name))) {
      yield ofKey("wrong-dimension", keys, message(name), hint);
    }
    for (const { when, keys } of whens) {
      const value = [when[dimension]].flat().find((each) => isPlanWord(String(each).replace(/^!/, "")));
      if (value !== undefined) yield ofKey("wrong-dimension", [...keys, dimension], message(value), hint);
    }
  }
}

/** Of a limit per model that refuses all calls of tools. */
export function* modelWarnings({ limit, keys }: KnownLimit, { input }: Known): Warnings {
  const { per, when = {}, onMissing = input.defaults?.onMissing ?? "error" } = limit;
  if (!per.includes("model") || onMissing !== "error" || "model" in when || "tool" in when) return;
  const message = "Calls of tools have no model, and this limit refuses them.";
  const hint = 'Write when: { model: "*" }, or onMissing: skip.';
  yield ofValue("wrong-dimension", [...keys, "per", per.indexOf("model")], message, hint);
}

/** Of money: numbers that were probably meant as dollars. */
export function* moneyWarnings({ limit, keys, unit, quotas }: KnownLimit): Warnings {
  if (unit !== null && DOLLARS.has(unit)) {
    const message = `Amounts of ${quoted(unit)} are whole, so that no price below 1 can be written.`;
    const hint = `Write "unit: ${MONEY_UNIT}", and amounts such as $0.05.`;
    yield ofValue("unusual-value", [...keys, "unit"], message, hint);
  }
  if (unit !== MONEY_UNIT) return;
  const { quota, overrides = [] } = limit;
  const ofOverrides = overrides.map(({ quota }, n) => ({ keys: [...keys, "overrides", n, "quota"], quota }));
  for (const { keys: at, quota: amount } of [{ keys: [...keys, "quota"], quota }, ...quotas, ...ofOverrides]) {
    if (typeof amount !== "number" || amount === 0 || amount >= CENT) continue;
    const message = `${amount} is less than a cent: usd_micros are millionths of a dollar.`;
    yield ofValue("unusual-value", at, message, `For dollars write $${amount}.`);
  }
}

/** Of time zones by an abbreviation that other people understand in another way. */
export function* zoneWarnings({ input, limits }: Known): Warnings {
  const ofLimits = limits.map(({ limit, keys }) => [keys, "timezone" in limit ? limit.timezone : undefined] as const);
  for (const [keys, zone = ""] of [[["defaults"], input.defaults?.timezone] as const, ...ofLimits]) {
    const meant = Object.hasOwn(ZONES, zone) ? ZONES[zone] : undefined;
    if (meant === undefined) continue;
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: zone }).resolvedOptions();
    const message = `${quoted(zone)} is ${timeZone === zone ? "a zone without summer time" : `the zone ${timeZone}`}.`;
    yield ofValue("unusual-value", [...keys, "timezone"], message, didYouMean(meant));
  }
}

// Quotas without their dimension, and words that are plans: which dimension is meant is often not the one that a limit is per.

import { DIMENSIONS } from "../call.ts";
import { DURATION_PATTERN } from "../duration.ts";
import { entriesText, isObject, listOr, shown } from "./place.ts";
import { QUANTITY_PATTERN } from "../quantity.ts";

const PLANS = new Set("free trial basic starter pro premium business enterprise paid".split(" "));

/** Whether a word is mostly the name of a plan, and not the id of a user or a tenant. */
export function isPlanWord(word: unknown): boolean {
  return typeof word === "string" && PLANS.has(word.toLowerCase());
}

/** Whether a value is a quota, as all quotas were that had no dimension. */
export function isQuota(value: unknown): boolean {
  if (typeof value !== "string") return typeof value === "number";
  return value === "unlimited" || QUANTITY_PATTERN.test(value) || DURATION_PATTERN.test(value);
}

/** Whether values without a dimension may be of another one than the last one that the limit is per. */
export function isUnclear(last: string, values: readonly string[]): boolean {
  if (last === "tool") return values.some(isPlanWord);
  return (DIMENSIONS as readonly string[]).includes(last);
}

export function dimensionQuestion(quotas: Readonly<Record<string, unknown>>, per: unknown): string {
  const plain = Object.entries(quotas).filter(([, quota]) => !isObject(quota));
  const written = plain.map(([value, quota]) => `${shown(value)}: ${isQuota(quota) ? quota : "…"}`);
  const last = listOr(per).at(-1);
  const own =
    typeof last === "string" ? last.slice(0, 32) : plain.some(([value]) => isPlanWord(value)) ? "plan" : "tool";
  const names = new Set(typeof last === "string" && isUnclear(own, Object.keys(quotas)) ? ["plan", own] : [own]);
  const choices = [...names].map((name) => `quotas: { ${name}: { ${entriesText(written)} } }`);
  return `Name the dimension that has these values: ${choices.join(", or ")}.`;
}

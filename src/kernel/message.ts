// What the model is told. Made from the policy's own names and numbers, never from what a caller or a model wrote.

import type { LimitSpec } from "./algorithms/registry.ts";
import type { Dimension } from "./call.ts";
import type { Verdict } from "./decision.ts";
import { formatDuration } from "./duration.ts";
import type { Limit } from "./policy.ts";

/** Most characters of a text for the model. */
const MAX_LENGTH = 300;
/** Longer lists of dimensions are left out: names of the policy's own may be long, and many. */
const MAX_SCOPE = 42;

/** What a text is made from. */
export interface About {
  readonly limit: Pick<Limit, "per" | "message">;
  readonly verdict: Verdict;
  readonly algorithm: LimitSpec["algorithm"];
  /** Most units that can ever be free at once. */
  readonly capacity: number;
}

/** Why a call is denied, whether waiting helps and how long, and what to do instead: at most 300 characters. */
export function denialMessage({ limit: { per, message }, verdict, algorithm, capacity }: About): string {
  const { limit, unit, cost, quota, remaining, retryAfterMs, retryable } = verdict;
  if (message !== null) return filled(message, verdict);
  const scope = scopeOf(per);
  if (quota === 0) return `Denied: ${limit} allows no ${unit}${scope}. Do not try again; go on without this tool.`;
  if (algorithm === "elapsed") {
    return `Denied by ${limit}: the ${formatDuration(capacity)}${scope} are over. Finish with what you have.`;
  }
  if (algorithm === "streak") return `Denied by ${limit}: ${rowOf(verdict, scope)}. Do something else, or finish.`;
  if (retryAfterMs === null) {
    return `Denied: this call takes ${cost} ${unit}, more than ${limit} ever has free at once. Ask for less.`;
  }
  const wait = formatDuration(retryAfterMs);
  if (algorithm === "concurrency" && remaining === 0) {
    const why = `${capacity} ${unit}${scope} are under way, as many as may be at once`;
    return `Denied by ${limit}: ${why}. Try again when one has ended, in ${wait} at the latest, or go on without this tool.`;
  }
  const left = `${remaining === 0 ? "no" : remaining} ${unit}${scope} left`;
  const why = remaining === 0 ? left : `${left}, and this call takes ${cost}`;
  const advice = retryable
    ? `Try again in ${wait}, or go on without this tool.`
    : "Waiting does not help: go on without this tool, or finish with what you have.";
  return `Denied by ${limit}: ${why}. ${advice}`;
}

/** Why a call is denied that the store was not asked about: at most 300 characters. */
export function awayMessage({ limit, retryAfterMs }: Verdict): string {
  const wait = formatDuration(retryAfterMs ?? 0);
  return `Denied for now: ${limit} cannot be checked at the moment. Try again in ${wait}, or go on without this tool.`;
}

/** That an allowed call goes on with what did not get on: at most 300 characters. */
export function warning({ limit: { per, message }, verdict }: About): string {
  if (message !== null) return filled(message, verdict);
  return `Careful (${verdict.limit}): ${rowOf(verdict, scopeOf(per))}. Do something else.`;
}

function rowOf({ unit, quota }: Verdict, scope: string): string {
  return unit === "errors"
    ? `the last ${quota} calls${scope} failed`
    : `the last ${quota} calls${scope} had the same result`;
}

/** How little is left after an allowed call: at most 300 characters. */
export function nearMessage({ limit: { per }, verdict, algorithm, capacity }: About): string {
  const { limit, unit, remaining } = verdict;
  const scope = scopeOf(per);
  if (algorithm === "elapsed") return `Only ${formatDuration(remaining)}${scope} left (${limit}).`;
  return remaining === 0
    ? `This was the last of ${capacity} ${unit}${scope} (${limit}). Finish with what you have.`
    : `Only ${remaining} of ${capacity} ${unit}${scope} left (${limit}).`;
}

/** The words of a text of the policy's own, as `{remaining}`. */
export const MESSAGE_WORDS = ["limit", "unit", "cost", "quota", "remaining", "retryAfter"] as const;

function filled(template: string, verdict: Verdict): string {
  const { retryAfterMs } = verdict;
  const words = { ...verdict, retryAfter: retryAfterMs === null ? "never" : formatDuration(retryAfterMs) };
  const text = template.replace(/\{(\w+)\}/g, (_, word: (typeof MESSAGE_WORDS)[number]) => String(words[word]));
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 1)}…`;
}

function scopeOf(per: readonly Dimension[]): string {
  const list = per.length < 2 ? per.join("") : `${per.slice(0, -1).join(", ")} and ${per.at(-1)}`;
  return list === "" || list.length > MAX_SCOPE ? "" : ` per ${list}`;
}

// What the model is told. Made from the policy's own names and numbers, never from what a caller or a model wrote.

import type { Dimension } from "./call.ts";
import type { Verdict } from "./decision.ts";
import { formatDuration } from "./duration.ts";

/** Why a call is denied, whether waiting helps and how long, and what to do instead: at most 300 characters. */
export function denialMessage(per: readonly Dimension[], verdict: Verdict): string {
  const { limit, unit, cost, quota, remaining, retryAfterMs, retryable } = verdict;
  const scope = per.length === 0 ? "" : ` per ${listOf(per)}`;
  if (quota === 0) return `Denied: ${limit} allows no ${unit}${scope}. Do not try again; go on without this tool.`;
  if (retryAfterMs === null) {
    return `Denied: this call takes ${cost} ${unit}, more than ${limit} ever has free at once. Ask for less.`;
  }
  const left = `${remaining === 0 ? "no" : remaining} ${unit}${scope} left`;
  const why = remaining === 0 ? left : `${left}, and this call takes ${cost}`;
  const advice = retryable
    ? `Try again in ${formatDuration(retryAfterMs)}, or go on without this tool.`
    : "Waiting does not help: go on without this tool, or finish with what you have.";
  return `Denied by ${limit}: ${why}. ${advice}`;
}

function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

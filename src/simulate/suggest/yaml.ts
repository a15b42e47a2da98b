// A suggestion as a policy in YAML that people read and change: each limit with how it was found, and what it denies.

import { amount, listed } from "../../kernel/words.ts";
import type { LimitInput, SuggestedLimit } from "./limits.ts";
import { type Effect, type Effects, ENOUGH_SESSIONS, type Suggestion } from "./suggest.ts";

/** The first line of every suggestion: a file that begins so may be written again. */
export const FIRST_LINE = "# Suggested by `tollgate simulate --suggest`.";
/** Characters of a line. */
const WIDTH = 118;
const MAX_NAMES = 5;

export function yamlOf(suggestion: Suggestion, effects: Effects, trace: string): string {
  const { mode, limits } = suggestion;
  return [
    FIRST_LINE,
    ...comment(about(suggestion, trace)),
    "version: 1",
    "partition: session",
    ...(mode === "enforce" ? [] : [`defaults: { mode: ${mode} }`]),
    "limits:",
    ...limits.flatMap((limit) => [
      ...comment(whyOf(limit, suggestion, effects)).map((line) => `  ${line}`),
      `  - ${flow(limit.limit)}`,
    ]),
    "",
  ].join("\n");
}

function about({ sessions, learnedFrom, isOutcomeKnown, outliers, mode }: Suggestion, trace: string): string {
  const sentences = [
    isOutcomeKnown
      ? `Learned from the ${amount(learnedFrom, "sessions")} of ${oneLine(trace)} that succeeded, of ${sessions}.`
      : `Learned from ${amount(learnedFrom, "sessions")} of ${oneLine(trace)}, which does not say which of them succeeded (\`"ok": true\`).`,
  ];
  if (outliers.length > 0) {
    const more = outliers.length > MAX_NAMES ? [`${outliers.length - MAX_NAMES} more`] : [];
    const names = listed([...outliers.slice(0, MAX_NAMES).map(oneLine), ...more]);
    sentences.push(`Left out as much longer than the others: ${names}.`);
  }
  if (learnedFrom < ENOUGH_SESSIONS) {
    sentences.push(
      `So few sessions say little about others: with fewer than ${ENOUGH_SESSIONS}, expect wrong denials.`,
    );
  }
  if (mode === "shadow") sentences.push("So it only counts. Remove `defaults` when its counts look right to you.");
  if (mode === "warn") sentences.push("So it only warns. Remove `defaults` when you have seen more.");
  sentences.push("Each limit says how it was found and what it would have denied. Change what you know better.");
  return sentences.join(" ");
}

function whyOf({ limit, why }: SuggestedLimit, { isOutcomeKnown }: Suggestion, { ok, others }: Effects): string {
  const denies = ({ calls, deniedBy }: Effect) => `${deniedBy.get(limit.name) ?? 0} of ${amount(calls, "calls")}`;
  const effect = isOutcomeKnown
    ? `In this trace it denies ${denies(ok)} of sessions that succeeded, and ${denies(others)} of the others.`
    : `In this trace it would deny ${denies(others)}.`;
  return [...why.map(oneLine), effect].join(" ");
}

/** Lines of a comment, wrapped between words. */
function comment(text: string): string[] {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > WIDTH && line !== "#") {
      lines.push(line);
      line = "#";
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

/** A limit on one line. */
function flow(limit: LimitInput): string {
  const parts = Object.entries(limit).map(([key, value]) => `${key}: ${flowValue(value)}`);
  return `{ ${parts.join(", ")} }`;
}

function flowValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flowValue).join(", ")}]`;
  if (typeof value !== "object" || value === null) return typeof value === "string" ? scalar(value) : String(value);
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${scalar(key)}: ${flowValue(inner)}`)
    .join(", ")} }`;
}

/** A text as it is where YAML reads it as that text, else in quotes. */
function scalar(text: string): string {
  return /^([a-zA-Z][\w-]*|\d+[smhd])$/.test(text) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
    ? text
    : JSON.stringify(text);
}

/** Names come from the trace: none may end the comment. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, "?");
}

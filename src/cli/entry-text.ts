// Entries of a decision log as lines for a terminal.

import { formatDuration } from "../kernel/duration.ts";
import { amount, grouped, isMoney } from "../kernel/words.ts";
import type { DecisionEntry, EventEntry, LogEntry, LoggedVerdict } from "../log/entry.ts";
import { actorText, eventDetail } from "../log/event-words.ts";
import { coloured } from "./colour.ts";

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });

/** An instant in the time zone of this machine; of another day with its date. */
export function timeText(atMs: number, nowMs: number): string {
  const time = TIME.format(atMs);
  return DAY.format(atMs) === DAY.format(nowMs) ? time : `${DAY.format(atMs)} ${time}`;
}

/** An entry as a line: when, what came of it, the tool, whose, why, and its id. */
export function entryLine(entry: LogEntry, nowMs: number): string {
  const columns = entry.kind === "decision" ? decisionColumns(entry) : eventColumns(entry);
  return [timeText(entry.atMs, nowMs), ...columns, coloured("dim", entry.id)].map(printable).join("  ");
}

function decisionColumns(entry: DecisionEntry): string[] {
  const { allowed, tool, dimensions } = entry;
  const outcome = allowed ? coloured("green", "allowed") : coloured("red", "denied ");
  return [outcome, tool.padEnd(20), namesText(dimensions).padEnd(36), whyText(entry)];
}

function whyText({ verdicts, deniedBy, retryAfterMs, allowed }: DecisionEntry): string {
  const verdict = verdicts.find(({ limit }) => limit === deniedBy) ?? fullest(verdicts);
  if (verdict === undefined) return "no limit applies";
  const opens = allowed
    ? ""
    : retryAfterMs === null
      ? "; not by waiting"
      : `; open after ${formatDuration(retryAfterMs)}`;
  return `${verdict.limit} ${usedText(verdict)}${opens}`;
}

function fullest(verdicts: readonly LoggedVerdict[]): LoggedVerdict | undefined {
  const fill = ({ capacity, remaining }: LoggedVerdict) =>
    capacity === null || remaining === null ? -1 : 1 - remaining / Math.max(1, capacity);
  return verdicts.toSorted((a, b) => fill(b) - fill(a))[0];
}

function usedText({ capacity, remaining, unit }: LoggedVerdict): string {
  if (capacity === null || remaining === null) return "unlimited";
  return ofText(Math.max(0, capacity - remaining), capacity, unit);
}

/** `3 of 20 calls`, `$3.10 of $5.00`. */
export function ofText(used: number, capacity: number, unit: string): string {
  return `${isMoney(unit) ? amount(used, unit, "up") : grouped(used)} of ${amount(capacity, unit, "down")}`;
}

function eventColumns(entry: EventEntry): string[] {
  const { type, limit, dimensions, actor, reason } = entry;
  const by = [actor === null ? "" : `by ${actorText(actor)}`, reason === null ? "" : JSON.stringify(reason)];
  const words = [limit ?? "", namesText(dimensions), eventDetail(entry), ...by].filter((text) => text !== "");
  return [coloured("yellow", type), words.join(" ")];
}

/** Dimensions as the options of a command would say them. */
export function namesText(dimensions: Readonly<Record<string, string>>): string {
  return Object.entries(dimensions)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

/** Without control characters that a caller's name may have. Colours are this program's own. */
function printable(text: string): string {
  return text.replace(/(?!\x1b\[\d+m)\p{Cc}/gu, "?");
}

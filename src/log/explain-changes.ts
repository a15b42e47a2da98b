// What was changed by hand in the bucket that denied a call, before the call: grants, resets, and who made them.

import { amount } from "../kernel/words.ts";
import type { DecisionEntry, EventEntry, LogEntry, LoggedVerdict } from "./entry.ts";
import { actorText } from "./event-words.ts";

/** Most changes that are named. */
const MAX_NAMED = 3;

/** A sentence with the last changes, the newest first; the empty text: there are none. */
export function changesOf(
  entry: DecisionEntry,
  verdict: LoggedVerdict,
  before: readonly LogEntry[],
  timeOf: (ms: number) => string,
): string {
  const changes = changesBefore(entry, verdict, before);
  const said = changes.slice(0, MAX_NAMED).map((change) => {
    const { actor, reason, atMs } = change;
    const by = actor === null ? "" : ` by ${actorText(actor)}`;
    return `${whatOf(change, verdict.unit)} at ${timeOf(atMs)}${by}${reason === null ? "" : ` (${JSON.stringify(reason)})`}`;
  });
  return said.length === 0 ? "" : `Changed by hand: ${said.join("; ")}.`;
}

/** The changes of the bucket before a call, the newest first. */
export function changesBefore(
  entry: DecisionEntry,
  { limit, per }: LoggedVerdict,
  before: readonly LogEntry[],
): EventEntry[] {
  const names = per.filter((name) => name !== "args");
  const valueIn = (name: string) => (name === "tool" ? entry.tool : entry.dimensions[name]);
  return before.filter((other): other is EventEntry => {
    if (other.kind !== "event" || other.limit !== limit || !other.type.startsWith("bucket.")) return false;
    return other.atMs <= entry.atMs && names.every((name) => other.dimensions[name] === valueIn(name));
  });
}

function whatOf({ type, data }: EventEntry, unit: string): string {
  const { units } = (data.grant ?? {}) as { readonly units?: number };
  if (type === "bucket.granted" && units !== undefined) return `granted ${amount(units, unit)}`;
  return type.slice("bucket.".length);
}

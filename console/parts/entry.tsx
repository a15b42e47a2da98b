// An entry of the timeline in a row: what came of it, whose it is, and why.

import type { DecisionEntry, EventEntry, LogEntry } from "../answers.ts";
import { opensText, tightest, verdictText } from "../format.ts";
import { eventText, outcomeOf } from "../words.ts";
import { Dimensions } from "./dimensions.tsx";

export function entryClass(entry: LogEntry): string {
  return `is-${outcomeOf(entry).kind}`;
}

export function Outcome({ entry }: { readonly entry: LogEntry }) {
  const { kind, text } = outcomeOf(entry);
  return <span class={`badge ${kind}`}>{text}</span>;
}

/** A call's tool has a column of its own; that of a bucket stands with its other dimensions. */
export function Whose({ entry }: { readonly entry: LogEntry }) {
  if (entry.kind === "event" && entry.limit === null) return <span class="quiet">-</span>;
  return <Dimensions of={entry.dimensions} without={entry.kind === "decision" ? ["tool", "group"] : ["group"]} />;
}

export function What({ entry }: { readonly entry: LogEntry }) {
  return entry.kind === "decision" ? <Why entry={entry} /> : <Event entry={entry} />;
}

function Why({ entry }: { readonly entry: DecisionEntry }) {
  const limit = tightest(entry);
  if (limit === undefined) return <span class="quiet">no limit applies</span>;
  const opens = opensText(entry);
  return (
    <>
      <span class="limit">{limit.limit}</span> {verdictText(limit)}
      {opens === "" ? "" : <span class="quiet">; {opens}</span>}
    </>
  );
}

function Event({ entry }: { readonly entry: EventEntry }) {
  return (
    <>
      {entry.limit !== null && <span class="limit">{entry.limit} </span>}
      {eventText(entry)}
    </>
  );
}

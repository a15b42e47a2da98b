// Why a call was decided as it was: in words, then each limit, then the entry as it was logged.

import { useEffect, useRef, useState } from "preact/hooks";
import { hrefOf } from "../address.ts";
import type { DecisionEntry, Explained, LogEntry, LoggedVerdict } from "../answers.ts";
import { type ApiError, get } from "../api.ts";
import { timeOf, verdictText, withTimes } from "../format.ts";
import { eventText, outcomeOf } from "../words.ts";
import { Outcome } from "./entry.tsx";
import { Failure } from "./note.tsx";
import { Table } from "./table.tsx";

interface ExplanationProps {
  readonly id: string;
  /** As the list has it, where it does. */
  readonly known: LogEntry | undefined;
  readonly onClose: () => void;
}

export function Explanation({ id, known, onClose }: ExplanationProps) {
  const isEvent = known?.kind === "event";
  const [explained, setExplained] = useState<Explained | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus();
    if (isEvent) return;
    const stop = new AbortController();
    get<Explained>(`explain/${encodeURIComponent(id)}`, {}, stop.signal)
      .then(setExplained)
      .catch((reason) => stop.signal.aborted || setError(reason));
    return () => stop.abort();
  }, [id, isEvent]);
  const entry = explained?.entry ?? known;
  return (
    <aside class="explanation" aria-labelledby="why">
      <div class="bar">
        <h2 id="why" ref={heading} tabIndex={-1}>
          {entry === undefined ? "Why" : <Outcome entry={entry} />}{" "}
          {entry?.kind === "decision" && <code>{entry.tool}</code>}
        </h2>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      <Failure error={error} />
      {!isEvent && explained === null && error === null && <p class="quiet">Loading …</p>}
      {explained !== null && <Words of={explained} />}
      {known?.kind === "event" && (
        <p>
          {outcomeOf(known).text} at {timeOf(known.atMs, Date.now())}: {eventText(known)}
        </p>
      )}
      {explained !== null && <Limits of={explained.entry} />}
      {entry !== undefined && <Logged entry={entry} />}
    </aside>
  );
}

function Words({ of: { entry, what, rule, stood, opens, helps } }: { readonly of: Explained }) {
  const { session } = entry.dimensions;
  return (
    <>
      <p>{withTimes(what, Date.now())}</p>
      <dl class="parts">
        {rule !== null && <Part title="Rule" lines={[rule]} />}
        <Part title={entry.allowed ? "Limits" : "How it stood"} lines={stood} />
        {opens !== null && <Part title="When it opens" lines={[opens]} />}
        {helps.length > 0 && (
          <div>
            <dt>What helps</dt>
            {helps.map(({ text, command }) => (
              <dd key={text}>
                {text}
                {command !== null && <pre>{command}</pre>}
              </dd>
            ))}
          </div>
        )}
      </dl>
      {session !== undefined && (
        <p>
          <a href={hrefOf("who", { session })}>Session {session}: its buckets and calls, grant or reset</a>
        </p>
      )}
    </>
  );
}

function Part({ title, lines }: { readonly title: string; readonly lines: readonly string[] }) {
  if (lines.length === 0) return null;
  return (
    <div>
      <dt>{title}</dt>
      {lines.map((line) => (
        <dd key={line}>{withTimes(line, Date.now())}</dd>
      ))}
    </div>
  );
}

function Limits({ of: { verdicts, allowed } }: { readonly of: DecisionEntry }) {
  // Those of an allowed call stand in its words.
  if (allowed || verdicts.length < 2) return null;
  return (
    <>
      <h3>All limits</h3>
      <Table
        caption="Each limit that applied"
        rows={verdicts}
        keyOf={({ limit }: LoggedVerdict) => limit}
        columns={[
          { title: "Limit", isHead: true, cell: ({ limit }) => limit },
          { title: "After the call", cell: (verdict) => verdictText(verdict) },
          { title: "Says", cell: ({ allowed, exceeded, mode }) => (allowed ? (exceeded ? mode : "allow") : "deny") },
        ]}
        empty="No limit applied."
      />
    </>
  );
}

function Logged({ entry }: { readonly entry: LogEntry }) {
  return (
    <details>
      <summary>As it was logged</summary>
      <pre>{JSON.stringify(entry, null, 2)}</pre>
    </details>
  );
}

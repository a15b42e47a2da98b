// Why a call was decided as it was: in words, then each limit, then the entry as it was logged.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Explained, LoggedVerdict, Me } from "../answers.ts";
import { type ApiError, get } from "../api.ts";
import { hrefOf } from "../address.ts";
import { verdictText } from "../format.ts";
import { Failure } from "./note.tsx";
import { Table } from "./table.tsx";

interface ExplanationProps {
  readonly id: string;
  readonly me: Me;
  readonly onClose: () => void;
}

export function Explanation({ id, onClose }: ExplanationProps) {
  const [explained, setExplained] = useState<Explained | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    const stop = new AbortController();
    get<Explained>(`explain/${encodeURIComponent(id)}`, {}, stop.signal)
      .then(setExplained)
      .catch((reason) => stop.signal.aborted || setError(reason));
    return () => stop.abort();
  }, [id]);
  useEffect(() => heading.current?.focus({ preventScroll: false }), [explained === null && error === null]);
  return (
    <aside class="explanation" aria-labelledby="why">
      <div class="bar">
        <h2 id="why" ref={heading} tabIndex={-1}>
          Why
        </h2>
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
      <Failure error={error} />
      {explained === null && error === null && <p class="quiet">Loading …</p>}
      {explained !== null && <Parts of={explained} />}
    </aside>
  );
}

function Parts({ of: { entry, parts } }: { readonly of: Explained }) {
  const { session } = entry.dimensions;
  return (
    <>
      <dl class="parts">
        {parts.map(({ title, text }) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{text}</dd>
          </div>
        ))}
      </dl>
      {session !== undefined && (
        <p>
          <a href={hrefOf("who", { session })}>All of session {session}: buckets, calls, grants</a>
        </p>
      )}
      {entry.kind === "decision" && (
        <>
          <h3>Limits</h3>
          <Table
            caption="Each limit that applied"
            rows={entry.verdicts}
            keyOf={({ limit }: LoggedVerdict) => limit}
            columns={[
              { title: "Limit", isHead: true, cell: ({ limit }) => limit },
              { title: "After the call", cell: (verdict) => verdictText(verdict) },
              {
                title: "Says",
                cell: ({ allowed, exceeded, mode }) => (allowed ? (exceeded ? mode : "allow") : "deny"),
              },
            ]}
            empty="No limit applied."
          />
        </>
      )}
      <details>
        <summary>As it was logged</summary>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
        <pre tabIndex={0}>{JSON.stringify(entry, null, 2)}</pre>
      </details>
    </>
  );
}

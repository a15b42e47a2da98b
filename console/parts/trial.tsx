// A policy against the calls of the last hours: which of them it would deny, and the one in force does not, and the other way round.

import { useEffect, useRef, useState } from "preact/hooks";
import { amount } from "../../src/kernel/words.ts";
import { announce } from "../announce.ts";
import type { Simulated, SimulatedCall, SimulatedDifference } from "../answers.ts";
import { type ApiError, simulate } from "../api.ts";
import { grouped, timeOf } from "../format.ts";
import { hrefOf } from "../address.ts";
import { Choice } from "./field.tsx";
import { Failure, Note } from "./note.tsx";
import { Table } from "./table.tsx";

const SPANS = [
  ["3600000", "the last hour"],
  ["86400000", "the last 24 hours"],
  ["604800000", "the last 7 days"],
] as const;

export function Trial({ source, isWrong }: { readonly source: string; readonly isWrong: boolean }) {
  const [spanMs, setSpanMs] = useState<string>(SPANS[0][0]);
  const { result, error, isBusy, run } = useSimulation(source, spanMs);
  return (
    <section>
      <h2>Try it on what was called</h2>
      <div class="filters">
        <Choice label="Time" value={spanMs} options={SPANS} onChange={setSpanMs} />
        <button type="button" disabled={isBusy || isWrong} onClick={() => void run()}>
          Try it
        </button>
        {isBusy && <span role="status">Playing the calls …</span>}
      </div>
      <Failure error={error} />
      {result !== null && <Result of={result} />}
    </section>
  );
}

/** What was played, until the policy or the time is changed. */
function useSimulation(source: string, spanMs: string) {
  const [result, setResult] = useState<Simulated | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [isBusy, setBusy] = useState(false);
  const stop = useRef(new AbortController());
  useEffect(() => {
    stop.current = new AbortController();
    setResult(null);
    setError(null);
    setBusy(false);
    return () => stop.current.abort();
  }, [source, spanMs]);
  const run = async () => {
    const { signal } = stop.current;
    setBusy(true);
    setError(null);
    try {
      const played = await simulate<Simulated>({ source, fromMs: Date.now() - Number(spanMs) }, signal);
      if (signal.aborted) return;
      setResult(played);
      announce(summaryOf(played));
    } catch (reason) {
      if (signal.aborted) return;
      setResult(null);
      setError(reason as ApiError);
    }
    setBusy(false);
  };
  return { result, error, isBusy, run };
}

function summaryOf({ newlyDenied, newlyAllowed }: Simulated): string {
  return `${amount(newlyDenied.calls, "calls")} newly denied, ${grouped(newlyAllowed.calls)} newly allowed`;
}

function Result({ of }: { readonly of: Simulated }) {
  const { read, policy, against, newlyDenied, newlyAllowed, notes } = of;
  if (read.calls === 0) return <Note kind="info">{nothingText(read)}</Note>;
  return (
    <>
      <p>{readText(read)}</p>
      {newlyDenied.calls + newlyAllowed.calls === 0 ? (
        <Note kind="good">
          Nothing changes for these calls: both policies deny the same {grouped(policy.denied)} of them.
        </Note>
      ) : (
        <>
          <p>
            The new policy denies {grouped(policy.denied)}, the one in force {grouped(against.denied)}.
          </p>
          <ByLimit newlyDenied={newlyDenied} newlyAllowed={newlyAllowed} />
          <Examples title="Newly denied" of={newlyDenied} />
          <Examples title="Newly allowed" of={newlyAllowed} />
        </>
      )}
      <details open>
        <summary>What this cannot know</summary>
        <ul>
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      </details>
    </>
  );
}

function nothingText({ leftOut }: Simulated["read"]): string {
  if (leftOut === 0) return "Nothing was called in this time, as far as the decision log knows.";
  return `Nothing in the decision log can be played: of these ${grouped(leftOut)} calls, too little was kept.`;
}

function readText({ calls, sessions, firstMs, lastMs, isSample, standsFor, isCut }: Simulated["read"]): string {
  const now = Date.now();
  const when = firstMs === null || lastMs === null ? "" : `, ${timeOf(firstMs, now)} to ${timeOf(lastMs, now)}`;
  const parts = [`${amount(calls, "calls")} of ${amount(sessions, "sessions")}${when}.`];
  if (isSample) parts.push(`The log keeps a sample: they stand for about ${amount(standsFor, "calls")}.`);
  if (isCut) parts.push("There were more: these are the newest.");
  return parts.join(" ");
}

type Differences = Pick<Simulated, "newlyDenied" | "newlyAllowed">;

function ByLimit({ newlyDenied, newlyAllowed }: Differences) {
  const limits = [...new Set([...Object.keys(newlyDenied.deniedBy), ...Object.keys(newlyAllowed.deniedBy)])];
  return (
    <Table
      caption="Newly denied and newly allowed calls, by limit"
      rows={limits}
      keyOf={(limit) => limit}
      empty="No limit differs."
      columns={[
        { title: "Limit", isHead: true, cell: (limit) => <code>{limit}</code> },
        {
          title: "Newly denied",
          isNumber: true,
          cell: (limit) => grouped(newlyDenied.deniedBy[limit] ?? 0),
        },
        {
          title: "Newly allowed",
          isNumber: true,
          cell: (limit) => grouped(newlyAllowed.deniedBy[limit] ?? 0),
        },
      ]}
    />
  );
}

function Examples({ title, of: { calls, examples } }: { readonly title: string; readonly of: SimulatedDifference }) {
  if (calls === 0) return null;
  const now = Date.now();
  return (
    <>
      <h3>
        {title}: {calls > examples.length ? `the first ${examples.length} of ${grouped(calls)}` : grouped(calls)}
      </h3>
      <Table
        caption={title}
        rows={examples.map((call, i) => ({ ...call, i }))}
        keyOf={({ i }) => String(i)}
        empty="None."
        columns={[
          { title: "Session", isHead: true, cell: (call) => <SessionOf call={call} /> },
          { title: "Time", cell: ({ atMs }) => timeOf(atMs, now) },
          { title: "Turn", cell: ({ turn }) => turn ?? "–" },
          { title: "Tool", cell: ({ tool }) => <code>{tool}</code> },
          {
            title: "Call no.",
            isNumber: true,
            cell: ({ session, nthOfSession }) => (session === null ? "–" : grouped(nthOfSession)),
          },
          { title: "Denied by", cell: ({ limit }) => <code>{limit}</code> },
        ]}
      />
    </>
  );
}

function SessionOf({ call: { session } }: { readonly call: SimulatedCall }) {
  if (session === null) return <>none</>;
  return <a href={hrefOf("who", { session })}>{session}</a>;
}

// How full the fullest buckets are, when they open, and who is denied.

import { hrefOf } from "../address.ts";
import type { Listed, NearBucket, TopRow } from "../answers.ts";
import { get } from "../api.ts";
import { agoOf, capital, formatDuration, grouped, percent } from "../format.ts";
import { Dimensions } from "../parts/dimensions.tsx";
import { Choice } from "../parts/field.tsx";
import { Meter } from "../parts/meter.tsx";
import { Failure } from "../parts/note.tsx";
import { Table } from "../parts/table.tsx";
import { usePoll } from "../poll.ts";
import { route, setParams } from "../route.ts";

const EVERY_MS = 5_000;
const ROWS = 100;
/** A bucket that was read longer ago stands as the log has it. */
const STALE_MS = 60_000;
const BY = [
  ["session", "session"],
  ["user", "user"],
  ["tenant", "tenant"],
  ["tool", "tool"],
  ["limit", "limit"],
] as const;

export function Limits() {
  const { by = "session" } = route.value.params;
  const near = usePoll((signal) => get<Listed<NearBucket>>("near", { count: ROWS }, signal), EVERY_MS);
  const top = usePoll((signal) => get<Listed<TopRow>>("top", { by, count: 50 }, signal), EVERY_MS, by);
  const buckets = near.data?.items ?? [];
  return (
    <>
      <section>
        <h2>Buckets that are nearly full</h2>
        <Failure error={near.error} />
        <Table
          caption="Buckets that are filled to 80 % or more, the fullest first"
          rows={buckets}
          keyOf={({ limit, dimensions }) => JSON.stringify([limit, dimensions])}
          columns={[
            { title: "Limit", isHead: true, cell: ({ limit }) => <a href={hrefOf("decisions", { limit })}>{limit}</a> },
            { title: "Who", cell: ({ dimensions }) => <Dimensions of={dimensions} /> },
            { title: "Used", cell: (bucket) => <Meter {...bucket} /> },
            { title: "Whole again", cell: ({ endsAtMs }) => inText(endsAtMs - Date.now()) },
          ]}
          empty={near.data === null ? "Loading …" : "No bucket is filled to 80 % or more."}
        />
        {buckets.length === ROWS && <p class="quiet">These are the {ROWS} fullest. There are more.</p>}
        <Away buckets={buckets} />
        <p class="quiet">A bucket that other programs fill without a log is not here.</p>
      </section>
      <section>
        <div class="bar">
          <h2>Most denied in the last hour</h2>
          <Choice label="By" value={by} options={BY} onChange={(value) => setParams({ by: value })} />
        </div>
        <Failure error={top.error} />
        <Table
          caption={`What was denied most in the last hour, by ${by}`}
          rows={(top.data?.items ?? []).toSorted((a, b) => b.denied - a.denied)}
          keyOf={({ value }) => value}
          columns={[
            { title: capital(by), isHead: true, cell: ({ value }) => <a href={linkOf(by, value)}>{value}</a> },
            { title: "Denied", isNumber: true, cell: ({ denied }) => grouped(denied) },
            {
              title: "Calls",
              isNumber: true,
              cell: ({ calls, error }) => `${error > 0 ? "at most " : ""}${grouped(calls)}`,
            },
            { title: "Share", isNumber: true, cell: ({ denied, calls }) => percent(denied, calls) },
          ]}
          empty={top.data === null ? "Loading …" : "No calls in the last hour."}
        />
      </section>
    </>
  );
}

/** The service reads buckets now. While its store is away, they are as old as their last calls. */
function Away({ buckets }: { readonly buckets: readonly NearBucket[] }) {
  const nowMs = Date.now();
  const oldestMs = Math.min(...buckets.map(({ atMs }) => atMs));
  if (buckets.length === 0 || nowMs - oldestMs < STALE_MS) return null;
  return <p class="quiet">Some stand here as their last calls left them, the oldest {agoOf(oldestMs, nowMs)}.</p>;
}

function inText(ms: number): string {
  return ms <= 0 ? "now" : `in ${formatDuration(ms)}`;
}

function linkOf(by: string, value: string): string {
  if (by === "session" || by === "user") return hrefOf("who", { [by]: value });
  return hrefOf("decisions", { [by]: value, outcome: "denied", last: "1h" });
}

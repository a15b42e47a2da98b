// What changed: grants, resets, policies, outages; and which administrator did it, and why.

import type { Decisions, EventEntry } from "../answers.ts";
import { get } from "../api.ts";
import { formatCsv } from "../../src/cli/csv.ts";
import { SPANS, spanMsOf } from "../filters.ts";
import { timeOf } from "../format.ts";
import { Outcome, Whose } from "../parts/entry.tsx";
import { Choice } from "../parts/field.tsx";
import { Failure } from "../parts/note.tsx";
import { Table } from "../parts/table.tsx";
import { usePoll } from "../poll.ts";
import { route, setParams } from "../route.ts";
import { eventText } from "../words.ts";

const EVERY_MS = 5_000;
const ROWS = 200;

export function Audit() {
  const { last = "24h" } = route.value.params;
  const load = (signal: AbortSignal) => {
    const spanMs = spanMsOf(last);
    const fromMs = spanMs === undefined ? undefined : Date.now() - spanMs;
    return get<Decisions>("decisions", { kind: "event", pageSize: ROWS, fromMs }, signal);
  };
  const { data, error } = usePoll(load, EVERY_MS, last);
  const rows = (data?.items ?? []) as readonly EventEntry[];
  return (
    <>
      <form class="filters" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
        <Choice label="Time" value={last} options={SPANS} onChange={(value) => setParams({ last: value })} />
        <button type="button" disabled={rows.length === 0} onClick={() => download(rows)}>
          Save as CSV
        </button>
      </form>
      <Failure error={error} />
      <Table
        caption="Changes and events, newest first"
        rows={rows}
        keyOf={({ id }) => id}
        columns={[
          { title: "Time", isHead: true, cell: ({ atMs }) => timeOf(atMs, Date.now()) },
          { title: "What", cell: (entry) => <Outcome entry={entry} /> },
          { title: "Limit", cell: ({ limit }) => limit ?? "" },
          { title: "Whose", cell: (entry) => <Whose entry={entry} /> },
          { title: "Details", cell: (entry) => eventText(entry) },
        ]}
        empty={data === null ? "Loading …" : "Nothing was changed in this time."}
      />
      {data !== null && data.nextCursor !== null && (
        <p class="quiet">These are the last {rows.length}. There are more.</p>
      )}
    </>
  );
}

function download(rows: readonly EventEntry[]): void {
  const text = formatCsv(
    ["at", "type", "limit", "dimensions", "actor", "reason", "data"],
    rows.map(({ atMs, type, limit, dimensions, actor, reason, data }) => [
      new Date(atMs).toISOString(),
      type,
      limit ?? "",
      JSON.stringify(dimensions),
      actor ?? "",
      reason ?? "",
      JSON.stringify(data),
    ]),
  );
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "tollgate-audit.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

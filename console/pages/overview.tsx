// Is anything wrong now? Then: how many calls, how many denied, by which limits and tools.

import { hrefOf } from "../address.ts";
import type { Decisions, DecisionEntry, EventEntry, Listed, Me, Readiness, SeriesPoint, TopRow } from "../answers.ts";
import { get, state } from "../api.ts";
import { type Alarm, eachMinute, latencyOf, suddenDenials, troubles } from "../figures.ts";
import { grouped, percent, perSecond } from "../format.ts";
import { Chart } from "../parts/chart.tsx";
import { Failure, Note } from "../parts/note.tsx";
import { Table } from "../parts/table.tsx";
import { usePoll } from "../poll.ts";

const EVERY_MS = 5_000;
const LATEST = 200;
const ROWS = 6;

interface Seen {
  readonly ready: Readiness;
  readonly minutes: readonly SeriesPoint[];
  readonly byLimit: readonly SeriesPoint[];
  readonly limits: readonly TopRow[];
  readonly tools: readonly TopRow[];
  readonly latest: readonly DecisionEntry[];
  readonly events: readonly EventEntry[];
}

async function look(signal: AbortSignal): Promise<Seen> {
  const items = <Item,>(path: string, query = {}) => get<Listed<Item>>(path, query, signal).then(({ items }) => items);
  const [ready, minutes, byLimit, limits, tools, latest, events] = await Promise.all([
    state<Readiness>("readyz"),
    items<SeriesPoint>("series"),
    items<SeriesPoint>("series", { by: "limit" }),
    items<TopRow>("top", { by: "limit", count: ROWS }),
    items<TopRow>("top", { by: "tool", count: ROWS }),
    get<Decisions>("decisions", { kind: "decision", pageSize: LATEST }, signal).then(({ items }) => items),
    get<Decisions>("decisions", { kind: "event", pageSize: 50, fromMs: Date.now() - 3_600_000 }, signal),
  ]);
  return {
    ready,
    minutes,
    byLimit,
    limits,
    tools,
    latest: latest as readonly DecisionEntry[],
    events: events.items as readonly EventEntry[],
  };
}

export function Overview({ me }: { readonly me: Me }) {
  const { data, error } = usePoll(look, EVERY_MS);
  if (data === null) return error === null ? <p class="quiet">Loading …</p> : <Failure error={error} />;
  const nowMs = Date.now();
  const points = eachMinute(data.minutes, nowMs);
  const alarms = [...troubles(data.ready, data.events, me.policy), ...suddenDenials(data.byLimit, nowMs)];
  return (
    <>
      <Failure error={error} />
      <Alarms alarms={alarms} />
      <Figures points={points} latest={data.latest} />
      <section>
        <Chart title="Decisions of the last hour, by the minute" points={points} />
      </section>
      <div class="columns">
        <TopTable title="Limits" of="limit" rows={data.limits} />
        <TopTable title="Tools" of="tool" rows={data.tools} />
      </div>
      {me.log?.isShared === false && (
        <p class="quiet">These figures are of the instances that write to this log ({me.log.storage}).</p>
      )}
    </>
  );
}

const CALM =
  "Nothing needs attention: the store answers, the policy is in force, and no limit suddenly denies more than before.";

function Alarms({ alarms }: { readonly alarms: readonly Alarm[] }) {
  if (alarms.length === 0) return <Note kind="good">{CALM}</Note>;
  return (
    <section aria-label="Needs attention">
      {alarms.map(({ kind, text, params }) => (
        <Note key={text} kind={kind}>
          {text} <a href={hrefOf("decisions", params)}>Look at it</a>
        </Note>
      ))}
    </section>
  );
}

interface FiguresProps {
  readonly points: readonly { readonly calls: number; readonly denied: number }[];
  readonly latest: readonly DecisionEntry[];
}

function Figures({ points, latest }: FiguresProps) {
  const hour = points.reduce((sum, { calls, denied }) => ({ calls: sum.calls + calls, denied: sum.denied + denied }));
  // The minute that runs is not whole.
  const minute = points.at(-2) ?? { calls: 0, denied: 0 };
  const latency = latencyOf(latest);
  return (
    <dl class="figures">
      <Figure
        name="Decisions per second"
        value={perSecond(minute.calls, 60)}
        note={`${grouped(minute.calls)} in the last whole minute`}
      />
      <Figure
        name="Denied"
        value={percent(minute.denied, minute.calls)}
        href={hrefOf("decisions", { outcome: "denied", last: "15m" })}
        note={`${grouped(minute.denied)} in the last whole minute`}
      />
      <Figure
        name="Denied in the last hour"
        value={percent(hour.denied, hour.calls)}
        href={hrefOf("decisions", { outcome: "denied", last: "1h" })}
        note={`${grouped(hour.denied)} of ${grouped(hour.calls)}`}
      />
      <Figure
        name="A decision takes"
        value={latency === null ? "-" : millis(latency.middle)}
        note={
          latency === null
            ? "not measured"
            : `99 % within ${millis(latency.slow)}, of the last ${grouped(latest.length)}`
        }
      />
    </dl>
  );
}

function millis(ms: number): string {
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(2)} ms`;
}

interface FigureProps {
  readonly name: string;
  readonly value: string;
  readonly note: string;
  /** The decisions that it counts. */
  readonly href?: string;
}

function Figure({ name, value, note, href }: FigureProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {href === undefined ? value : <a href={href}>{value}</a>} <small>{note}</small>
      </dd>
    </div>
  );
}

interface TopTableProps {
  readonly title: string;
  readonly of: "limit" | "tool";
  readonly rows: readonly TopRow[];
}

function TopTable({ title, of, rows }: TopTableProps) {
  return (
    <section>
      <h2>{title} in the last hour</h2>
      <Table
        caption={`${title} with most calls in the last hour`}
        rows={rows}
        keyOf={({ value }) => value}
        columns={[
          {
            title: of === "limit" ? "Limit" : "Tool",
            isHead: true,
            cell: ({ value }) => <a href={hrefOf("decisions", { [of]: value, last: "1h" })}>{value}</a>,
          },
          { title: "Calls", isNumber: true, cell: ({ calls }) => grouped(calls) },
          { title: "Denied", isNumber: true, cell: ({ denied }) => grouped(denied) },
          { title: "Share", isNumber: true, cell: ({ calls, denied }) => percent(denied, calls) },
        ]}
        empty="No calls in the last hour."
      />
    </section>
  );
}

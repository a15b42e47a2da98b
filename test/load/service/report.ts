// The results of the runs: a page and a plot for people, and one object for programs.

import type { Histogram } from "hdr-histogram-js";
import { aboutLines, type Circumstances, number, table } from "../../../bench/harness.ts";
import type { Table } from "../../../bench/section.ts";
import { aboutPolicy, quotasFor } from "./policy.ts";
import type { Phase, Run, Size } from "./run.ts";
import type { Trace } from "./trace.ts";
import { HAPPENINGS } from "./unrest.ts";

const PERCENTILES = { p50: 50, p90: 90, p99: 99, "p99.9": 99.9, max: 100 } as const;

const named = (instances: number) => `${instances} ${instances === 1 ? "instance" : "instances"}`;

const percentilesMs = (histogram: Histogram) =>
  Object.values(PERCENTILES).map((percentile) => histogram.getValueAtPercentile(percentile) / 1_000);

/** What `--json` prints. */
export function summaryOf(runs: readonly Run[], trace: Trace, seed: number) {
  const latencyOf = ({ latency }: Phase) => {
    const ms = percentilesMs(latency);
    return Object.fromEntries(Object.keys(PERCENTILES).map((name, i) => [name, ms[i]]));
  };
  const unrestOf = ({ happened, resent, replayed, doubled }: Phase<unknown>) => {
    return { ...happened, resent, replayed, doubled };
  };
  return {
    seed,
    trace: trace.about,
    isExact: runs.every(({ judgement }) => judgement.faultCount === 0),
    runs: runs.map(({ instances, judgement, perSecond, calm, disturbed, storm }) => ({
      instances,
      ...judgement,
      perSecond: Math.round(perSecond),
      calmMs: latencyOf(calm),
      disturbedMs: latencyOf(disturbed),
      calm: unrestOf(calm),
      disturbed: unrestOf(disturbed),
      storm: unrestOf(storm),
    })),
  };
}

interface Parameters {
  readonly trace: Trace;
  readonly size: Size;
  readonly seed: number;
}

/** The tables of the page, which are also drawn. */
export const tablesOf = (runs: readonly Run[]): readonly Table[] => [
  exactness(runs),
  latency(runs),
  unrest(runs),
  {
    head: ["as many as possible", "decisions/s"],
    rows: runs.map(({ instances, perSecond }) => [named(instances), number(perSecond)]),
  },
];

export function pageOf(runs: readonly Run[], about: Circumstances, { trace, size, seed }: Parameters): string {
  const [exact, latencies, unrests, throughput] = tablesOf(runs).map(({ head, rows }) => table(head, rows));
  const work = `${trace.about}, repeated, each time with new sessions; seed ${seed}`;
  return `# The service under load, while instances are killed

One run of the command below writes this page.

${aboutLines(about, work)}
- Limits: ${aboutPolicy(quotasFor(trace))}

![Calls that ran, p99 of the latency, killed instances, decisions per second](RESULTS-load.svg)

## Admitted, compared with what the limits allow

${exact}

Three numbers are compared in every bucket: the calls that ran, as the tools count themselves; the calls that the limits
allow of those that were offered; and the store's count. Each limit is within the next one, so the number of a tenant's
calls that may run does not depend on their order. It does not in the buckets of sessions and turns either, unless the
tenant's budget ends first; then no more than their quota may run. No bucket may have denied a call before it was full.

## Latency, ms

${latencies}

From the instant at which a call is due until its decision. ${number(size.perSecond)} calls a second are due at random instants
(Poisson), whether earlier calls are answered or not. In the disturbed phase instances are killed and started: a call
waits until an instance decides it, and a process that starts takes its share of the same cores.

## Kills and starts

${unrests}

Instances are killed by SIGKILL and stopped by SIGTERM. In the storm, callers send as many calls as possible while
instances are killed. A call is sent again under the same idempotency key, for one of four reasons: the connection broke,
nothing listened, the instance answered 503, or it did not reach its store in time. Answers are repeated where a killed
instance had booked the call but could not answer: without the key these calls would have been charged twice. Some calls
of the storm are sent to two instances at once, as by an impatient caller.

## Decisions per second, as many as possible

${throughput}

Load, instances and Redis share the cores of one machine. More instances than it has room for divide the same cores,
with smaller batches each. So this is the cost of sharing, not the sum of instances on machines of their own.
`;
}

function exactness(runs: readonly Run[]): Table {
  const head = [
    "sessions",
    "calls",
    "limits allow",
    "ran",
    "store counts",
    "denied",
    "buckets (one number each)",
    "exact",
  ];
  const rows = runs.map(({ instances, judgement }) => {
    const { sessions, offered, admitted, allowed, stored, buckets, determined, faultCount } = judgement;
    return [
      named(instances),
      ...[sessions, offered, allowed, admitted, stored].map(number),
      `${Math.round((1 - admitted / offered) * 100)} %`,
      `${number(buckets)} (${number(determined)})`,
      faultCount === 0 ? "yes" : `NO: ${faultCount} faults`,
    ];
  });
  return { head: ["all phases", ...head], rows, drawn: 4 };
}

/** A row for each phase of each run. */
function rowsOf<Each>(
  runs: readonly Run[],
  phases: Readonly<Record<string, (run: Run) => Each>>,
  row: (phase: Each) => string[],
): string[][] {
  return Object.entries(phases).flatMap(([name, of]) =>
    runs.map((run) => [`${named(run.instances)}, ${name}`, ...row(of(run))]),
  );
}

const AT_RATE = { undisturbed: ({ calm }: Run) => calm, disturbed: ({ disturbed }: Run) => disturbed };

function latency(runs: readonly Run[]): Table {
  const rows = rowsOf(runs, AT_RATE, ({ latency }) => {
    const ms = percentilesMs(latency).map((each) => each.toFixed(each < 100 ? 2 : 0));
    return [number(latency.totalCount), ...ms];
  });
  return { head: ["latency, ms", "calls", ...Object.keys(PERCENTILES)], rows, drawn: 4 };
}

function unrest(runs: readonly Run[]): Table {
  const phases: Record<string, (run: Run) => Phase<unknown>> = { ...AT_RATE, storm: ({ storm }) => storm };
  const rows = rowsOf(runs, phases, ({ happened, resent, replayed, doubled }) => {
    const { calls, broken, refused, unavailable, undecided } = resent;
    const why = [broken, refused, unavailable, undecided].map(number).join(" / ");
    return [...HAPPENINGS.map((what) => number(happened[what])), number(calls), why, number(replayed), number(doubled)];
  });
  const head = ["killed", "stopped", "started", "store paused", "calls sent again"];
  const more = ["broken / refused / 503 / no store", "answers repeated", "sent twice at once"];
  return { head: ["instances and calls", ...head, ...more], rows };
}

// What the runs came to, as a page for people and as one object for programs.

import type { Histogram } from "hdr-histogram-js";
import { aboutLines, type circumstances, number, table } from "../harness.ts";
import { aboutPolicy, quotasFor } from "./policy.ts";
import type { Run, Size, Unrest } from "./run.ts";
import type { Trace } from "./trace.ts";
import type { Happened } from "./unrest.ts";

export const PERCENTILES = [50, 90, 99, 99.9, 100] as const;
const PERCENTILE_NAMES = ["p50", "p90", "p99", "p99.9", "max"] as const;

export const percentilesMs = (histogram: Histogram) =>
  PERCENTILES.map((percentile) => histogram.getValueAtPercentile(percentile) / 1_000);

const countOf = ({ happened }: Unrest, wanted: Happened["what"]) =>
  happened.filter(({ what }) => what === wanted).length;

export const named = (instances: number) => `${instances} ${instances === 1 ? "instance" : "instances"}`;

/** What `--json` prints. */
export function summaryOf(runs: readonly Run[], trace: Trace, seed: number) {
  return {
    seed,
    trace: trace.about,
    isExact: runs.every(({ judgement }) => judgement.faultCount === 0),
    runs: runs.map((run) => ({
      instances: run.instances,
      ...run.judgement,
      perSecond: Math.round(run.perSecond),
      calmMs: latencyOf(run.calm.latency),
      disturbedMs: latencyOf(run.disturbed.latency),
      calm: unrestOf(run.calm.unrest),
      disturbed: unrestOf(run.disturbed.unrest),
      storm: unrestOf(run.storm),
    })),
  };
}

const latencyOf = (histogram: Histogram) =>
  Object.fromEntries(percentilesMs(histogram).map((ms, i) => [PERCENTILE_NAMES[i], ms]));

const unrestOf = (unrest: Unrest) => ({
  killed: countOf(unrest, "killed"),
  started: countOf(unrest, "started"),
  ended: countOf(unrest, "ended"),
  resent: unrest.resent,
  replayed: unrest.replayed,
  doubled: unrest.doubled,
});

interface Made {
  readonly trace: Trace;
  readonly size: Size;
  readonly seed: number;
}

export function pageOf(
  runs: readonly Run[],
  about: ReturnType<typeof circumstances>,
  { trace, size, seed }: Made,
): string {
  const work = `${trace.about}, repeated, each time with sessions of its own; seed ${seed}`;
  return [
    "# The service under load, while instances are killed",
    "",
    "Written by the command below from one run; nothing here is edited by hand.",
    "",
    aboutLines(about, work),
    `- Limits: ${aboutPolicy(quotasFor(trace))}`,
    "",
    "![Calls offered, allowed and admitted; latency by percentile; decisions per second](RESULTS-load.svg)",
    "",
    "## Admitted, against what the limits allow",
    "",
    exactness(runs),
    "",
    "Compared are, in every bucket: the calls that ran, as the tools count themselves; what the limits allow of the calls that were",
    "offered; and what the store counts. Each limit lies within the next one, so that what may run of a tenant's calls is one",
    "number in whatever order they come. So it is in the buckets of sessions and turns, too, where the tenant's budget does not",
    "end first; where it does, no more than their quota may run. And no bucket may have denied a call that is not full.",
    "",
    "## Latency, ms",
    "",
    latency(runs),
    "",
    `From the moment at which a call was due until its decision is there. ${number(size.perSecond)} calls a second are due at moments of chance`,
    "(Poisson), whether those before are answered or not. In the disturbed phase instances are killed and started: a call waits",
    "until one decides it, and a process that starts takes its share of the same cores.",
    "",
    "## Kills and starts",
    "",
    unrest(runs),
    "",
    "Killed is by SIGKILL, ended well by SIGTERM. The storm is as many calls as can be while instances are killed. A call is sent",
    "again under the same idempotency key, and how often is said by why: the connection was cut off, nothing listened, the",
    "instance was about to end or had enough to do, it did not reach its store in time. Answers are told again where a killed",
    "instance had booked the call and could not say so any more: without the key these calls would have been charged twice. In the",
    "storm some calls are sent to two instances at once, as by a caller that has lost patience.",
    "",
    "## Decisions per second, as many as can be",
    "",
    throughput(runs),
    "",
    "Load, instances and Redis share the cores of one machine: more instances than it has room for divide the same cores, with",
    "smaller batches each. It says what the sharing costs, not how instances on machines of their own add up.",
    "",
  ].join("\n");
}

function exactness(runs: readonly Run[]): string {
  const rows = runs.map(({ instances, judgement }) => {
    const { sessions, offered, admitted, allowed, stored, buckets, determined, faultCount } = judgement;
    return [
      named(instances),
      number(sessions),
      number(offered),
      number(allowed),
      number(admitted),
      number(stored),
      `${Math.round((1 - admitted / offered) * 100)} %`,
      `${number(buckets)} (${number(determined)})`,
      faultCount === 0 ? "yes" : `NO: ${faultCount} faults`,
    ];
  });
  const head = [
    "",
    "sessions",
    "calls",
    "limits allow",
    "ran",
    "store counts",
    "denied",
    "buckets (one number each)",
    "exact",
  ];
  return table(head, rows);
}

function latency(runs: readonly Run[]): string {
  const row = (name: string, histogram: Histogram) => [
    name,
    number(histogram.totalCount),
    ...percentilesMs(histogram).map((ms) => ms.toFixed(ms < 100 ? 2 : 0)),
  ];
  return table(
    ["", "calls", ...PERCENTILE_NAMES],
    [
      ...runs.map(({ instances, calm }) => row(`${named(instances)}, undisturbed`, calm.latency)),
      ...runs.map(({ instances, disturbed }) => row(`${named(instances)}, disturbed`, disturbed.latency)),
    ],
  );
}

function unrest(runs: readonly Run[]): string {
  const row = (name: string, { happened, resent, replayed, doubled }: Unrest) => {
    const { calls, broken, refused, unavailable, undecided } = resent;
    const count = (wanted: Happened["what"]) => number(happened.filter(({ what }) => what === wanted).length);
    const why = [broken, refused, unavailable, undecided].map(number).join(" / ");
    return [
      name,
      count("killed"),
      count("ended"),
      count("started"),
      count("stalled"),
      number(calls),
      why,
      number(replayed),
      number(doubled),
    ];
  };
  const head = ["", "killed", "ended well", "started", "store stood still", "calls sent again"];
  return table(
    [...head, "cut off / refused / 503 / no store", "answers told again", "sent twice at once"],
    [
      ...runs.map(({ instances, calm }) => row(`${named(instances)}, undisturbed`, calm.unrest)),
      ...runs.map(({ instances, disturbed }) => row(`${named(instances)}, disturbed`, disturbed.unrest)),
      ...runs.map(({ instances, storm }) => row(`${named(instances)}, storm`, storm)),
    ],
  );
}

function throughput(runs: readonly Run[]): string {
  return table(
    ["", "decisions/s"],
    runs.map(({ instances, perSecond }) => [named(instances), number(perSecond)]),
  );
}

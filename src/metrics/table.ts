// Every metric of Tollgate, once. The exporters for OpenTelemetry and for Prometheus are made of this table, and the table in
// docs/metrics.md is compared with it.

import type { ATTRIBUTES } from "./attributes.ts";

/** A metric, with the name that OpenTelemetry has for it. */
export interface Metric {
  readonly name: string;
  readonly kind: "counter" | "gauge" | "histogram";
  /** As OpenTelemetry writes units. Durations are in seconds. */
  readonly unit: string;
  /** Labels of Prometheus. In OpenTelemetry they are attributes: `ATTRIBUTES` has their names. */
  readonly labels: readonly string[];
  /** Labels that only OpenTelemetry has, after the others. */
  readonly otelLabels: readonly (keyof typeof ATTRIBUTES)[];
  /** Upper bounds of a histogram's buckets. */
  readonly bounds: readonly number[];
  readonly description: string;
}

/** From 10 µs, since a decision in memory takes some microseconds, over the 250 ms of a store's deadline to 5 s. */
const DECISION_BOUNDS = [
  0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
  5,
];
const REQUEST_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** Metrics of a limiter, which both exporters have. */
export const LIMITER_METRICS = {
  decisions: counter(
    "tollgate.decisions",
    "{decision}",
    "Decisions on calls.",
    ["allowed", "degraded", "replayed"],
    ["tool"],
  ),
  denials: counter(
    "tollgate.denials",
    "{denial}",
    "Calls that did not fit into a limit. Only a limit in mode enforce denies them.",
    ["limit", "mode"],
  ),
  usage: counter(
    "tollgate.usage",
    "{unit}",
    "Units that calls were admitted with, or that were recorded. Of a reservation or a run: what it held, not what it was settled with.",
    ["limit", "unit"],
  ),
  duration: histogram(
    "tollgate.decision.duration",
    "How long a decision took. Calls that may wait (maxWaitMs) are not measured.",
    ["operation", "error_type"],
    DECISION_BOUNDS,
  ),
  available: gauge(
    "tollgate.store.available",
    "{store}",
    "1 while the store decides, 0 while this instance decides without it.",
  ),
  maxOvershoot: gauge(
    "tollgate.decision.max_overshoot",
    "{unit}",
    "Units that may pass beyond a quota at most, over all instances, while the store is away. Infinite: there is no bound.",
  ),
  bookings: counter(
    "tollgate.bookings",
    "{booking}",
    "What became of units that were admitted while the store was away, and of units that the store had lost.",
    ["outcome"],
  ),
  events: counter("tollgate.events", "{event}", "Events, as onEvent gets them.", ["type"]),
} as const;

/** Metrics that the service alone has, for Prometheus. */
export const SERVICE_METRICS = {
  requests: counter("tollgate.requests", "{request}", "Requests that were answered.", ["route", "status"]),
  requestDuration: histogram(
    "tollgate.request.duration",
    "How long a request took, from its whole header to its answer.",
    ["route"],
    REQUEST_BOUNDS,
  ),
  rejected: counter(
    "tollgate.rejected_requests",
    "{request}",
    "Connections, requests and listeners that were rejected outside of a route.",
    ["reason"],
  ),
  inFlight: gauge("tollgate.requests_in_flight", "{request}", "Requests that run."),
  listeners: gauge("tollgate.event_listeners", "{listener}", "Listeners to events."),
  reloads: counter("tollgate.policy_reloads", "{reload}", "Policies that were applied or refused after the start.", [
    "outcome",
  ]),
  logEntries: counter(
    "tollgate.log_entries",
    "{entry}",
    "What became of entries of the decision log: kept, left out of the sample, or lost.",
    ["outcome"],
  ),
  build: gauge("tollgate.build_info", "{build}", "1, with the version of Tollgate.", ["version"]),
  policy: gauge(
    "tollgate.policy_info",
    "{policy}",
    "1, with the version of the policy in force, as GET /v1/policy has it.",
    ["version"],
  ),
} as const;

/** All metrics, in the order of the documentation. */
export const METRICS: readonly Metric[] = [...Object.values(LIMITER_METRICS), ...Object.values(SERVICE_METRICS)];

/** The name that Prometheus has for a metric: with its unit, and `_total` at the end of counters. */
export function prometheusName({ name, kind, unit }: Metric): string {
  return `${name.replaceAll(".", "_")}${unit === "s" ? "_seconds" : ""}${kind === "counter" ? "_total" : ""}`;
}

function counter(
  name: string,
  unit: string,
  description: string,
  labels: readonly string[],
  otelLabels: Metric["otelLabels"] = [],
): Metric {
  return { name, kind: "counter", unit, labels, otelLabels, bounds: [], description };
}

function gauge(name: string, unit: string, description: string, labels: readonly string[] = []): Metric {
  return { name, kind: "gauge", unit, labels, otelLabels: [], bounds: [], description };
}

/** A histogram of durations in seconds. */
function histogram(name: string, description: string, labels: readonly string[], bounds: readonly number[]): Metric {
  return { name, kind: "histogram", unit: "s", labels, otelLabels: [], bounds, description };
}

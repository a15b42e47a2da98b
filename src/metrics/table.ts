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
  decisions: metric(
    "tollgate.decisions",
    "counter",
    "{decision}",
    { labels: ["allowed", "degraded", "replayed"], otelLabels: ["tool"] },
    "Decisions on calls.",
  ),
  denials: metric(
    "tollgate.denials",
    "counter",
    "{denial}",
    { labels: ["limit", "mode"] },
    "Calls that did not fit into a limit. Only a limit in mode enforce denies them.",
  ),
  usage: metric(
    "tollgate.usage",
    "counter",
    "{unit}",
    { labels: ["limit", "unit"] },
    "Units that calls were admitted with, or that were recorded. Of a reservation or a run: what it held, not what it was settled with.",
  ),
  duration: metric(
    "tollgate.decision.duration",
    "histogram",
    "s",
    { labels: ["operation", "error_type"], bounds: DECISION_BOUNDS },
    "How long a decision took. Calls that may wait (maxWaitMs) are not measured.",
  ),
  available: metric(
    "tollgate.store.available",
    "gauge",
    "{store}",
    {},
    "1 while the store decides, 0 while this instance decides without it.",
  ),
  maxOvershoot: metric(
    "tollgate.decision.max_overshoot",
    "gauge",
    "{unit}",
    {},
    "Units that may pass beyond a quota at most, over all instances, while the store is away. Infinite: there is no bound.",
  ),
  bookings: metric(
    "tollgate.bookings",
    "counter",
    "{booking}",
    { labels: ["outcome"] },
    "What became of units that were admitted while the store was away, and of units that the store had lost.",
  ),
  events: metric("tollgate.events", "counter", "{event}", { labels: ["type"] }, "Events, as onEvent gets them."),
} as const;

/** Metrics that the service alone has, for Prometheus. */
export const SERVICE_METRICS = {
  requests: metric(
    "tollgate.requests",
    "counter",
    "{request}",
    { labels: ["route", "status"] },
    "Requests that were answered.",
  ),
  requestDuration: metric(
    "tollgate.request.duration",
    "histogram",
    "s",
    { labels: ["route"], bounds: REQUEST_BOUNDS },
    "How long a request took, from its whole header to its answer.",
  ),
  rejected: metric(
    "tollgate.rejected_requests",
    "counter",
    "{request}",
    { labels: ["reason"] },
    "Connections, requests and listeners that were rejected outside of a route.",
  ),
  inFlight: metric("tollgate.requests_in_flight", "gauge", "{request}", {}, "Requests that run."),
  listeners: metric("tollgate.event_listeners", "gauge", "{listener}", {}, "Listeners to events."),
  reloads: metric(
    "tollgate.policy_reloads",
    "counter",
    "{reload}",
    { labels: ["outcome"] },
    "Policies that were applied or refused after the start.",
  ),
  build: metric("tollgate.build_info", "gauge", "{build}", { labels: ["version"] }, "1, with the version of Tollgate."),
  policy: metric(
    "tollgate.policy_info",
    "gauge",
    "{policy}",
    { labels: ["version"] },
    "1, with the version of the policy in force, as GET /v1/policy has it.",
  ),
} as const;

/** All metrics, in the order of the documentation. */
export const METRICS: readonly Metric[] = [...Object.values(LIMITER_METRICS), ...Object.values(SERVICE_METRICS)];

/** The name that Prometheus has for a metric: with its unit, and `_total` at the end of counters. */
export function prometheusName({ name, kind, unit }: Metric): string {
  return `${name.replaceAll(".", "_")}${unit === "s" ? "_seconds" : ""}${kind === "counter" ? "_total" : ""}`;
}

function metric(
  name: string,
  kind: Metric["kind"],
  unit: string,
  labels: Partial<Pick<Metric, "labels" | "otelLabels" | "bounds">>,
  description: string,
): Metric {
  return { name, kind, unit, labels: [], otelLabels: [], bounds: [], ...labels, description };
}

// The metrics of the service and of its limiter, as Prometheus text, with those of the process.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { LogCounts, Telemetry } from "../limiter.ts";
import { Recorder } from "../metrics/recorder.ts";
import { type Exporter, Family, type Series, type Value } from "../metrics/series.ts";
import { METRICS, type Metric, prometheusName, SERVICE_METRICS } from "../metrics/table.ts";
import { VERSION } from "../version.ts";
import { LOGGED, type Metrics, REJECTED, RELOADED, type Rejected, type Reloaded } from "./metrics.ts";
import { ROUTES } from "./routes.ts";

class Prometheus implements Exporter {
  readonly registry = new Registry();
  readonly #instruments: ReadonlyMap<Metric, Counter | Gauge | Histogram>;

  constructor() {
    this.#instruments = new Map(METRICS.map((metric) => [metric, this.#make(metric)]));
  }

  /** Labels that only OpenTelemetry has are `null`, and left out. Counters and histograms begin at 0. */
  series(metric: Metric, values: readonly Value[]): Series {
    const labels: Record<string, string> = {};
    for (const [i, label] of metric.labels.entries()) {
      const value = values[i] ?? null;
      if (value !== null) labels[label] = String(value);
    }
    const instrument = this.#instruments.get(metric);
    if (instrument instanceof Counter) {
      instrument.inc(labels, 0);
      const child = instrument.labels(labels);
      return { put: (value) => child.inc(value) };
    }
    if (instrument instanceof Gauge) {
      const child = instrument.labels(labels);
      return { put: (value) => child.set(value) };
    }
    instrument?.zero(labels);
    const child = instrument?.labels(labels);
    return { put: (value) => child?.observe(value) };
  }

  /** Replaces all series of a metric by one. */
  only(metric: Metric, values: readonly Value[], value: number): void {
    this.#instruments.get(metric)?.reset();
    this.series(metric, values).put(value);
  }

  #make(metric: Metric): Counter | Gauge | Histogram {
    const { kind, labels, bounds, description: help } = metric;
    const config = { name: prometheusName(metric), help, labelNames: [...labels], registers: [this.registry] };
    if (kind === "counter") return new Counter(config);
    return kind === "gauge" ? new Gauge(config) : new Histogram({ ...config, buckets: [...bounds] });
  }
}

/** Statuses of routes that need a key. */
const STATUSES = ["200", "401", "403", "500", "503"] as const;

/** Metrics of a service and of its process, which its route `/metrics` shows to Prometheus. Each service needs its own. */
export function prometheusMetrics(): Metrics {
  return new PrometheusMetrics();
}

class PrometheusMetrics implements Metrics {
  /** For the service's limiter. */
  readonly telemetry: Telemetry;
  readonly #exporter = new Prometheus();
  readonly #requests: Family;
  readonly #durations: Family;
  readonly #rejected: Family;
  readonly #reloads: Family;
  readonly #logEntries: Family;
  readonly #inFlight: Series;
  readonly #listeners: Series;
  /** As they were shown last. */
  #shown: LogCounts = { kept: 0, sampled: 0, dropped: 0 };

  constructor() {
    const exporter = this.#exporter;
    const family = (name: keyof typeof SERVICE_METRICS) => new Family(exporter, SERVICE_METRICS[name]);
    this.telemetry = { observe: (policy) => new Recorder(exporter, policy) };
    this.#requests = family("requests");
    this.#durations = family("requestDuration");
    this.#rejected = family("rejected");
    this.#inFlight = family("inFlight").of();
    this.#listeners = family("listeners").of();
    this.#reloads = family("reloads");
    this.#logEntries = family("logEntries");
    family("build").of(VERSION).put(1);
    // Series begin at 0, so that the first increase shows.
    for (const reason of REJECTED) this.#rejected.of(reason);
    for (const outcome of RELOADED) this.#reloads.of(outcome);
    for (const outcome of LOGGED) this.#logEntries.of(outcome);
    for (const { path, scope } of ROUTES)
      for (const status of scope === null ? STATUSES.slice(0, 1) : STATUSES) this.#requests.of(path, status);
    collectDefaultMetrics({ register: exporter.registry });
  }

  get contentType(): string {
    return this.#exporter.registry.contentType;
  }

  text(inFlight: number, policy: string, entries: LogCounts | null): Promise<string> {
    this.#inFlight.put(inFlight);
    if (entries !== null) {
      for (const outcome of LOGGED) this.#logEntries.of(outcome).put(entries[outcome] - this.#shown[outcome]);
      this.#shown = entries;
    }
    this.#exporter.only(SERVICE_METRICS.policy, [policy], 1);
    return this.#exporter.registry.metrics();
  }

  countAnswer(route: string, status: number, seconds: number): void {
    this.#requests.of(route, String(status)).put(1);
    this.#durations.of(route).put(seconds);
  }

  countRejected(reason: Rejected): void {
    this.#rejected.of(reason).put(1);
  }

  setListeners(count: number): void {
    this.#listeners.put(count);
  }

  countReload(outcome: Reloaded): void {
    this.#reloads.of(outcome).put(1);
  }
}

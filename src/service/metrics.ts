// What is counted of the service and of its limiter, as Prometheus text.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Telemetry } from "../limiter.ts";
import { Recorder } from "../metrics/recorder.ts";
import { type Exporter, Family, type Series, type Value } from "../metrics/series.ts";
import { type Metric, prometheusName, SERVICE_METRICS } from "../metrics/table.ts";
import { VERSION } from "../version.ts";

/** Exports metrics to Prometheus. */
class Prometheus implements Exporter {
  readonly registry = new Registry();
  readonly #made = new Map<Metric, (labels: Record<string, string>) => Series>();

  /** OpenTelemetry's own labels are left out: what they tell apart is one series here. */
  series(metric: Metric, values: readonly Value[]): Series {
    let made = this.#made.get(metric);
    if (made === undefined) {
      made = this.#make(metric);
      this.#made.set(metric, made);
    }
    const labels: Record<string, string> = {};
    for (const [i, label] of metric.labels.entries()) {
      const value = values[i] ?? null;
      if (value !== null) labels[label] = String(value);
    }
    return made(labels);
  }

  #make(metric: Metric): (labels: Record<string, string>) => Series {
    const { kind, bounds } = metric;
    const config = configOf(metric, this.registry);
    if (kind === "counter") {
      const counter = new Counter(config);
      return (labels) => {
        const child = counter.labels(labels);
        return { put: (value) => child.inc(value) };
      };
    }
    if (kind === "gauge") {
      const gauge = new Gauge(config);
      return (labels) => {
        const child = gauge.labels(labels);
        return { put: (value) => child.set(value) };
      };
    }
    const histogram = new Histogram({ ...config, buckets: [...bounds] });
    return (labels) => {
      const child = histogram.labels(labels);
      return { put: (value) => child.observe(value) };
    };
  }
}

function configOf(metric: Metric, registry: Registry) {
  const { labels, description } = metric;
  return { name: prometheusName(metric), help: description, labelNames: [...labels], registers: [registry] };
}

const REJECTED = ["connections", "malformed", "slow-listener"] as const;
const RELOADED = ["applied", "refused"] as const;

/** The numbers of one service. */
export class Metrics {
  /** For the service's limiter. */
  readonly telemetry: Telemetry;
  readonly #registry: Registry;
  readonly #requests: Family;
  readonly #durations: Family;
  readonly #rejected: Family;
  readonly #reloads: Family;
  readonly #inFlight: Series;
  readonly #listeners: Series;
  readonly #policy: Gauge<string>;

  constructor() {
    const exporter = new Prometheus();
    const family = (name: keyof typeof SERVICE_METRICS) => new Family(exporter, SERVICE_METRICS[name]);
    this.#registry = exporter.registry;
    this.telemetry = { observe: (policy) => new Recorder(exporter, policy) };
    this.#requests = family("requests");
    this.#durations = family("requestDuration");
    this.#rejected = family("rejected");
    this.#inFlight = family("inFlight").of();
    this.#listeners = family("listeners").of();
    this.#reloads = family("reloads");
    family("build").of(VERSION).put(1);
    this.#policy = new Gauge(configOf(SERVICE_METRICS.policy, this.#registry));
    // An increase is seen from the first one on.
    for (const reason of REJECTED) this.#rejected.of(reason);
    for (const outcome of RELOADED) this.#reloads.of(outcome);
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /**
   * @param inFlight requests under way
   * @param policy the version of the policy in force
   */
  text(inFlight: number, policy: string): Promise<string> {
    this.#inFlight.put(inFlight);
    // Without the version before.
    this.#policy.reset();
    this.#policy.labels({ version: policy }).set(1);
    return this.#registry.metrics();
  }

  answered(route: string, status: number, seconds: number): void {
    this.#requests.of(route, String(status)).put(1);
    this.#durations.of(route).put(seconds);
  }

  rejected(reason: (typeof REJECTED)[number]): void {
    this.#rejected.of(reason).put(1);
  }

  listeners(count: number): void {
    this.#listeners.put(count);
  }

  reloaded(outcome: (typeof RELOADED)[number]): void {
    this.#reloads.of(outcome).put(1);
  }
}

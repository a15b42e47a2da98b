// Metrics as instruments of OpenTelemetry's API.

import type { Attributes, Meter } from "@opentelemetry/api";
import { ATTRIBUTES } from "../metrics/attributes.ts";
import type { Exporter, Series, Value } from "../metrics/series.ts";
import type { Metric } from "../metrics/table.ts";

type Put = (value: number, attributes: Attributes) => void;

/** Exports the metrics of one limiter. */
export class OtelExporter implements Exporter {
  readonly #meter: Meter;
  readonly #made = new Map<Metric, Put>();

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  series(metric: Metric, values: readonly Value[]): Series {
    const put = this.#made.get(metric) ?? this.#make(metric);
    this.#made.set(metric, put);
    const attributes: Attributes = {};
    for (const [i, label] of [...metric.labels, ...metric.otelLabels].entries()) {
      const value = values[i] ?? null;
      if (value !== null) attributes[ATTRIBUTES[label as keyof typeof ATTRIBUTES]] = value;
    }
    return { put: (value) => put(value, attributes) };
  }

  #make({ name, kind, unit, description, bounds }: Metric): Put {
    const options = { unit, description };
    if (kind === "counter") {
      const counter = this.#meter.createCounter(name, options);
      return (value, attributes) => counter.add(value, attributes);
    }
    if (kind === "gauge") {
      const gauge = this.#meter.createGauge(name, options);
      return (value, attributes) => gauge.record(value, attributes);
    }
    const advice = { explicitBucketBoundaries: [...bounds] };
    const histogram = this.#meter.createHistogram(name, { ...options, advice });
    return (value, attributes) => histogram.record(value, attributes);
  }
}

// Every metric as both exporters name it, with its labels, and the attributes of spans.

import { describe, it } from "node:test";
import { ATTRIBUTES, SPAN_ATTRIBUTES } from "../../src/metrics/attributes.ts";
import { LIMITER_METRICS, type Metric, prometheusName, SERVICE_METRICS } from "../../src/metrics/table.ts";
import { assertAgreed } from "./snapshot.ts";

function inPrometheus(metric: Metric): string {
  return `${prometheusName(metric)}{${metric.labels.join(", ")}}  ${metric.kind}`;
}

function inOpenTelemetry({ name, kind, unit, labels, otelLabels }: Metric): string {
  const attributes = [...labels, ...otelLabels].map((label) => ATTRIBUTES[label as keyof typeof ATTRIBUTES]);
  return `${name}{${attributes.join(", ")}}  ${kind} of ${unit}`;
}

describe("the metrics", () => {
  it("are as agreed", () => {
    const ofLimiter: readonly Metric[] = Object.values(LIMITER_METRICS);
    const ofService: readonly Metric[] = Object.values(SERVICE_METRICS);
    assertAgreed("metrics", {
      Prometheus: [...ofLimiter, ...ofService].map(inPrometheus).toSorted(),
      OpenTelemetry: ofLimiter.map(inOpenTelemetry).toSorted(),
      "Attributes of spans": Object.values<string>(SPAN_ATTRIBUTES).toSorted(),
    });
  });
});

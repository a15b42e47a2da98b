// What OpenTelemetry adds to a decision in memory: nothing set up, spans that are not exported, and the SDK's metrics. Rounds
// take turns; the median of each is printed. It is processor time, which other processes of the machine disturb little.

import { metrics, ProxyTracerProvider } from "@opentelemetry/api";
import { InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { createLimiter, type Limiter, type PolicyInput } from "tollgate";
import { type OtelOptions, otel } from "tollgate/otel";
import { memoryStore } from "tollgate/stores/memory";
import { median } from "./harness.ts";

const CALLS = 20_000;
const ROUNDS = 15;

const policy: PolicyInput = {
  version: 1,
  tools: { search: {} },
  limits: [
    { name: "tool-per-session", per: ["session", "tool"], quota: 1_000_000_000 },
    { name: "session-rate", per: ["session"], algorithm: "token-bucket", quota: 600_000_000, window: "1m" },
    { name: "all", per: [], algorithm: "fixed-window", quota: 1_000_000_000, window: "1h" },
  ],
};
const options = () => ({ policy, store: memoryStore() });
const reader = new PeriodicExportingMetricReader({
  exporter: new InMemoryMetricExporter(0),
  exportIntervalMillis: 3_600_000,
});
const sdk = new MeterProvider({ readers: [reader] });

const reported = (to: OtelOptions) => createLimiter({ ...options(), telemetry: otel(to) });
const limiters: Record<string, Limiter> = {
  "no telemetry": createLimiter(options()),
  "no-op meter": reported({ meter: metrics.getMeter("bench") }),
  "no-op meter and tracer": reported({ tracer: new ProxyTracerProvider().getTracer("bench"), spans: true }),
  "SDK's meter": reported({ meter: sdk.getMeter("bench") }),
};

async function round(limiter: Limiter): Promise<number> {
  const started = process.cpuUsage();
  for (let i = 0; i < CALLS; i++) await limiter.consume({ tool: "search", session: "s1" });
  const { user, system } = process.cpuUsage(started);
  return ((user + system) * 1_000) / CALLS;
}

const taken = new Map(Object.keys(limiters).map((name) => [name, [] as number[]]));
for (let n = 0; n < ROUNDS; n++) {
  for (const [name, limiter] of Object.entries(limiters)) {
    const each = await round(limiter);
    if (n > 0) taken.get(name)?.push(each);
  }
}
const base = median(taken.get("no telemetry") ?? []);
for (const [name, rounds] of taken) {
  const each = median(rounds);
  console.log(
    `${name.padEnd(24)} ${each.toFixed(0).padStart(6)} ns a decision, ${(each - base).toFixed(0).padStart(5)} more`,
  );
}
await Promise.all(Object.values(limiters).map((limiter) => limiter.close()));
await sdk.shutdown();

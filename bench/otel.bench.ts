// What OpenTelemetry adds to a decision in memory: without an SDK, with spans that are not exported, and with the SDK's
// metrics. It is processor time, which other processes on the machine disturb little.
//
// npm run bench:otel

import { metrics, ProxyTracerProvider } from "@opentelemetry/api";
import { InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { createLimiter, type PolicyInput } from "tollgate";
import { otel } from "tollgate/otel";
import { memoryStore } from "tollgate/stores/memory";
import { median, number, table } from "./harness.ts";
import { inTurn } from "./race.ts";

const CALLS = 20_000;
const ROUNDS = 14;

const policy: PolicyInput = {
  version: 1,
  tools: { search: {} },
  limits: [
    { name: "tool-per-session", per: ["session", "tool"], quota: 1_000_000_000 },
    { name: "session-rate", per: ["session"], algorithm: "token-bucket", quota: 600_000_000, window: "1m" },
    { name: "all", per: [], algorithm: "fixed-window", quota: 1_000_000_000, window: "1h" },
  ],
};
const exporter = new InMemoryMetricExporter(0);
const sdk = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
});
const tracer = new ProxyTracerProvider().getTracer("bench");
const ways = [
  { name: "no telemetry", options: {} },
  { name: "no-op meter", options: { telemetry: otel({ meter: metrics.getMeter("bench") }) } },
  { name: "no-op meter and tracer", options: { telemetry: otel({ tracer, spans: true }) } },
  { name: "SDK's meter", options: { telemetry: otel({ meter: sdk.getMeter("bench") }) } },
].map(({ name, options }) => ({ name, limiter: createLimiter({ policy, store: memoryStore(), ...options }) }));

const taken = await inTurn(ways, ROUNDS, async ({ limiter }) => {
  const before = process.cpuUsage();
  for (let i = 0; i < CALLS; i++) await limiter.consume({ tool: "search", session: "s1" });
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / CALLS;
});
const medians = taken.map(median);
const rows = ways.map(({ name }, i) => {
  const ns = medians[i] ?? Number.NaN;
  return [name, number(ns), number(ns - (medians[0] ?? Number.NaN))];
});
console.log(table(["telemetry", "ns a decision", "more than without"], rows));
await Promise.all(ways.map(({ limiter }) => limiter.close()));
await sdk.shutdown();

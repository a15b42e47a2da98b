// The metric table, against what both exporters have, what the documentation says, and OpenTelemetry's conventions.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import * as conventions from "@opentelemetry/semantic-conventions/incubating";
import { createLimiter, type Limiter, type PolicyInput, StoreError, type Telemetry } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { localFailover } from "tollgate/client/failover";
import { otel } from "tollgate/otel";
import { createService } from "tollgate/service";
import { prometheusMetrics } from "tollgate/service/node";
import { memoryStore } from "tollgate/stores/memory";
import { ATTRIBUTES, CONVENTIONS, EXECUTE_TOOL, OTHER, SPAN_ATTRIBUTES } from "../src/metrics/attributes.ts";
import { LIMITER_METRICS, METRICS, type Metric, prometheusName, SERVICE_METRICS } from "../src/metrics/table.ts";
import { served } from "./service/served.ts";
import { ROOT } from "./sources.ts";

const POLICY: PolicyInput = {
  version: 1,
  tools: { model: { cost: { tokens: 10 } } },
  limits: [
    { name: "calls", per: ["session"], quota: 3 },
    { name: "tokens", per: ["session"], when: { tool: "model" }, unit: "tokens", quota: 1_000 },
    { name: "warns", per: ["session"], mode: "warn", quota: 2 },
    { name: "watched", per: ["session"], mode: "shadow", quota: 1 },
  ],
};

/** A series: the labels that Prometheus has, and the value. Of histograms: the count of each bucket, and the sum. */
type Samples = ReadonlyMap<string, number>;

/** Something that reports to OpenTelemetry, and the samples that it has, as Prometheus would write them. */
function reader(): { readonly telemetry: Telemetry; samples(): Promise<Samples>; names(): Promise<string[]> } {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const periodic = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const meters = new MeterProvider({ readers: [periodic] });
  after(() => meters.shutdown());
  const collect = async () => {
    exporter.reset();
    await periodic.forceFlush();
    return exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  };
  return {
    telemetry: otel({ meter: meters.getMeter("tollgate") }),
    names: async () => (await collect()).map(({ descriptor }) => descriptor.name).sort(),
    async samples() {
      const samples = new Map<string, number>();
      const add = (name: string, labels: string[], value: number) => {
        const key = `${name}{${labels.join(",")}}`;
        samples.set(key, (samples.get(key) ?? 0) + value);
      };
      for (const { descriptor, dataPoints } of await collect()) {
        const metric = METRICS.find(({ name }) => name === descriptor.name) ?? assert.fail(descriptor.name);
        const name = prometheusName(metric);
        for (const { attributes, value } of dataPoints) {
          const labels = metric.labels.flatMap((label) => {
            const found = attributes[ATTRIBUTES[label as keyof typeof ATTRIBUTES]];
            return found === undefined ? [] : [`${label}="${found}"`];
          });
          if (typeof value === "number") {
            add(name, labels, value);
            continue;
          }
          const { buckets, sum = 0 } = value as { buckets: { boundaries: number[]; counts: number[] }; sum?: number };
          let counted = 0;
          for (const [i, count] of buckets.counts.entries()) {
            counted += count;
            add(`${name}_bucket`, [`le="${buckets.boundaries[i] ?? "+Inf"}"`, ...labels], counted);
          }
          add(`${name}_sum`, labels, sum);
          add(`${name}_count`, labels, counted);
        }
      }
      return samples;
    },
  };
}

/** The samples of a service's page, without those at 0, of which OpenTelemetry has none. */
function parsed(text: string, metrics: readonly Metric[]): Samples {
  const names = metrics.map(prometheusName);
  const samples = new Map<string, number>();
  for (const [, series = "", name = "", value = ""] of text.matchAll(/^((tollgate_\w+)(?:\{.*\})?) (\S+)$/gm)) {
    if (!names.some((known) => name === known || new RegExp(`^${known}_(bucket|sum|count)$`).test(name))) continue;
    samples.set(series === name ? `${series}{}` : series, Number(value.replace("+Inf", "Infinity")));
  }
  return samples;
}

const nonzero = (samples: Samples) => Object.fromEntries([...samples].filter(([, value]) => value !== 0).sort());

/** Does everything that a metric counts. */
async function use(limiter: Limiter): Promise<void> {
  const call = { tool: "model", session: "s1" };
  for (let i = 0; i < 5; i++) await limiter.consume(call);
  await limiter.record({ tool: "search", session: "s1" });
  await limiter.peek(call);
  for (const _ of [1, 2]) await limiter.consume({ ...call, session: "s2", idempotencyKey: "k" });
  const held = await limiter.reserve({ ...call, session: "s3" });
  if (held.allowed) await held.hold.settle({ tokens: 5 });
  const bound = limiter.for({ session: "s4" });
  await bound.run({ tool: "model" }, () => 1);
  await assert.rejects(bound.run({ tool: "model" }, () => Promise.reject(new Error("broken"))));
  await bound.consume({ tool: "made-up" }, { maxWaitMs: 1 });
  await assert.rejects(limiter.consume({ tool: "model", session: "s1", cost: { euros: 1 } } as never));
  await assert.rejects(limiter.consume(null as never));
  await limiter.reset({ limit: "calls", session: "s1" });
}

describe("both exporters", () => {
  it("have the same numbers for the same calls", async () => {
    const { telemetry, samples } = reader();
    const { service, ask } = await served({ policy: JSON.stringify(POLICY), telemetry });
    await use(service.limiter);
    const own = parsed((await ask("GET", "/metrics")).text, Object.values(LIMITER_METRICS));
    const theirs = await samples();
    assert.deepEqual(nonzero(own), nonzero(theirs));
    const counted = (series: string) => assert.ok((own.get(series) ?? 0) > 0, `${series} is not counted`);
    for (const series of [
      'tollgate_decisions_total{allowed="false",degraded="false",replayed="false"}',
      'tollgate_decisions_total{allowed="true",degraded="false",replayed="true"}',
      'tollgate_denials_total{limit="calls",mode="enforce"}',
      'tollgate_denials_total{limit="warns",mode="warn"}',
      'tollgate_denials_total{limit="watched",mode="shadow"}',
      'tollgate_usage_total{limit="tokens",unit="tokens"}',
      'tollgate_decision_duration_seconds_count{operation="run"}',
      'tollgate_decision_duration_seconds_count{operation="consume",error_type="unknown-unit"}',
      "tollgate_store_available{}",
    ])
      counted(series);
  });

  it("have every metric of the table, and the service has its own", async () => {
    const { telemetry, names } = reader();
    const service = createService({
      policy: POLICY,
      store: memoryStore(),
      keys: false,
      telemetry,
      metrics: prometheusMetrics(),
    });
    after(() => service.close());
    await use(service.limiter);
    const text = await (await service.fetch(new Request("http://localhost/metrics"))).text();
    const types = [...text.matchAll(/^# TYPE (tollgate_\S+) (\w+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
    assert.deepEqual(types.sort(), METRICS.map((metric) => `${prometheusName(metric)} ${metric.kind}`).sort());
    // Bookings are those of an outage.
    const all = Object.values(LIMITER_METRICS).map(({ name }) => name);
    assert.deepEqual(await names(), all.filter((name) => name !== "tollgate.bookings").sort());
  });

  it("count a retried call only as a decision", async () => {
    const { telemetry, samples } = reader();
    const limiter = createLimiter({ policy: POLICY, store: memoryStore(), telemetry });
    const spent = { tool: "search", session: "s1" };
    await limiter.consume(spent);
    await limiter.consume({ ...spent, idempotencyKey: "k" });
    const before = nonzero(await samples());
    await limiter.consume({ ...spent, idempotencyKey: "k" });
    const after = nonzero(await samples());
    const changed = Object.keys(after).filter((series) => after[series] !== before[series] && !/duration/.test(series));
    assert.deepEqual(changed, ['tollgate_decisions_total{allowed="true",degraded="false",replayed="true"}']);
    await limiter.close();
  });

  it("count the outcome of bookings, and every event", async () => {
    const { telemetry, samples } = reader();
    const hooks = telemetry.observe(null);
    const error = new StoreError("unavailable", "away", { transient: true });
    hooks.happened({ type: "store.unreachable", error });
    assert.equal((await samples()).get("tollgate_store_available{}"), 0);
    hooks.happened({ type: "store.recovered", awayMs: 1, booked: 1, dropped: 2, raised: 3 });
    hooks.happened({ type: "failover.lost", bookings: 4 });
    hooks.happened({ type: "failover.refused", bookings: 5, refunds: 1, error });
    assert.deepEqual(nonzero(await samples()), {
      'tollgate_bookings_total{outcome="booked"}': 1,
      'tollgate_bookings_total{outcome="dropped"}': 2,
      'tollgate_bookings_total{outcome="lost"}': 4,
      'tollgate_bookings_total{outcome="raised"}': 3,
      'tollgate_bookings_total{outcome="refused"}': 5,
      'tollgate_events_total{type="store.unreachable"}': 1,
      'tollgate_events_total{type="store.recovered"}': 1,
      'tollgate_events_total{type="failover.refused"}': 1,
      'tollgate_events_total{type="failover.lost"}': 1,
      "tollgate_store_available{}": 1,
    });
  });

  it("bound the values of every label", async () => {
    const { telemetry, samples } = reader();
    const named = (n: number) => Array.from({ length: 250 }, (_, i) => `name-${n}-${i}`);
    const policyOf = (n: number): PolicyInput => ({
      version: 1,
      tools: Object.fromEntries(named(n).map((name) => [name, {}])),
      limits: named(n).map((name) => ({ name, per: ["session"], unit: `unit_${name.replaceAll("-", "_")}`, quota: 1 })),
    });
    const { service, ask } = await served({ policy: JSON.stringify(policyOf(0)), telemetry });
    for (let n = 0; n < 3; n++) {
      service.reload(policyOf(n));
      const cost = Object.fromEntries(named(n).map((name) => [`unit_${name.replaceAll("-", "_")}`, 1]));
      for (const tool of named(n)) await service.limiter.consume({ tool, session: "s1", cost });
    }
    const own = parsed((await ask("GET", "/metrics")).text, METRICS);
    const theirs = await samples();
    assert.deepEqual(nonzero(new Map([...own].filter(([series]) => theirs.has(series)))), nonzero(theirs));
    const values = (label: string) =>
      new Set([...own.keys()].flatMap((series) => new RegExp(`\\b${label}="([^"]*)"`).exec(series)?.[1] ?? []));
    assert.equal(values("limit").size, 501);
    assert.equal(values("unit").size, 101);
    assert.ok(values("limit").has(OTHER) && values("unit").has(OTHER));
  });
});

describe("the service's metrics", () => {
  it("begin at 0 where an increase must be visible", async () => {
    const { ask } = await served({ policy: JSON.stringify(POLICY) });
    const own = parsed((await ask("GET", "/metrics")).text, METRICS);
    for (const series of [
      'tollgate_policy_reloads_total{outcome="refused"}',
      'tollgate_policy_reloads_total{outcome="applied"}',
      'tollgate_bookings_total{outcome="lost"}',
      'tollgate_bookings_total{outcome="refused"}',
      'tollgate_denials_total{limit="calls",mode="enforce"}',
      'tollgate_usage_total{limit="tokens",unit="tokens"}',
      'tollgate_rejected_requests_total{reason="slow-listener"}',
      'tollgate_decisions_total{allowed="false",degraded="false",replayed="false"}',
    ])
      assert.equal(own.get(series), 0, series);
  });

  it("show the build and the policy in force", async () => {
    const { service, ask } = await served({ policy: JSON.stringify(POLICY) });
    const infos = async () => (await ask("GET", "/metrics")).text.match(/^tollgate_(build|policy)_info\{.*$/gm);
    const inForce = async () => (await ask("GET", "/v1/policy")).json.version;
    const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
    const build = `tollgate_build_info{version="${version}"} 1`;
    const first = await inForce();
    assert.deepEqual(await infos(), [build, `tollgate_policy_info{version="${first}"} 1`]);
    service.reload({ ...POLICY, limits: POLICY.limits.slice(0, 1) });
    assert.notEqual(await inForce(), first);
    assert.deepEqual(await infos(), [build, `tollgate_policy_info{version="${await inForce()}"} 1`]);
    // Also when the limiter was reloaded by itself.
    service.limiter.reload(POLICY);
    assert.deepEqual(await infos(), [build, `tollgate_policy_info{version="${await inForce()}"} 1`]);
  });

  it("measure calls that wait, begin and reserve, like all others", async () => {
    const { ask, post } = await served({ policy: JSON.stringify(POLICY) });
    const call = { tool: "model", session: "s1" };
    await post("/v1/consume", { call });
    await post("/v1/consume", { call, maxWaitMs: 1 });
    await post("/v1/reserve", { call, maxWaitMs: 0 });
    await post("/v1/begin", { call });
    const own = parsed((await ask("GET", "/metrics")).text, Object.values(LIMITER_METRICS));
    const counts = [...own].filter(([series]) => series.startsWith("tollgate_decision_duration_seconds_count"));
    assert.deepEqual(
      counts.map(([series, count]) => `${/operation="(\w+)"/.exec(series)?.[1]} ${count}`),
      ["consume 1", "reserve 1", "begin 1"],
    );
    assert.equal(own.get('tollgate_decisions_total{allowed="true",degraded="false",replayed="false"}'), 3);
    assert.equal(own.get('tollgate_decisions_total{allowed="false",degraded="false",replayed="false"}'), 1);
  });
});

describe("telemetry of a remote limiter", () => {
  it("has the numbers of a limiter with a store", async () => {
    const { url } = await served({ policy: JSON.stringify(POLICY) });
    const [here, there] = [reader(), reader()];
    const local = createLimiter({ policy: POLICY, store: memoryStore(), telemetry: here.telemetry });
    const failover = localFailover({ policy: POLICY, instances: 1 });
    const remote = createRemoteLimiter({ url, failover, telemetry: there.telemetry });
    for (const limiter of [local, remote]) await use(limiter);
    const counted = async (of: typeof here) =>
      Object.entries(nonzero(await of.samples())).filter(([series]) => !/seconds_(bucket|sum)/.test(series));
    assert.deepEqual(await counted(there), await counted(here));
    await Promise.all([local.close(), remote.close()]);
  });
});

describe("telemetry", () => {
  it("costs no call its answer when it throws", async () => {
    const broken = () => {
      throw new Error("broken");
    };
    const hooks = { decided: broken, took: broken, happened: broken, reloaded: broken };
    const limiter = createLimiter({ policy: POLICY, store: memoryStore(), telemetry: { observe: () => hooks } });
    const warned: string[] = [];
    const listen = ({ message }: Error) => void warned.push(message);
    process.on("warning", listen);
    assert.equal((await limiter.consume({ tool: "model", session: "s1" })).allowed, true);
    limiter.reload(POLICY);
    await new Promise(setImmediate);
    process.off("warning", listen);
    assert.equal(warned.length, 4);
    for (const message of warned) assert.match(message, /^telemetry threw: /);
    await limiter.close();
  });

  it("names the failures of a store by their codes", async () => {
    const { telemetry, samples } = reader();
    const failing = {
      ...memoryStore(),
      answer: undefined,
      apply: async () => {
        throw new StoreError("unavailable", "away", { transient: true });
      },
      close: async () => {},
    };
    const limiter = createLimiter({ policy: POLICY, store: failing as never, telemetry });
    await assert.rejects(limiter.consume({ tool: "model", session: "s1" }), { code: "unavailable" });
    const series = 'tollgate_decision_duration_seconds_count{operation="consume",error_type="unavailable"}';
    assert.equal((await samples()).get(series), 1);
    await limiter.close();
  });
});

describe("the documentation", () => {
  const page = readFileSync(`${ROOT}docs/metrics.md`, "utf8");
  const cells = (line: string) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
  const rows = (heading: string) => {
    const [, section = ""] = page.split(`## ${heading}\n`);
    const lines = (section.split("\n## ")[0] ?? "").split("\n").filter((line) => line.startsWith("| "));
    return lines.slice(2).map(cells);
  };
  const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(", ");
  const about = (metric: Metric) => [
    `\`${prometheusName(metric)}\``,
    `${metric.kind}, \`${metric.unit}\``,
    code([...metric.labels, ...metric.otelLabels.map((label) => ATTRIBUTES[label])]) || "-",
    metric.description,
  ];

  it("has the table of the code", () => {
    const expected = Object.values(LIMITER_METRICS).map((metric) => [`\`${metric.name}\``, ...about(metric)]);
    const text = (table: readonly (readonly string[])[]) => table.map((row) => `| ${row.join(" | ")} |`).join("\n");
    assert.equal(text(rows("Of a limiter")), text(expected));
    assert.equal(text(rows("Of the service")), text(Object.values(SERVICE_METRICS).map(about)));
  });

  it("has every label, and its attribute", () => {
    const known = rows("Labels").flatMap(([labels = "", attribute = ""]) => {
      const names = labels === "-" ? ["-"] : [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label);
      return names.map((label) => `${label} ${attribute.replaceAll("`", "")}`);
    });
    const { tool, ...both } = ATTRIBUTES;
    for (const [label, attribute] of [...Object.entries(both), ["-", tool]]) {
      assert.ok(known.includes(`${label} ${attribute}`), `no row for ${label}, ${attribute}`);
    }
    for (const label of METRICS.flatMap(({ labels }) => labels)) {
      if (label === "version") continue;
      assert.ok(
        known.some((row) => row.startsWith(`${label} `)),
        `no row for ${label}`,
      );
    }
  });
});

describe("the names", () => {
  it("are those of the pinned semantic conventions", () => {
    const { version } = JSON.parse(
      readFileSync(`${ROOT}node_modules/@opentelemetry/semantic-conventions/package.json`, "utf8"),
    );
    assert.equal(CONVENTIONS, version);
    assert.equal(ATTRIBUTES.tool, conventions.ATTR_GEN_AI_TOOL_NAME);
    assert.equal(ATTRIBUTES.error_type, conventions.ATTR_ERROR_TYPE);
    assert.equal(OTHER, conventions.ERROR_TYPE_VALUE_OTHER);
    assert.equal(SPAN_ATTRIBUTES.toolCallId, conventions.ATTR_GEN_AI_TOOL_CALL_ID);
    assert.equal(SPAN_ATTRIBUTES.genAiOperation, conventions.ATTR_GEN_AI_OPERATION_NAME);
    assert.equal(EXECUTE_TOOL, conventions.GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL);
  });

  it("are dotted, with labels that have attributes", () => {
    for (const { name, unit } of METRICS) assert.match(`${name} ${unit}`, /^tollgate(\.[a-z_]+)+ (s|\{[a-z]+\})$/);
    for (const { labels, otelLabels } of Object.values(LIMITER_METRICS)) {
      for (const label of [...labels, ...otelLabels]) assert.ok(label in ATTRIBUTES, label);
    }
  });
});

// What a limiter tells OpenTelemetry, read from what the SDK exports.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { after, describe, it } from "node:test";
import { type Context, type ContextManager, context, ROOT_CONTEXT, SpanStatusCode, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import {
  createLimiter,
  type Decision,
  type LimiterEvent,
  type LimiterOptions,
  MisuseError,
  type PolicyInput,
} from "tollgate";
import { type ClientOptions, createRemoteLimiter } from "tollgate/client";
import { localFailover } from "tollgate/client/failover";
import { memoryLog } from "tollgate/log";
import { type OtelOptions, otel } from "tollgate/otel";
import type { ServiceOptions } from "tollgate/service";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { ownServers, startRedis } from "./servers.ts";
import { served } from "./service/served.ts";

/** So that what is active follows promises, as programs set it up. */
class Followed implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();
  active = () => this.#storage.getStore() ?? ROOT_CONTEXT;
  with: ContextManager["with"] = (active, run, self, ...args) => this.#storage.run(active, () => run.apply(self, args));
  bind: ContextManager["bind"] = (_active, target) => target;
  enable = () => this;
  disable = () => this;
}
context.setGlobalContextManager(new Followed());

const POLICY: PolicyInput = {
  version: 1,
  tools: { model: { cost: { tokens: 10 } } },
  limits: [
    { name: "calls", per: ["session"], quota: 3 },
    {
      name: "tokens",
      per: ["session"],
      when: { tool: ["model"] },
      unit: "tokens",
      quota: { from: "call", default: 1_000, max: 1_000 },
    },
    { name: "watched", per: ["session"], mode: "shadow", quota: 1 },
  ],
};

type Attributes = Readonly<Record<string, unknown>>;

function make(options: Partial<LimiterOptions> = {}, reported: OtelOptions = {}) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const meters = new MeterProvider({ readers: [reader] });
  const spans = new InMemorySpanExporter();
  const tracers = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] });
  const telemetry = otel({ meter: meters.getMeter("tollgate"), tracer: tracers.getTracer("tollgate"), ...reported });
  const limiter = createLimiter({ policy: POLICY, store: memoryStore(), telemetry, ...options });
  after(async () => {
    await limiter.close();
    await meters.shutdown();
    await tracers.shutdown();
  });
  const collect = async () => {
    exporter.reset();
    await reader.forceFlush();
    return exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  };
  const points = async (name: string) =>
    ((await collect()).find(({ descriptor }) => descriptor.name === name)?.dataPoints ?? []) as {
      readonly attributes: Attributes;
      readonly value: unknown;
    }[];
  const value = async (name: string, attributes: Attributes = {}) =>
    (await points(name)).reduce((sum, point) => {
      const isMeant = Object.entries(attributes).every(([key, wanted]) => point.attributes[key] === wanted);
      return isMeant ? sum + Number(point.value) : sum;
    }, 0);
  return { limiter, telemetry, collect, points, value, spans };
}

describe("metrics", () => {
  it("count decisions, denials by limit and units", async () => {
    const { limiter, value } = make();
    for (let i = 0; i < 5; i++) await limiter.consume({ tool: "model", session: "s1" });
    assert.equal(await value("tollgate.decisions", { "tollgate.decision.allowed": true }), 3);
    assert.equal(await value("tollgate.decisions", { "tollgate.decision.allowed": false }), 2);
    assert.equal(await value("tollgate.denials", { "tollgate.limit.name": "calls" }), 2);
    assert.equal(
      await value("tollgate.denials", { "tollgate.limit.name": "watched", "tollgate.limit.mode": "shadow" }),
      4,
    );
    assert.equal(await value("tollgate.usage", { "tollgate.limit.name": "calls", "tollgate.unit": "calls" }), 3);
    assert.equal(await value("tollgate.usage", { "tollgate.unit": "tokens" }), 30);
  });

  it("count late bookings also beyond the quota, and a repeated call once", async () => {
    const { limiter, value } = make();
    for (let i = 0; i < 5; i++) await limiter.record({ tool: "model", session: "s1" });
    assert.equal(await value("tollgate.usage", { "tollgate.limit.name": "calls" }), 5);
    const call = { tool: "model", session: "s2", idempotencyKey: "k" };
    await limiter.consume(call);
    await limiter.consume(call);
    assert.equal(await value("tollgate.usage", { "tollgate.limit.name": "calls" }), 6);
    assert.equal(await value("tollgate.decisions", { "tollgate.decision.replayed": true }), 1);
  });

  it("name only tools of the policy", async () => {
    const { limiter, points } = make();
    const told = async () =>
      [...new Set((await points("tollgate.decisions")).map(({ attributes }) => attributes["gen_ai.tool.name"]))].sort();
    for (let i = 0; i < 50; i++) await limiter.consume({ tool: `made-up-${i}`, session: `s${i}` });
    await limiter.consume({ tool: "model", session: "s" });
    assert.deepEqual(await told(), ["_OTHER", "model"]);
    limiter.reload({ ...POLICY, tools: { ...POLICY.tools, late: {} } });
    await limiter.for({ session: "s2", tool: "late" }).consume({ tool: "late" });
    assert.deepEqual(await told(), ["_OTHER", "late", "model"]);
  });

  it("have a histogram of how long decisions took, by operation and kind of failure", async () => {
    const { limiter, collect } = make();
    const call = { tool: "model", session: "s1" };
    await limiter.consume(call);
    await limiter.peek(call);
    await (await limiter.reserve(call)).verdicts;
    await limiter.run(call, () => new Promise((resolve) => setTimeout(resolve, 300)));
    await limiter.consume({ ...call, session: "s2" }, { maxWaitMs: 10 });
    await limiter.reserve({ ...call, session: "s3" }, { maxWaitMs: 10 });
    await limiter.run({ ...call, session: "s4" }, () => {}, { maxWaitMs: 10 });
    await assert.rejects(limiter.consume({ tool: "model" }), MisuseError);
    const metric = (await collect()).find(({ descriptor }) => descriptor.name === "tollgate.decision.duration");
    assert.equal(metric?.descriptor.unit, "s");
    const found = metric?.dataPoints as unknown as {
      attributes: Attributes;
      value: { count: number; sum: number; buckets: { boundaries: number[] } };
    }[];
    const counts = found.map(({ attributes, value }) => [...Object.values(attributes), value.count].join(" ")).sort();
    assert.deepEqual(counts, ["consume 1", "consume missing-dimension 1", "peek 1", "reserve 1", "run 1"]);
    assert.deepEqual(found[0]?.value.buckets.boundaries.slice(0, 3), [0.00001, 0.000025, 0.00005]);
    const run = found.find(({ attributes }) => attributes["tollgate.operation.name"] === "run");
    assert.ok((run?.value.sum ?? 1) < 0.25, "of the decision, not of what ran");
  });

  it("have names and units of the conventions", async () => {
    const { limiter, collect } = make();
    await limiter.consume({ tool: "model", session: "s1" });
    const names = (await collect()).map(({ descriptor: { name, unit } }) => `${name} ${unit}`);
    assert.ok(names.length >= 5);
    for (const name of names) assert.match(name, /^tollgate(\.[a-z_]+)+ (1|s|\{[a-z]+\})$/);
  });

  it("work with every option of a limiter, of a service and of a remote limiter", async () => {
    type Others<Options> = Required<Omit<Options, "policy" | "store" | "telemetry">>;
    const listeners = { onDecision: () => {}, onEvent: () => {} };
    const options: Others<LimiterOptions> = {
      prefix: "other",
      failover: false,
      denyCacheMs: 0,
      quotas: () => undefined,
      log: memoryLog(),
      ...listeners,
    };
    const { limiter, value } = make(options);
    // A service has all of them, too.
    const ofService: Others<
      Omit<ServiceOptions, "policySource" | "keys" | "logger" | "parts" | "audit" | "bounds" | "metrics">
    > = options;
    const [counted, telemetry] = [make(), { telemetry: otel() }];
    const { url } = await served({ policy: JSON.stringify(POLICY), ...ofService, telemetry: counted.telemetry });
    const ofRemote: Required<Omit<ClientOptions, "telemetry">> = {
      url,
      apiKey: "tg_unused",
      deadlineMs: 5_000,
      idempotency: "off",
      failover: localFailover({ policy: POLICY, instances: 2 }),
      fetch,
      ...listeners,
    };
    const remote = createRemoteLimiter({ ...ofRemote, ...telemetry });
    for (const each of [limiter, remote])
      assert.equal((await each.consume({ tool: "model", session: "s1" })).allowed, true);
    for (const counts of [value, counted.value]) assert.equal(await counts("tollgate.decisions"), 1);
    await remote.close();
  });

  it("leave listeners and wrong options to the limiter", async () => {
    const heard: (Decision | LimiterEvent)[] = [];
    const { limiter } = make({ onDecision: (decision) => heard.push(decision), onEvent: (event) => heard.push(event) });
    await limiter.consume({ tool: "model", session: "s1" });
    await limiter.reset({ limit: "calls", session: "s1" });
    assert.equal(heard.length, 2);
    const wrong: [Partial<LimiterOptions>, object][] = [
      [{ onDecision: 7 as never }, {}],
      [{ store: {} as never }, {}],
      [{ policie: {} } as never, {}],
      [{}, { span: true }],
      [{}, { spans: "yes" }],
      [{}, { meter: {} }],
      [{}, { tracer: 7 }],
    ];
    for (const [options, telemetry] of wrong) {
      assert.throws(() => make(options, telemetry as OtelOptions), MisuseError, JSON.stringify([options, telemetry]));
    }
  });
});

describe("while the store is unreachable", ownServers, () => {
  it("metrics show it with the maximum overshoot, and afterwards the bookings", async () => {
    const redis = await startRedis();
    const policy: PolicyInput = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 100 }] };
    const back = Promise.withResolvers<LimiterEvent>();
    const { limiter, value } = make({
      policy,
      store: redisStore(redis.ioredis()),
      failover: { instances: 2 },
      onEvent: (event) => {
        if (event.type === "store.recovered") back.resolve(event);
      },
    });
    const call = { tool: "model", session: "s1" };
    await limiter.consume(call);
    assert.deepEqual([await value("tollgate.store.available"), await value("tollgate.decision.max_overshoot")], [1, 0]);
    await redis.kill();
    const { degraded } = await limiter.consume(call);
    assert.ok(degraded !== null);
    assert.equal(await value("tollgate.store.available"), 0);
    assert.equal(await value("tollgate.decision.max_overshoot"), degraded.maxOvershoot);
    assert.equal(await value("tollgate.decisions", { "tollgate.decision.degraded": true }), 1);
    assert.equal(await value("tollgate.events", { "tollgate.event.type": "store.unreachable" }), 1);
    await redis.restart();
    await back.promise;
    assert.deepEqual([await value("tollgate.store.available"), await value("tollgate.decision.max_overshoot")], [1, 0]);
    assert.ok((await value("tollgate.bookings", { "tollgate.booking.outcome": "booked" })) >= 1);
  });
});

describe("spans", () => {
  it("are optional: one for each decision", async () => {
    const call = { tool: "model", session: "s1" };
    const without = make();
    await without.limiter.consume(call);
    assert.equal(without.spans.getFinishedSpans().length, 0);
    const { limiter, spans } = make({}, { spans: true });
    await limiter.consume(call);
    await limiter.peek(call);
    await limiter.record(call);
    const held = await limiter.reserve(call);
    if (held.allowed) await held.hold.release();
    await limiter.consume({ ...call, cost: { calls: 9 } });
    const found = spans.getFinishedSpans();
    assert.deepEqual(
      found.map(({ name }) => name),
      ["tollgate.consume", "tollgate.peek", "tollgate.record", "tollgate.reserve", "tollgate.consume"],
    );
    assert.deepEqual(found.at(-1)?.attributes, {
      "tollgate.operation.name": "consume",
      "gen_ai.tool.name": "model",
      "tollgate.decision.allowed": false,
      "tollgate.decision.degraded": false,
      "tollgate.decision.replayed": false,
      "tollgate.decision.denied_by": "calls",
    });
  });

  it("have the id of the tool call, and mark the execution of a tool", async () => {
    const { limiter, spans } = make({}, { spans: true });
    const bound = limiter.for({ session: "s1", tool: "model" });
    await bound.run({ tool: "search", toolCallId: "call_1" }, () => {});
    await bound.run({ tool: "model", toolCallId: "call_3" }, () => {});
    await bound.run({ tool: "search", model: "m-1", toolCallId: "x".repeat(257) }, () => {});
    await bound.consume({ toolCallId: "call_2" } as never);
    const told = spans
      .getFinishedSpans()
      .map(({ attributes }) => [
        attributes["gen_ai.operation.name"],
        attributes["gen_ai.tool.name"],
        attributes["gen_ai.tool.call.id"],
      ]);
    assert.deepEqual(told, [
      ["execute_tool", "_OTHER", "call_1"],
      [undefined, "model", "call_3"],
      [undefined, "_OTHER", undefined],
      [undefined, "model", "call_2"],
    ]);
  });

  it("exist in a service and in a remote limiter, for the part of each", async () => {
    const [there, here] = [make({}, { spans: true }), make({}, { spans: true })];
    const { url } = await served({ policy: JSON.stringify(POLICY), telemetry: there.telemetry });
    const remote = createRemoteLimiter({ url, telemetry: here.telemetry });
    const ran = await remote.run({ tool: "search", session: "s1" }, () => trace.getActiveSpan()?.spanContext().spanId);
    await remote.for({ session: "s1" }).consume({ tool: "model" }, { maxWaitMs: 1 });
    const told = ({ spans }: typeof here) =>
      spans
        .getFinishedSpans()
        .map(({ name, attributes }) => [
          name,
          attributes["gen_ai.operation.name"],
          attributes["gen_ai.tool.name"],
          attributes["tollgate.decision.allowed"],
        ]);
    // A remote limiter without a policy knows no tools.
    assert.deepEqual(told(here), [
      ["tollgate.run", "execute_tool", "_OTHER", true],
      ["tollgate.consume", undefined, "_OTHER", true],
    ]);
    assert.deepEqual(told(there), [
      ["tollgate.begin", undefined, "_OTHER", true],
      ["tollgate.consume", undefined, "model", true],
    ]);
    assert.equal(ran.allowed && ran.value, here.spans.getFinishedSpans()[0]?.spanContext().spanId);
    await remote.close();
  });

  it("of a run are active while it runs, and end with it", async () => {
    const { limiter, spans } = make({}, { spans: true });
    const call = { tool: "model", session: "s1" };
    const ran = await limiter.run(call, async () => {
      assert.equal(spans.getFinishedSpans().length, 0);
      await null;
      return trace.getActiveSpan()?.spanContext().spanId;
    });
    const [span] = spans.getFinishedSpans();
    assert.equal(span?.name, "tollgate.run");
    assert.equal(ran.allowed && ran.value, span?.spanContext().spanId);
    await assert.rejects(
      limiter.run(call, () => Promise.reject(new Error("it broke"))),
      /it broke/,
    );
    const failed = spans.getFinishedSpans().at(-1);
    assert.equal(failed?.status.code, SpanStatusCode.ERROR);
    assert.equal(failed?.attributes["error.type"], "_OTHER");
    assert.equal(failed?.attributes["tollgate.decision.allowed"], true);
    assert.deepEqual(failed?.events, []);
  });
});

describe("the content of a call", () => {
  it("is never exported, for any content and failure", async () => {
    const SECRET = "s3cr3t";
    const { limiter, collect, spans } = make({}, { spans: true });
    const hostile = {
      tool: `tool-${SECRET}`,
      session: `session-${SECRET}`,
      user: `__proto__${SECRET}`,
      toolCallId: "call_1",
      args: { [SECRET]: SECRET, nested: [SECRET] },
      idempotencyKey: `key-${SECRET}`,
    };
    for (let i = 0; i < 6; i++) await limiter.consume({ ...hostile, idempotencyKey: `${SECRET}${i}` });
    await limiter.peek(hostile);
    await limiter.record(hostile);
    const held = await limiter.reserve({ ...hostile, tool: SECRET, session: `${SECRET}2` });
    if (held.allowed) await held.hold.settle();
    await limiter.run({ ...hostile, session: `${SECRET}3` }, () => SECRET);
    await assert.rejects(limiter.run({ ...hostile, session: `${SECRET}4` }, () => Promise.reject(new Error(SECRET))));
    const misuses = [
      { [SECRET]: 1 },
      { session: { [SECRET]: 1 } },
      { cost: { [SECRET]: 1 } },
      { cost: { calls: SECRET } },
    ];
    for (const misuse of misuses) {
      await assert.rejects(limiter.consume({ ...hostile, ...misuse } as never), MisuseError);
    }
    for (const tool of [
      Symbol(SECRET),
      Object.create(null, { [SECRET]: { value: SECRET } }),
      { toString: () => SECRET },
    ]) {
      await assert.rejects(limiter.consume({ tool, session: "s" } as never), MisuseError);
    }
    await assert.rejects(limiter.for({ user: SECRET }).consume(null as never), MisuseError);
    await assert.rejects(limiter.reset({ limit: SECRET, session: SECRET }), MisuseError);
    const metrics = await collect();
    const traced = spans.getFinishedSpans().map(({ name, attributes, events, status, links }) => {
      return { name, attributes, events, status, links };
    });
    assert.ok(metrics.length >= 5 && traced.length >= 15);
    assert.doesNotMatch(JSON.stringify([metrics, traced]), new RegExp(SECRET));
    // The id of a tool call is for spans alone.
    assert.doesNotMatch(JSON.stringify(metrics), /call_1/);
    assert.ok(traced.some(({ attributes }) => attributes["gen_ai.tool.call.id"] === "call_1"));
  });
});

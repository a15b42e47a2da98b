// Who denied a call, as everything that hands a decision on says it: beside the limit that denies, one only warns and one
// only counts, and the call fits into neither.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as settled } from "node:timers/promises";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { createLimiter, type Denied, LimitExceededError, type Limiter, type PolicyInput } from "tollgate";
import { aiSdkGuard } from "tollgate/adapters/ai-sdk";
import { fetchGuard } from "tollgate/adapters/fetch";
import { createRemoteLimiter } from "tollgate/client";
import { otel } from "tollgate/otel";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { fieldsOf } from "../../src/adapters/guard.ts";
import { deniedAnswer, deniedResult } from "../../src/adapters/langchain/messages.ts";
import { replayJob } from "../../src/cli/replay-job.ts";
import { answerOf } from "../../src/envoy/answer.ts";
import { served } from "../service/served.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    {
      name: "warns",
      per: ["session"],
      algorithm: "streak",
      of: "errors",
      quota: 1,
      mode: "warn",
      resetAfterIdle: "9h",
    },
    { name: "counts", per: ["session"], quota: 1, algorithm: "fixed-window", window: "8h", mode: "shadow" },
    { name: "denies", per: ["session"], quota: 2, algorithm: "fixed-window", window: "1h" },
  ],
};
const CALL = { tool: "search", session: "s1" };

/** Makes all three limits deny the next call, if they could. */
async function spend(limiter: Limiter): Promise<void> {
  await limiter.consume(CALL);
  await limiter.reportOutcome(CALL, { error: new Error("broken") });
  assert.equal((await limiter.consume(CALL)).allowed, true);
}

async function spent(policy = POLICY): Promise<Limiter> {
  const limiter = createLimiter({ policy, store: memoryStore() });
  await spend(limiter);
  return limiter;
}

async function denied(): Promise<Denied> {
  const decision = await (await spent()).consume(CALL);
  assert.ok(!decision.allowed);
  return decision;
}

function checkDecision({ deniedBy, verdicts, retryAfterMs, message, detail }: Denied): void {
  assert.equal(deniedBy, "denies");
  assert.deepEqual(
    verdicts.map(({ limit, allowed, exceeded, mode }) => [limit, allowed, exceeded, mode]),
    [
      ["warns", true, true, "warn"],
      ["counts", true, true, "shadow"],
      ["denies", false, true, "enforce"],
    ],
  );
  assert.ok(retryAfterMs !== null && retryAfterMs <= 3_600_000, `${retryAfterMs}`);
  assert.match(message, /^Limit reached \(denies\)/);
  assert.doesNotMatch(message + detail, /warns|counts/);
}

describe("a call that one limit denies, beside one that warns and one that counts", () => {
  it("is denied by it with any verb", async () => {
    const limiter = await spent();
    const ran = await limiter.run(CALL, () => assert.fail("it ran"));
    const held = await limiter.reserve(CALL);
    for (const decision of [await limiter.peek(CALL), await limiter.consume(CALL), ran, held]) {
      assert.ok(!decision.allowed);
      checkDecision(decision);
    }
    const recorded = await limiter.record(CALL);
    assert.ok(!recorded.allowed);
    checkDecision(recorded);
  });

  it("is allowed, with a notice, where the limit that denies allows it", async () => {
    const [warns, counts] = POLICY.limits as [PolicyInput["limits"][0], PolicyInput["limits"][0]];
    const decision = await (await spent({ version: 1, limits: [warns, counts] })).consume(CALL);
    assert.deepEqual([decision.allowed, decision.deniedBy, decision.retryAfterMs], [true, null, null]);
    assert.deepEqual(
      decision.verdicts.map(({ allowed, exceeded, retryAfterMs }) => [allowed, exceeded, retryAfterMs]),
      [
        [true, true, null],
        [true, true, null],
      ],
    );
    assert.match(decision.notice ?? "", /^Warning: the last call failed\./);
  });

  it("is denied in the texts for agents and programs", async () => {
    const decision = await denied();
    const { retryAfterMs } = decision;
    const fields = { allowed: false, limit: "denies", remaining: 0, retryAfterMs };
    assert.deepEqual(fieldsOf(decision), fields);
    assert.deepEqual(deniedResult({ name: "search", args: {}, id: "1" }, decision).artifact, fields);
    assert.deepEqual(deniedAnswer(decision).response_metadata.tollgate, fields);

    const { search } = aiSdkGuard((await spent()).for({ session: "s1" })).tools({ search: { execute: () => 1 } });
    const run = search.execute as unknown as (input: unknown, options: object) => Promise<unknown>;
    await assert.rejects(run({}, { toolCallId: "1", messages: [] }), (error) => {
      assert.ok(LimitExceededError.isInstance(error));
      assert.equal(error.limit, "denies");
      assert.equal(error.retryAfterMs, error.decision.retryAfterMs);
      return true;
    });
  });

  it("is answered over HTTP with only that limit", async () => {
    const handler = fetchGuard(await spent(), { call: () => CALL })(() => new Response("no"));
    const response = await handler(new Request("http://localhost/"));
    assert.equal(response.status, 429);
    assert.deepEqual(((await response.json()) as { "violated-policies": unknown })["violated-policies"], ["denies"]);
    assert.equal(response.headers.get("ratelimit-policy"), '"denies";q=2;w=3600');
    assert.match(response.headers.get("ratelimit") ?? "", /^"denies";r=0;t=\d+$/);
    assert.ok(Number(response.headers.get("retry-after")) <= 3_600);
  });

  it("is answered to Envoy with only that limit", async () => {
    const decision = await denied();
    const answer = answerOf([decision], { headers: true, metadata: true, policy: null });
    assert.deepEqual(answer.statuses[0]?.currentLimit, { name: "denies", requestsPerUnit: 2, unit: "HOUR" });
    const fields = Object.fromEntries((answer.responseHeadersToAdd ?? []).map(({ key, value }) => [key, value]));
    assert.deepEqual([fields["x-ratelimit-limit"], fields["x-ratelimit-remaining"]], ["2", "0"]);
    assert.ok(Number(fields["retry-after"]) <= 3_600);
    const [first] = JSON.parse(JSON.stringify(answer.dynamicMetadata)).fields.descriptors.listValue.values;
    assert.equal(first.structValue.fields.deniedBy.stringValue, "denies");
  });

  it("is denied in the service, its events, its metrics and its client", async () => {
    const { post, ask, url } = await served({ policy: JSON.stringify(POLICY) });
    const events = await fetch(`${url}/v1/events?types=denial`);
    const limiter = createRemoteLimiter({ url });
    await spend(limiter);
    const answer = await post("/v1/consume", { call: CALL });
    checkDecision(answer.json);
    const decision = await limiter.consume(CALL);
    assert.ok(!decision.allowed);
    checkDecision(decision);

    let text = "";
    for await (const chunk of events.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('"deniedBy":"denies"')) break;
    }

    const { text: metrics } = await ask("GET", "/metrics");
    // Three calls exceeded the limits that warn and count: of these one was allowed.
    assert.deepEqual(metrics.match(/^tollgate_denials_total.*$/gm), [
      'tollgate_denials_total{limit="warns",mode="warn"} 3',
      'tollgate_denials_total{limit="counts",mode="shadow"} 3',
      'tollgate_denials_total{limit="denies",mode="enforce"} 2',
    ]);
    await limiter.close();
  });

  it("is counted for OpenTelemetry by the mode of each exceeded limit", async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
    const meters = new MeterProvider({ readers: [reader] });
    const spans = new InMemorySpanExporter();
    const tracers = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] });
    const telemetry = otel({
      meter: meters.getMeter("tollgate"),
      tracer: tracers.getTracer("tollgate"),
      spans: true,
    });
    const limiter = createLimiter({ policy: POLICY, store: memoryStore(), telemetry });
    await spend(limiter);
    await limiter.consume(CALL);
    await reader.forceFlush();
    const [found] = exporter
      .getMetrics()
      .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
      .filter(({ descriptor }) => descriptor.name === "tollgate.denials");
    const counted = found?.dataPoints.map(({ attributes, value }) => {
      return [attributes["tollgate.limit.name"], attributes["tollgate.limit.mode"], value];
    });
    // The second call was allowed, and the third denied: neither fitted into the first two limits.
    assert.deepEqual(counted?.toSorted(), [
      ["counts", "shadow", 2],
      ["denies", "enforce", 1],
      ["warns", "warn", 2],
    ]);
    const consumed = spans.getFinishedSpans().filter(({ name }) => name === "tollgate.consume");
    const told = consumed.map(({ attributes }) => attributes["tollgate.decision.denied_by"]);
    assert.deepEqual(told, [undefined, undefined, "denies"]);
    await Promise.all([limiter.close(), meters.shutdown(), tracers.shutdown()]);
  });

  it("is counted in the same way by a replay", async () => {
    const limits = POLICY.limits.filter(({ algorithm }) => algorithm !== "streak");
    const policy = JSON.stringify({ ...POLICY, limits });
    const decide = await replayJob({ policy, store: "memory:", prefix: "replay" });
    const told = [];
    for (let i = 0; i < 3; i++) told.push((await decide({ call: CALL, hasFailed: false, result: i })).deniedBy);
    assert.deepEqual(told, [null, null, "denies"]);
  });

  it("waits only for that limit", async () => {
    const clock = fakeClock(0);
    const limiter = createLimiter({ policy: POLICY, store: memoryStore({ clock }) });
    await spend(limiter);
    const waiting = limiter.consume(CALL, { maxWaitMs: 3_600_000 });
    await settled();
    clock.advance(3_600_000);
    assert.equal((await waiting).allowed, true);
    await limiter.close();
  });
});

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { monotonicClock } from "../clock.ts";
import type { Bucket } from "../kernel/charge.ts";
import { claimsUpTo } from "../kernel/claims.ts";
import type { ClaimedQuota } from "../kernel/policy/typed.ts";
import { ANSWER_WITHIN_MS, MAX_IN_FLIGHT, MAX_WAITING } from "./quota-questions.ts";
import { FRESH_MS, MAX_QUOTAS, type QuotaEvent, type QuotaResolver, QuotaLookup, RETRY_MS } from "./quotas.ts";

const MAX = 1_000;
const DEFAULT = 10;

/** The bucket of a tenant, of a limit with `quota: { from: call, default: 10, max: 1000 }`. */
function bucketOf(tenant: string, limit = "monthly"): Bucket {
  const claims = claimsUpTo(MAX, (quota, claims) => ({ quota, claims }) as never);
  const allotment = { quota: DEFAULT, claims };
  const partitionKey = [["tenant", tenant]] as const;
  return { key: `${limit}:${tenant}`, limit: { name: limit }, partitionKey, allotment } as unknown as Bucket;
}

function quotasBy(resolve: QuotaResolver | null) {
  const clock = { ms: 0, nowMs: () => clock.ms };
  const events: QuotaEvent[] = [];
  const quotas = new QuotaLookup(resolve, clock, (event) => events.push(event));
  const quotaOf = async (tenant: string, given?: Record<string, ClaimedQuota>) => {
    const [bucket] = await quotas.of([bucketOf(tenant)], given);
    return bucket?.allotment.quota;
  };
  return { quotas, quotaOf, events, clock };
}

/** Lets what is waited for come in. */
const turnsTaken = () => new Promise((resolve) => setImmediate(resolve));

function heldTimers(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  return (ms: number) => t.mock.timers.tick(ms);
}

describe("the quota of a bucket", () => {
  it("is the quota of the call, else of the resolver, else the default", async () => {
    const { quotaOf } = quotasBy(({ dimensions }) => (dimensions.tenant === "acme" ? 50 : undefined));
    assert.equal(await quotaOf("acme", { monthly: 7 }), 7);
    assert.equal(await quotaOf("acme", { yearly: 7 }), 50);
    assert.equal(await quotaOf("acme"), 50);
    assert.equal(await quotaOf("other"), DEFAULT);
    assert.equal(await quotasBy(null).quotaOf("acme"), DEFAULT);
  });

  it("is never more than the policy's max", async () => {
    for (const claim of [MAX, MAX + 1, Number.MAX_SAFE_INTEGER, "unlimited"] as const) {
      const { quotaOf, events } = quotasBy(() => claim);
      assert.equal(await quotaOf("acme"), MAX);
      assert.equal(await quotaOf("acme", { monthly: claim }), MAX);
      assert.deepEqual(events, []);
    }
    assert.equal(await quotasBy(() => 0).quotaOf("acme"), 0);
  });

  it("is available at once where the resolver is synchronous", async () => {
    const { quotas } = quotasBy(() => 50);
    const found = quotas.of([bucketOf("acme")]);
    assert.ok(!(found instanceof Promise));
  });

  it("is resolved once a minute, with the dimensions of the bucket", async () => {
    const asked: unknown[] = [];
    let quota = 50;
    const { quotaOf, clock } = quotasBy(async ({ limit, dimensions, signal }) => {
      asked.push({ limit, dimensions, isAborted: signal.aborted });
      return quota;
    });
    for (let n = 0; n < 3; n++) assert.equal(await quotaOf("acme"), 50);
    quota = 60;
    clock.ms = FRESH_MS - 1;
    assert.equal(await quotaOf("acme"), 50);
    assert.deepEqual(asked, [{ limit: "monthly", dimensions: { tenant: "acme" }, isAborted: false }]);
    clock.ms = FRESH_MS;
    assert.equal(await quotaOf("acme"), 60);
    assert.equal(asked.length, 2);
  });

  it("is resolved once for all calls that wait for it", async () => {
    let asked = 0;
    const { quotaOf } = quotasBy(async () => {
      asked++;
      await turnsTaken();
      return 50;
    });
    assert.deepEqual(new Set(await Promise.all(Array.from({ length: 500 }, () => quotaOf("acme")))), new Set([50]));
    assert.equal(asked, 1);
  });

  it("is remembered of a bounded number of buckets, those that were used last", async () => {
    const asked = new Map<string, number>();
    const { quotaOf } = quotasBy(({ dimensions }) => {
      const tenant = dimensions.tenant ?? "";
      asked.set(tenant, (asked.get(tenant) ?? 0) + 1);
      return 50;
    });
    for (let n = 0; n < 3 * MAX_QUOTAS; n++) {
      await quotaOf(`t${n}`);
      if (n % 1_000 === 0) await quotaOf("often");
    }
    assert.equal(asked.get("often"), 1);
    await quotaOf("t0");
    assert.equal(asked.get("t0"), 2);
    await quotaOf(`t${3 * MAX_QUOTAS - 1}`);
    assert.equal(asked.get(`t${3 * MAX_QUOTAS - 1}`), 1);
  });
});

const GARBAGE: readonly unknown[] = [
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  "25000",
  "lots",
  null,
  5n,
  {},
  [5],
];

describe("a resolver that fails", () => {
  for (const [what, resolve] of [
    [
      "throws",
      () => {
        throw new Error("no database");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no database"))],
    [
      "throws nothing",
      () => {
        throw undefined;
      },
    ],
    ...GARBAGE.map(
      (answer) =>
        [`answers ${typeof answer === "bigint" ? "5n" : JSON.stringify(answer)}`, async () => answer] as const,
    ),
  ] as const) {
    it(`leaves the default in place: ${what}`, async () => {
      const { quotaOf, events } = quotasBy(resolve as QuotaResolver);
      assert.equal(await quotaOf("acme"), DEFAULT);
      const [event, ...others] = events;
      assert.deepEqual(others, []);
      const { error, ...rest } = event as QuotaEvent;
      const dimensions = { tenant: "acme" };
      assert.deepEqual(rest, { type: "quota.unresolved", limit: "monthly", dimensions, quota: DEFAULT, failures: 1 });
      if (what.startsWith("answers")) assert.match(String(error), /quotas: expected a whole number from 0 .*, got /);
    });
  }

  it("keeps the last quota, is asked again after a pause, and emits few events", async () => {
    let answer: unknown = 50;
    let asked = 0;
    const { quotaOf, events, clock } = quotasBy((async () => {
      asked++;
      if (answer instanceof Error) throw answer;
      return answer;
    }) as QuotaResolver);
    assert.equal(await quotaOf("acme"), 50);
    answer = new Error("no database");
    clock.ms = FRESH_MS;
    for (let n = 0; n < 5; n++) assert.equal(await quotaOf("acme"), 50);
    assert.equal(asked, 2);
    for (let n = 0; n < 5; n++) assert.equal(await quotaOf(`t${n}`), DEFAULT);
    assert.deepEqual(
      events.map(({ quota, failures }) => [quota, failures]),
      [[50, 1]],
    );
    clock.ms += RETRY_MS;
    assert.equal(await quotaOf("acme"), 50);
    clock.ms += RETRY_MS;
    assert.equal(await quotaOf("acme"), 50);
    assert.deepEqual(
      events.map(({ failures }) => failures),
      [1, 7],
    );
    answer = 60;
    clock.ms += RETRY_MS;
    assert.equal(await quotaOf("acme"), 60);
  });

  it("has a deadline, and a late answer is still used", async (t) => {
    const tick = heldTimers(t);
    let answer: (quota: number) => void = () => {};
    let signal: AbortSignal | undefined;
    const { quotaOf, events } = quotasBy((question) => {
      signal = question.signal;
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    const waiting = quotaOf("acme");
    tick(ANSWER_WITHIN_MS + 1);
    assert.equal(await waiting, DEFAULT);
    assert.equal(signal?.aborted, true);
    assert.match(String(events[0]?.error), /no answer within 1000 ms/);
    assert.equal(await quotaOf("acme"), DEFAULT);
    answer(50);
    await turnsTaken();
    assert.equal(await quotaOf("acme"), 50);
  });

  it("loses an earlier answer that comes after a later one", async (t) => {
    const tick = heldTimers(t);
    const answers: ((quota: number) => void)[] = [];
    const { quotaOf, clock } = quotasBy(() => new Promise((resolve) => answers.push(resolve)));
    const first = quotaOf("acme");
    tick(ANSWER_WITHIN_MS + 1);
    assert.equal(await first, DEFAULT);
    clock.ms += RETRY_MS;
    const second = quotaOf("acme");
    answers[1]?.(60);
    assert.equal(await second, 60);
    answers[0]?.(50);
    await turnsTaken();
    assert.equal(await quotaOf("acme"), 60);
  });
});

describe("many questions at once", () => {
  it("are asked in bounded numbers, and wait within their deadline", async (t) => {
    const tick = heldTimers(t);
    const answers: (() => void)[] = [];
    const { quotaOf } = quotasBy(() => new Promise((resolve) => answers.push(() => resolve(50))));
    const waiting = Array.from({ length: 3 * MAX_IN_FLIGHT }, (_, n) => quotaOf(`t${n}`));
    assert.equal(answers.length, MAX_IN_FLIGHT);
    for (const answer of answers.splice(0)) answer();
    await turnsTaken();
    assert.equal(answers.length, MAX_IN_FLIGHT);
    tick(ANSWER_WITHIN_MS + 1);
    const quotas = await Promise.all(waiting);
    assert.equal(quotas.filter((quota) => quota === 50).length, MAX_IN_FLIGHT);
    assert.equal(quotas.filter((quota) => quota === DEFAULT).length, 2 * MAX_IN_FLIGHT);
    // Those that hang keep no others out.
    await turnsTaken();
    const next = quotaOf("next");
    answers.at(-1)?.();
    assert.equal(await next, 50);
  });

  it("fail at once when too many wait", async (t) => {
    heldTimers(t);
    // On a slow machine, asking so many takes longer than until the first are lost.
    t.mock.method(monotonicClock, "nowMs", () => 0);
    const { quotas, quotaOf, events } = quotasBy(() => new Promise(() => {}));
    for (let n = 0; n < MAX_IN_FLIGHT + MAX_WAITING; n++) void quotaOf(`t${n}`);
    assert.equal(await quotaOf("one-more"), DEFAULT);
    assert.match(String(events[0]?.error), /10000 questions wait to be asked/);
    quotas.close();
  });

  it("end when the limiter is closed, without an event", async (t) => {
    const tick = heldTimers(t);
    const signals: AbortSignal[] = [];
    const { quotas, quotaOf, events } = quotasBy(({ signal }) => {
      signals.push(signal);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    });
    const waiting = Array.from({ length: MAX_IN_FLIGHT + 1 }, (_, n) => quotaOf(`t${n}`));
    quotas.close();
    assert.deepEqual(new Set(await Promise.all(waiting)), new Set([DEFAULT]));
    assert.equal(signals.length, MAX_IN_FLIGHT);
    assert.ok(signals.every(({ aborted }) => aborted));
    assert.equal(await quotaOf("late"), DEFAULT);
    assert.deepEqual(events, []);
    tick(ANSWER_WITHIN_MS);
  });
});

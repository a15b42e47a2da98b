// Arguments and results that JSON has no word for: they end no run, in a limiter and over HTTP.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type Limiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { served } from "../service/served.ts";
import { isMisuse } from "./fixture.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "same-call", per: ["session", "args"], quota: 2 },
    { name: "no-progress", per: ["session"], algorithm: "streak", of: "results", quota: 3 },
    { name: "failing", per: ["session"], algorithm: "streak", of: "errors", quota: 3 },
  ],
};

async function limiterIn(place: string): Promise<{ limiter: Limiter; events: LimiterEvent[] }> {
  const events: LimiterEvent[] = [];
  const onEvent = (event: LimiterEvent) => events.push(event);
  if (place === "a limiter")
    return { limiter: createLimiter({ policy: POLICY, store: memoryStore(), onEvent }), events };
  const { url } = await served({ policy: POLICY });
  return { limiter: createRemoteLimiter({ url, onEvent }), events };
}

const thrower = () => {
  throw new Error("not for reading");
};
const cycle: Record<string, unknown> = { name: "cycle" };
cycle.self = cycle;
let deep: unknown = 1;
for (let i = 0; i < 10_000; i++) deep = [deep];
const readable: Readonly<Record<string, unknown>> = {
  "a bigint": 10n ** 30n,
  "a bigint within": { total: 3n, list: [1n] },
  "a map": new Map([["a", 1n]]),
  "a set": new Set([1]),
  "a date": new Date(0),
  "a symbol": Symbol("s"),
  "a function": () => 1,
  nothing: undefined,
  NaN: Number.NaN,
  "a cycle": cycle,
  "more levels than are hashed": deep,
  "more values than are hashed": new Array(1_000_000).fill(1),
  "more text than a body takes": "x".repeat(3_000_000),
};
const unreadable: Readonly<Record<string, unknown>> = {
  "a getter that throws": Object.defineProperty({}, "secret", { enumerable: true, get: thrower }),
  "a toJSON that throws": { toJSON: thrower },
  "a proxy that throws": [new Proxy({}, { ownKeys: thrower, get: thrower })],
};

for (const place of ["a limiter", "a client"]) {
  describe(`a result, in ${place}`, () => {
    it("ends no run, for any value, and equal ones are counted", async () => {
      for (const [what, result] of Object.entries({ ...readable, ...unreadable })) {
        const { limiter, events } = await limiterIn(place);
        for (let i = 0; i < 3; i++) {
          const ran = await limiter.run({ tool: "x", session: "s", args: { i } }, () => result);
          assert.ok(ran.allowed && Object.is(ran.value, result), what);
        }
        const fourth = await limiter.run({ tool: "x", session: "s" }, () => assert.fail(`ran: ${what}`));
        assert.equal(fourth.allowed, false, what);
        const types = events.map(({ type }) => type);
        const isRead = Object.hasOwn(readable, what);
        assert.deepEqual(types, isRead ? [] : ["outcome.unusable", "outcome.unusable", "outcome.unusable"], what);
        await limiter.close();
      }
    });

    it("differs from another one, also where both are unusual", async () => {
      const { limiter } = await limiterIn(place);
      let count = 0;
      for (const [what, result] of Object.entries({ ...readable, ...unreadable })) {
        const ran = await limiter.run({ tool: "x", session: "s", args: { n: count++ } }, () => result);
        // A symbol and a function are nothing in JSON, and so is NaN.
        assert.equal(ran.allowed, true, what);
        await limiter.reportOutcome({ tool: "x", session: "s" }, { result: count });
      }
      await limiter.close();
    });

    it("that is an error has no other effect on a run", async () => {
      const { limiter, events } = await limiterIn(place);
      let count = 0;
      for (const error of [10n, cycle, unreadable["a toJSON that throws"], undefined]) {
        const run = limiter.run({ tool: "x", session: "s" }, () => Promise.reject(error));
        await run.then(
          () => assert.fail("resolved"),
          (thrown) => assert.equal(thrown, error),
        );
        await limiter.reportOutcome({ tool: "x", session: "s" }, { result: count++ });
        await limiter.reset({ limit: "same-call", session: "s", args: {} });
      }
      assert.deepEqual(
        events.filter(({ type }) => type !== "bucket.reset"),
        [],
      );
      await limiter.close();
    });
  });

  describe(`arguments, in ${place}`, () => {
    it("end no run, and are counted as their JSON", async () => {
      const { limiter } = await limiterIn(place);
      const runs = async (args: unknown) => {
        const ran = await limiter.run({ tool: "x", session: "s", args }, () => Math.random());
        return ran.allowed;
      };
      assert.deepEqual([await runs({ n: 1n }), await runs({ n: 1 }), await runs('{"n":1.0}')], [true, true, false]);
      const big = 10n ** 30n;
      assert.deepEqual([await runs([big]), await runs([String(big)]), await runs([big])], [true, true, false]);
      assert.deepEqual(
        [await runs(new Map([["a", 1]])), await runs([["a", 1]]), await runs(new Map([["a", 1]]))],
        [true, true, false],
      );
      assert.equal(await runs(new Map([["a", 2]])), true);
      assert.equal(
        (await limiter.usage({ session: "s", args: { n: 1n } })).find(({ limit }) => limit === "same-call")?.used,
        2,
      );
      await limiter.close();
    });

    it("that cannot be read or hashed are misuse, and nothing is charged", async () => {
      const { limiter } = await limiterIn(place);
      const { "a cycle": ___, "more levels than are hashed": levels, "more values than are hashed": values } = readable;
      const wrong = { ...unreadable, cycle, levels, values, text: readable["more text than a body takes"] };
      for (const [what, args] of Object.entries(wrong)) {
        const call = { tool: "x", session: "s", args };
        for (const idempotencyKey of [undefined, "k"]) {
          await assert.rejects(limiter.consume({ ...call, idempotencyKey }), isMisuse("invalid-call"), what);
        }
        await assert.rejects(limiter.reserve(call), isMisuse("invalid-call"), what);
        await assert.rejects(
          limiter.run(call, () => assert.fail("ran")),
          isMisuse("invalid-call"),
          what,
        );
      }
      const [failing] = (await limiter.usage({ session: "s" })).filter(({ used }) => used > 0);
      assert.equal(failing, undefined);
      await limiter.close();
    });
  });
}

describe("arguments that no limit needs", () => {
  it("are not read at all, without an idempotency key", async () => {
    const policy: PolicyInput = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 20 }] };
    const limiter = createLimiter({ policy, store: memoryStore() });
    for (const args of Object.values({ ...readable, ...unreadable })) {
      assert.equal((await limiter.consume({ tool: "x", session: "s", args })).allowed, true);
    }
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { createLimiter, MisuseError, type PolicyInput, StoreError, type StoreErrorCode } from "tollgate";
import { StoreError as Failed, type LimitSpec, type Step, type StoreRequest } from "tollgate/store";
import { type CounterPort, counterStore } from "tollgate/stores/counter";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { anyRedis } from "../servers.ts";

const server = await anyRedis();
const io = server.ioredis();

/** What a program's own cache service may be: Redis' INCRBY, with a TTL from the first time on. */
const redisPort: CounterPort = {
  async increment(key, by, ttlSeconds) {
    const answers = await io.multi().incrby(key, by).expire(key, ttlSeconds, "NX").exec();
    return Number(answers?.[0]?.[1]);
  },
};

/** A port in a map, which may fail. */
function mapPort(fails: (key: string, by: number) => boolean = () => false) {
  const counts = new Map<string, number>();
  const asked: [key: string, by: number, ttlSeconds: number][] = [];
  const port: CounterPort = {
    async increment(key, by, ttlSeconds) {
      asked.push([key, by, ttlSeconds]);
      await new Promise(setImmediate);
      if (fails(key, by)) throw new Error("no connection");
      const value = (counts.get(key) ?? 0) + by;
      counts.set(key, value);
      return value;
    },
  };
  return { port, counts, asked };
}

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 2, resetAfterIdle: "1h" },
    { name: "per-minute", per: ["session"], algorithm: "fixed-window", window: "1m", quota: 3 },
  ],
};
const call = (turn = "t1") => ({ tool: "search", session: "s1", turn });
const isStoreError = (code: StoreErrorCode, words: RegExp) => (error: unknown) =>
  StoreError.isInstance(error) && error.code === code && words.test(error.message);

describe("the counter store", () => {
  it("adds to plain keys, and undoes denied calls", async () => {
    const { port, counts, asked } = mapPort();
    const clock = fakeClock(Date.UTC(2030, 0, 1) + 90_000);
    const limiter = createLimiter({ policy: POLICY, store: counterStore(port, { clock }) });
    const allowed = [];
    for (const turn of ["t1", "t1", "t1", "t2", "t2"]) allowed.push((await limiter.consume(call(turn))).allowed);
    assert.deepEqual(allowed, [true, true, false, true, false]);
    const window = Date.UTC(2030, 0, 1) + 60_000;
    assert.deepEqual(
      [...counts],
      [
        ["rate:1:{s1}:tool-per-turn:t1:search", 2],
        [`rate:1:{s1}:per-minute:${window}`, 3],
        ["rate:1:{s1}:tool-per-turn:t2:search", 1],
      ],
    );
    assert.deepEqual(
      asked.slice(0, 2).map(([, by, ttlSeconds]) => [by, ttlSeconds]),
      [
        [1, 3_600],
        [1, 120],
      ],
    );
    clock.advance(30_000);
    assert.equal((await limiter.consume(call("t2"))).allowed, true);
  });

  it("answers like the memory store, call by call, for the limits that it supports", async () => {
    const limit: fc.Arbitrary<LimitSpec> = fc.oneof(
      fc.record({
        algorithm: fc.constant("budget"),
        quota: fc.nat(5),
        ttlMs: fc.constant(1e9),
        ttlFrom: fc.constant("first"),
      }),
      fc.record({
        algorithm: fc.constant("fixed-window"),
        quota: fc.nat(5),
        windowMs: fc.constantFrom(10, 50),
        align: fc.constant("epoch"),
      }),
    ) as fc.Arbitrary<LimitSpec>;
    const turn = fc.record({
      advanceMs: fc.constantFrom(0, 0, 1, 10, 50),
      mode: fc.constantFrom("judge", "judge", "judge", "force"),
      buckets: fc.uniqueArray(fc.nat(2), { minLength: 1, maxLength: 3 }),
      cost: fc.constantFrom(1, 1, 2, 0, 9),
      shadow: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(limit, { minLength: 3, maxLength: 3 }),
        fc.array(turn, { maxLength: 20 }),
        async (limits, turns) => {
          const clock = fakeClock();
          const [one, other] = [counterStore(mapPort().port, { clock }), memoryStore({ clock })];
          for (const { advanceMs, mode, buckets, cost, shadow } of turns) {
            clock.advance(advanceMs);
            const steps = buckets.map(
              (of): Step => ({
                bucket: `b${of}`,
                limit: limits[of] as LimitSpec,
                event: { type: "charge", cost },
                shadow: shadow && of === 0,
              }),
            );
            const request = { mode, steps } as StoreRequest;
            const [[counted], [kept]] = await Promise.all([one.apply([request]), other.apply([request])]);
            assert.ok(
              counted !== undefined && kept !== undefined && !Failed.isInstance(counted) && !Failed.isInstance(kept),
            );
            assert.equal(counted.allowed, kept.allowed);
            assert.deepEqual(
              counted.steps.map(({ allowed, used }) => [allowed, used]),
              kept.steps.map(({ allowed, used }) => [allowed, used]),
            );
          }
        },
      ),
      { numRuns: 1_000, seed: 20_261_122 },
    );
  });

  it("never admits more than the quota, at any concurrency, on a real Redis", async () => {
    const policy: PolicyInput = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 50 }] };
    const limiters = Array.from({ length: 4 }, () => createLimiter({ policy, store: counterStore(redisPort) }));
    const session = `many-${process.pid}`;
    const decisions = await Promise.all(
      Array.from({ length: 200 }, (_, i) => limiters[i % 4]?.consume({ tool: "a", session })),
    );
    assert.equal(decisions.filter((decision) => decision?.allowed).length, 50);
    const key = `rate:1:{${session}}:per-session`;
    assert.equal(await io.get(key), "50");
    assert.ok((await io.ttl(key)) > 0);
  });

  it("undoes its additions when the port fails half way", async () => {
    const { port, counts } = mapPort((key, by) => key.includes("per-minute") && by > 0);
    const limiter = createLimiter({ policy: POLICY, store: counterStore(port) });
    await assert.rejects(limiter.consume(call()), isStoreError("unavailable", /no connection/));
    assert.deepEqual([...counts.values()], [0]);
  });

  it("says why the port failed, without the passwords of URLs", async () => {
    const cause = Object.assign(new Error("connect to redis://me:s3cret@db failed"), { code: "ECONNREFUSED" });
    const store = counterStore({ increment: () => Promise.reject(cause) });
    await assert.rejects(
      createLimiter({ policy: POLICY, store }).consume(call()),
      isStoreError("unavailable", /^the port failed: connect to redis:\/\/…@db failed ECONNREFUSED$/),
    );
  });

  it("leaves charged what it cannot undo", async () => {
    const { port, counts } = mapPort((_, by) => by < 0);
    const limiter = createLimiter({ policy: POLICY, store: counterStore(port) });
    for (let i = 0; i < 3; i++) await limiter.consume(call());
    assert.equal(counts.get("rate:1:{s1}:tool-per-turn:t1:search"), 3);
  });

  it("never begins below zero when a key ends before an undo", async () => {
    const { port, counts } = mapPort();
    const ending: CounterPort = {
      increment(key, by, ttlSeconds) {
        if (by < 0) counts.delete(key);
        return port.increment(key, by, ttlSeconds);
      },
    };
    const policy: PolicyInput = { version: 1, limits: [{ name: "a", per: ["session"], quota: 0 }] };
    const limiter = createLimiter({ policy, store: counterStore(ending) });
    assert.equal((await limiter.consume({ tool: "x", session: "s1" })).allowed, false);
    assert.deepEqual([...counts.values()], [0]);
  });

  it("refuses limits that it cannot keep when the limiter is made", () => {
    const store = counterStore(mapPort().port);
    const refuses = (limit: object, got: string) => {
      const policy = { version: 1, limits: [{ name: "a", per: ["session"], quota: 5, ...limit }] } as PolicyInput;
      assert.throws(
        () => createLimiter({ policy, store }),
        (error) => MisuseError.isInstance(error) && error.code === "unsupported-limit" && error.faults[0]?.got === got,
      );
    };
    refuses({ algorithm: "token-bucket", window: "1m" }, "token-bucket");
    refuses({ algorithm: "sliding-window", window: "1m" }, "sliding-window");
    refuses({ algorithm: "concurrency" }, "concurrency");
    refuses({ algorithm: "fixed-window", window: "1m", align: "first-use" }, "a fixed-window of first-use");
    refuses({ per: ["user"], distinct: "session" }, "one that counts distinct values of session");
    refuses({ algorithm: "streak", of: "errors" }, "one of errors in a row");
    refuses({ algorithm: "elapsed", quota: "1m" }, "elapsed");
    refuses({ borrow: "auto" }, "borrow: auto");
  });

  it("refuses calls that it cannot answer", async () => {
    const limiter = createLimiter({ policy: POLICY, store: counterStore(mapPort().port) });
    const isUnsupported = isStoreError("unsupported-request", /only be added to/);
    await assert.rejects(limiter.peek(call()), isUnsupported);
    await assert.rejects(limiter.usage({ session: "s1" }), isUnsupported);
    await assert.rejects(limiter.reset({ limit: "per-minute", session: "s1" }), isUnsupported);
    await assert.rejects(
      limiter.grant({ limit: "per-minute", session: "s1" }, { id: "g", units: 1, durationMs: 1_000 }),
      isUnsupported,
    );
    await assert.rejects(limiter.reserve(call()), isUnsupported);
    await assert.rejects(limiter.consume({ ...call(), idempotencyKey: "k" }), isUnsupported);
    await assert.rejects(limiter.consume(call(), { maxWaitMs: 10 }), isUnsupported);
    assert.equal((await limiter.record(call())).allowed, true);
    const limit: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 1_000, ttlFrom: "last" };
    const undo: StoreRequest = { mode: "undo", steps: [{ bucket: "b", limit, event: { type: "charge", cost: 1 } }] };
    const [undone] = await counterStore(mapPort().port).apply([undo]);
    assert.ok(isUnsupported(undone), "it must not be added");
  });

  it("counts calendar windows, and reports a time outside of the given ones", async () => {
    const clock = fakeClock(Date.UTC(2030, 0, 1, 12));
    const { port, counts } = mapPort();
    const store = counterStore(port, { clock });
    const day: LimitSpec = {
      algorithm: "fixed-window",
      quota: 1,
      align: "calendar",
      boundaries: [0, 1, 2].map((d) => Date.UTC(2030, 0, 1 + d)) as [number, number, number],
    };
    const ask = async () =>
      (
        await store.apply([{ mode: "judge", steps: [{ bucket: "b", limit: day, event: { type: "charge", cost: 1 } }] }])
      )[0];
    const told = async () => {
      const reply = await ask();
      return reply !== undefined && "allowed" in reply
        ? [reply.allowed, reply.stale, reply.steps[0]?.retryAfterMs]
        : reply;
    };
    assert.deepEqual(await told(), [true, undefined, 0]);
    assert.deepEqual(await told(), [false, undefined, 43_200_000]);
    clock.advance(43_200_000);
    assert.deepEqual(await told(), [true, undefined, 0]);
    clock.advance(86_400_000);
    assert.deepEqual(await told(), [false, true, undefined]);
    assert.deepEqual([...counts.keys()], [`b:${Date.UTC(2030, 0, 1)}`, `b:${Date.UTC(2030, 0, 2)}`]);
  });

  it("fails with its name and the fault", async () => {
    assert.throws(() => counterStore({} as never), /port: expected an object with increment/);
    const store = counterStore(mapPort().port);
    assert.deepEqual((await store.apply([{ mode: "peek", steps: [] }])).length, 1);
    await store.close();
    await assert.rejects(store.apply([]), isStoreError("closed", /closed/));
  });
});

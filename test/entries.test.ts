// What enters the kernel: a time, a count or a state that is not a whole number is a StoreError, never a decision. Every
// comparison with NaN is false, so that a limit would let all calls pass.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createLimiter, MisuseError, type PolicyInput, StoreError } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { createService } from "tollgate/service";
import { listen } from "tollgate/service/node";
import {
  decide,
  decideBatch,
  decodeState,
  type LimitSpec,
  type Store,
  type StoreReply,
  type StoreRequest,
} from "tollgate/store";
import { counterStore } from "tollgate/stores/counter";
import { documentStore } from "tollgate/stores/document";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { fakeClock } from "tollgate/testing";
import { networkLayers } from "../src/layers/network.ts";
import { anyRedis } from "./servers.ts";
import { temporaryFolder } from "./temporary.ts";

const NO_WHOLE_NUMBERS: Record<string, unknown> = {
  NaN: Number.NaN,
  undefined: undefined,
  null: null,
  "an empty text": "",
  "a number as text": "1893456000000",
  "a text": "soon",
  "a fraction": 1_893_456_000_000.5,
  infinity: Number.POSITIVE_INFINITY,
  "a negative number": -1,
  "2^53": 2 ** 53,
  "a bigint": 1_893_456_000_000n,
  "a Date": new Date(),
  "a list": [],
  "an object": {},
  true: true,
};

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "quota", per: ["session"], quota: 3 },
    { name: "window", per: ["session"], algorithm: "fixed-window", window: "1m", quota: 3 },
  ],
};
const WIDER: PolicyInput = {
  version: 1,
  limits: [
    ...POLICY.limits,
    { name: "rolling", per: ["session"], algorithm: "sliding-window", window: "1m", quota: 3 },
    { name: "bucket", per: ["session"], algorithm: "token-bucket", window: "1m", quota: 3 },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 3, when: { tool: ["x"] } },
  ],
};
const call = { tool: "search", session: "s1" };
const isInvalid = (error: unknown) =>
  StoreError.isInstance(error) &&
  error.code === "invalid-reply" &&
  !error.transient &&
  /expected .+got /.test(error.message);
/** A clock that says something else than a time until it is mended. */
const brokenClock = (value: unknown) => {
  const clock = { value, nowMs: () => clock.value as number };
  return clock;
};

const redis = await anyRedis();

describe("a clock", () => {
  let files = 0;
  const stores: Record<string, (clock: { nowMs(): number }) => Store> = {
    memory: (clock) => memoryStore({ clock }),
    sqlite: (clock) => sqliteStore(join(temporaryFolder(), `${files++}.db`), { clock }),
    redis: (clock) => redisStore(redis.ioredis(), { clock }),
    "document by a port": (clock) => {
      let value: unknown = null;
      return documentStore({
        async transact(_partition, change) {
          const { json, result } = change(value, clock.nowMs());
          value = json;
          return result;
        },
      });
    },
    counter: (clock) => {
      const counts = new Map<string, number>();
      const increment = async (key: string, by: number) => {
        counts.set(key, (counts.get(key) ?? 0) + by);
        return counts.get(key) ?? 0;
      };
      return counterStore({ increment }, { clock });
    },
  };
  for (const [store, make] of Object.entries(stores)) {
    for (const [name, value] of Object.entries(NO_WHOLE_NUMBERS)) {
      it(`of the ${store} store that returns ${name} decides and books nothing`, async () => {
        const clock = brokenClock(value);
        const session = `${store}-${name}`;
        const policy = store === "counter" ? POLICY : WIDER;
        const limiter = createLimiter({ policy, store: make(clock), failover: false });
        const consume = () =>
          store === "counter" ? limiter.consume({ tool: "x", session }) : limiter.reserve({ tool: "x", session });
        for (let i = 0; i < 2; i++) await assert.rejects(consume(), isInvalid);
        clock.value = Date.UTC(2030, 0, 1);
        const allowed = [];
        for (let i = 0; i < 4; i++) allowed.push((await consume()).allowed);
        assert.deepEqual(allowed, [true, true, true, false]);
      });
    }
  }

  it("is the caller's in decide and decideBatch: both refuse an invalid time", () => {
    const limit: LimitSpec = { algorithm: "budget", quota: 1, ttlMs: 1_000, ttlFrom: "last" };
    const request: StoreRequest = {
      mode: "judge",
      steps: [{ bucket: "b", limit, event: { type: "charge", cost: 1 } }],
    };
    for (const value of Object.values(NO_WHOLE_NUMBERS)) {
      assert.throws(() => decide(request, [undefined], value as number), isInvalid);
      assert.throws(() => decideBatch([request], () => undefined, value as number), isInvalid);
      assert.throws(() => decideBatch([], () => undefined, value as number), isInvalid);
    }
  });
});

describe("a state", () => {
  it("with columns of other types is damaged", () => {
    const { now, ...others } = { ...NO_WHOLE_NUMBERS, now: 1_893_456_000_000 };
    assert.equal(decodeState("1", now)?.kind, "counter");
    for (const value of Object.values(others)) {
      if (value !== -1) assert.equal(decodeState("1", value as number), null);
      // A text of digits is a state.
      if (value !== "1893456000000") assert.equal(decodeState(value as string, now), null);
    }
  });
});

describe("a reply of your own store", () => {
  type Change = (reply: StoreReply, value: unknown) => object;
  const steps = (field: string): Change => {
    return (reply, value) => ({ ...reply, steps: reply.steps.map((step) => ({ ...step, [field]: value })) });
  };
  const fields: Record<string, Change> = {
    nowMs: (reply, value) => ({ ...reply, nowMs: value }),
    used: steps("used"),
    resetAfterMs: steps("resetAfterMs"),
    retryAfterMs: steps("retryAfterMs"),
    granted: steps("granted"),
    waitMs: (reply, value) => ({ ...reply, waitMs: value }),
    steps: (reply, value) => ({ ...reply, steps: value }),
    step: (reply, value) => ({ ...reply, steps: reply.steps.map(() => value) }),
  };
  const may: Record<string, readonly unknown[]> = {
    retryAfterMs: [null],
    granted: [undefined],
    waitMs: [undefined],
  };
  const kinds: Record<string, object> = {
    "asked by each call": {},
    "asked in batches": { layers: networkLayers, batching: { size: 8, underWay: 1 } },
    "that may be away": {
      layers: networkLayers,
      batching: { size: 8, underWay: 1 },
      beat: async () => ({ incarnation: "i", lost: "some", instances: 1, rank: 0, nowMs: Date.UTC(2030, 0, 1) }),
    },
  };
  for (const [kind, more] of Object.entries(kinds)) {
    for (const [field, change] of Object.entries(fields)) {
      it(`${kind}, is refused when its ${field} is not a whole number`, async () => {
        for (const value of Object.values(NO_WHOLE_NUMBERS)) {
          if (may[field]?.includes(value) || (field === "steps" && Array.isArray(value))) continue;
          const inner = memoryStore({ clock: fakeClock() });
          const costs: unknown[] = [];
          const answer = async (requests: readonly StoreRequest[]) => {
            for (const { steps } of requests)
              for (const { event } of steps) if ("cost" in event) costs.push(event.cost);
            const replies = await inner.apply(requests);
            return replies.map((reply) => ("steps" in reply ? change(reply, value) : reply)) as StoreReply[];
          };
          const store: Store = {
            ...more,
            ...("beat" in more ? { book: answer } : {}),
            apply: answer,
            close: async () => {},
          };
          const limits = [
            { name: "lent", per: ["session"], algorithm: "fixed-window", window: "1m", quota: 99, borrow: "auto" },
          ];
          const limiter = createLimiter({ policy: { version: 1, limits } as unknown as PolicyInput, store });
          for (let i = 0; i < 3; i++) await assert.rejects(limiter.consume(call), isInvalid, String(value));
          await assert.rejects(limiter.usage(call), isInvalid);
          await limiter.close();
          assert.deepEqual([...new Set(costs)], [1], "nothing was asked for by a broken number");
        }
      });
    }
  }

  it("is refused in a synchronous store, too", async () => {
    for (const value of Object.values(NO_WHOLE_NUMBERS)) {
      const inner = memoryStore({ clock: fakeClock() });
      const store: Store = {
        ...inner,
        apply: (requests) => inner.apply(requests),
        answer: (request) => ({ ...(inner.answer?.(request) as StoreReply), nowMs: value as number }),
        close: async () => {},
      };
      await assert.rejects(createLimiter({ policy: POLICY, store }).consume(call), isInvalid);
    }
  });

  it("is refused when it is absent or no list", async () => {
    for (const replies of [[], undefined, null, {}, [undefined], [null], [5], ["x"]]) {
      const store = { apply: async () => replies, close: async () => {} } as unknown as Store;
      const isInvalidReply = (error: unknown) => StoreError.isInstance(error) && error.code === "invalid-reply";
      await assert.rejects(createLimiter({ policy: POLICY, store }).consume(call), isInvalidReply);
    }
  });

  it("is refused when its numbers of instances are not whole", async () => {
    for (const field of ["nowMs", "instances", "rank"]) {
      for (const value of Object.values(NO_WHOLE_NUMBERS)) {
        const inner = memoryStore({ clock: fakeClock() });
        const good = { incarnation: "i", lost: "some", instances: 1, rank: 0, nowMs: Date.UTC(2030, 0, 1) };
        const store = {
          apply: (requests: readonly StoreRequest[]) => inner.apply(requests),
          layers: networkLayers,
          book: (requests: readonly StoreRequest[]) => inner.apply(requests),
          beat: async () => ({ ...good, [field]: value }),
          close: async () => {},
        } as unknown as Store;
        const limiter = createLimiter({ policy: POLICY, store });
        await assert.rejects(limiter.consume(call), isInvalid, `${field} ${String(value)}`);
        await limiter.close();
      }
    }
  });
});

describe("a store whose layers are not a function", () => {
  for (const [layers, got] of [
    [true, "true"],
    [{}, "{}"],
    [null, "null"],
  ] as const) {
    it(`is refused when the limiter is made: ${got}`, () => {
      const store = { apply: async () => [], close: async () => {}, layers } as unknown as Store;
      const isLayers = (error: unknown) => {
        return MisuseError.isInstance(error) && error.faults[0]?.path === "store.layers" && error.faults[0].got === got;
      };
      assert.throws(() => createLimiter({ policy: POLICY, store }), isLayers);
    });
  }
});

describe("a store that is half a shared store", () => {
  for (const [member, got] of [
    ["beat", "only beat"],
    ["book", "only book"],
  ] as const) {
    it(`is refused when the limiter is made: ${got}`, () => {
      const store = {
        ...memoryStore(),
        apply: async () => [],
        close: async () => {},
        [member]: async () => {},
      } as Store;
      const isHalf = (error: unknown) => MisuseError.isInstance(error) && error.faults[0]?.got === got;
      assert.throws(() => createLimiter({ policy: POLICY, store }), isHalf);
    });
  }
});

describe("a reply of Redis", () => {
  const io = redis.ioredis();
  /** The client, some of whose answers are other than the server gave. */
  const through = (change: (answer: unknown) => unknown) =>
    ({
      options: { autoResendUnfulfilledCommands: false },
      call: async (...args: [string]) => change(await io.call(...args)),
    }) as never;
  const limiterOf = (change: (answer: unknown) => unknown) =>
    createLimiter({ policy: POLICY, store: redisStore(through(change)), failover: false });
  const each = (make: (value: unknown) => unknown) => (answer: unknown) =>
    Array.isArray(answer) ? answer.map(make) : answer;

  it("may have numbers as texts, bigints or bytes", async () => {
    for (const [name, make] of Object.entries({
      texts: String,
      bigints: (value: unknown) => (typeof value === "number" ? BigInt(value) : value),
      bytes: (value: unknown) => Buffer.from(String(value)),
    })) {
      const limiter = limiterOf(each(make));
      const keyed = { tool: "x", session: `redis-${name}`, idempotencyKey: "k" };
      const decisions = [await limiter.consume(keyed), await limiter.consume(keyed)];
      const { session } = keyed;
      for (let i = 0; i < 3; i++) decisions.push(await limiter.consume({ tool: "x", session }));
      assert.deepEqual(
        decisions.map(({ allowed, replayed, verdicts }) => [allowed, replayed, verdicts[0]?.remaining]),
        [
          [true, false, 2],
          [true, true, 2],
          [true, false, 1],
          [true, false, 0],
          [false, false, 0],
        ],
      );
    }
  });

  it("is refused when it has other values", async () => {
    for (const [name, value] of Object.entries(NO_WHOLE_NUMBERS)) {
      // As a number they are right: what comes as text is read. The script answers negative numbers, too.
      if (["a number as text", "a bigint", "a negative number"].includes(name)) continue;
      for (const place of [0, 1, 2, 3]) {
        const limiter = limiterOf((answer) => (Array.isArray(answer) ? answer.with(place, value) : answer));
        await assert.rejects(limiter.consume({ tool: "x", session: "garbled" }), isInvalid, `${name} at ${place}`);
      }
    }
    for (const answer of [null, undefined, "OK", 5, [], {}]) {
      await assert.rejects(limiterOf(() => answer).consume({ tool: "x", session: "garbled" }), isInvalid);
    }
    const shorter = limiterOf((answer) => (Array.isArray(answer) ? answer.slice(0, -1) : answer));
    await assert.rejects(shorter.consume({ tool: "x", session: "garbled" }), isInvalid);
  });
});

describe("a result of a counter's port", () => {
  const values = {
    ...NO_WHOLE_NUMBERS,
    false: false,
    "the value before": (before: number) => before,
    "what was added, as a text": (before: number, by: number) => String(before + by),
  };
  for (const [name, value] of Object.entries(values)) {
    it(`is refused when it is ${name}`, async () => {
      const counts = new Map<string, number>();
      let isBroken = true;
      const increment = async (key: string, by: number) => {
        const before = counts.get(key) ?? 0;
        counts.set(key, before + by);
        if (!isBroken) return before + by;
        return (typeof value === "function" ? value(before, by) : value) as number;
      };
      const limiter = createLimiter({ policy: POLICY, store: counterStore({ increment }, { clock: fakeClock() }) });
      const isPort = (error: unknown) => isInvalid(error) && /the port's increment: expected/.test(String(error));
      await assert.rejects(limiter.consume(call), isPort);
      isBroken = false;
      const allowed = [];
      for (let i = 0; i < 3; i++) allowed.push((await limiter.consume(call)).allowed);
      // What may not have been added is not taken back, so that no more than the quota is ever admitted.
      assert.deepEqual(allowed, [true, true, false]);
    });
  }

  it("is undone when another counter of the call was invalid, or threw at once", async () => {
    for (const broken of [() => null, () => Promise.resolve(Number.NaN), () => assert.fail("no connection")]) {
      const counts = new Map<string, number>();
      const increment = ((key: string, by: number) => {
        if (key.includes("window")) return broken();
        counts.set(key, (counts.get(key) ?? 0) + by);
        return counts.get(key) ?? 0;
      }) as never;
      const limiter = createLimiter({ policy: POLICY, store: counterStore({ increment }) });
      await assert.rejects(limiter.consume(call), StoreError);
      assert.deepEqual([...counts], [["rate:1:{s1}:quota", 0]]);
    }
  });
});

describe("an answer of the service", async () => {
  const service = createService({ policy: JSON.stringify(WIDER), store: memoryStore(), keys: false });
  const server = await listen(service, { port: 0 });
  const { after } = await import("node:test");
  after(() => server.close());

  /** A client, in whose answers one place has another value. */
  function clientOf(path: readonly string[], value: unknown) {
    const changed = (body: unknown, [first, ...rest]: readonly string[]): unknown => {
      if (first === undefined) return value;
      if (typeof body !== "object" || body === null || !(first in body)) return body;
      if (Array.isArray(body)) return body.map((each) => changed(each, rest));
      const words = body as Record<string, unknown>;
      return { ...words, [first]: changed(words[first], rest) };
    };
    const fetching: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      const text = await response.text();
      const answer = JSON.parse(text || "null");
      const isBatch = String(url).endsWith("/v1/batch");
      const body = isBatch
        ? { items: answer.items.map((item: { body: unknown }) => ({ ...item, body: changed(item.body, path) })) }
        : changed(answer, path);
      return new Response(JSON.stringify(body), { status: response.status });
    };
    return createRemoteLimiter({ url: server.url, fetch: fetching, deadlineMs: 60_000 });
  }

  const isJson = (value: unknown) => JSON.stringify({ value }) !== "{}" && !(value instanceof Date);
  const inJson = Object.entries(NO_WHOLE_NUMBERS).filter(([, value]) => typeof value !== "bigint" && isJson(value));
  const fresh = (tool = "x") => ({ tool, session: crypto.randomUUID() });
  const verbs: Record<
    string,
    { paths: string[]; ask: (client: ReturnType<typeof createRemoteLimiter>) => Promise<unknown> }
  > = {
    record: {
      paths: ["decidedAtMs", "verdicts.0.remaining", "verdicts.0.quota", "verdicts.0.resetAfterMs", "retryAfterMs"],
      ask: (client) => client.record(fresh("y")),
    },
    "consume with a wait": {
      paths: ["decidedAtMs", "verdicts.0.remaining"],
      ask: (client) => client.consume(fresh("y"), { maxWaitMs: 10 }),
    },
    reserve: { paths: ["decidedAtMs", "verdicts.0.cost"], ask: (client) => client.reserve(fresh()) },
    run: { paths: ["decidedAtMs", "leaseMs"], ask: (client) => client.run(fresh(), () => "ran") },
    usage: {
      paths: ["items.0.used", "items.0.granted", "items.0.remaining", "items.0.quota", "items.0.resetAfterMs"],
      ask: (client) => client.usage({ session: "s1" }),
    },
    reset: {
      paths: ["before.used", "after.used"],
      ask: (client) => client.reset({ limit: "quota", session: "s1" }),
    },
    grant: {
      paths: ["after.used", "after.granted", "after.grants.0.units", "after.grants.0.endsInMs"],
      ask: (client) => client.grant({ limit: "quota", session: "s1" }, { id: "g", units: 1, durationMs: 3_600_000 }),
    },
    revoke: {
      paths: ["after.used", "after.granted"],
      ask: (client) => client.revoke({ limit: "quota", session: "s1" }, "g"),
    },
    settle: {
      paths: ["usages.0.used"],
      ask: async (client) => {
        const call = fresh();
        const held = await createRemoteLimiter({ url: server.url, deadlineMs: 60_000 }).reserve(call);
        assert.ok(held.allowed);
        return client.getHold(held.hold.id, call).settle();
      },
    },
  };
  for (const [verb, { paths, ask }] of Object.entries(verbs)) {
    for (const path of paths) {
      it(`to ${verb} is refused when its ${path} is not a whole number`, async () => {
        for (const [name, value] of inJson) {
          if (/leaseMs|retryAfterMs/.test(path) && JSON.stringify(value) === "null") continue;
          await assert.rejects(ask(clientOf(path.split("."), value)), isInvalid, name);
        }
      });
    }
  }
});

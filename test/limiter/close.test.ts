// What closing ends: calls that wait, in every way that they can, and their places in the row of a token bucket.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { networkLayers } from "../../src/layers/network.ts";
import { RemoteStore } from "../layers/remote.ts";
import { isMisuse, watchable } from "./fixture.ts";

const RATE: PolicyInput = {
  version: 1,
  limits: [
    { name: "rate", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 1, burst: 1 },
    { name: "total", per: ["session"], quota: 100 },
  ],
};
const WINDOW: PolicyInput = {
  version: 1,
  limits: [{ name: "window", per: ["session"], algorithm: "fixed-window", window: "1m", quota: 1 }],
};
const CALL = { tool: "search", session: "s1" };
const isClosed = isMisuse("limiter-closed", "limiter");

const turns = async () => {
  for (let i = 0; i < 10; i++) await new Promise(setImmediate);
};

/** Two limiters on one store, of which the first one is closed. */
function pair(policy: PolicyInput) {
  const clock = fakeClock();
  const shared = memoryStore({ clock });
  const events: LimiterEvent[] = [];
  const store = { ...watchable(shared), clock, close: async () => {} };
  const limiter = createLimiter({ policy, store, onEvent: (event) => events.push(event) });
  const other = createLimiter({ policy, store: shared });
  const used = async () => (await other.usage({ session: "s1" })).map((usage) => usage.used);
  return { clock, limiter, other, used, events, store };
}

describe("closing a limiter while calls wait", () => {
  for (const [name, call] of [
    ["without a key", CALL],
    ["with a key", { ...CALL, idempotencyKey: "k1" }],
  ] as const) {
    it(`rejects one ${name} that waits for its turn, and frees the turn`, async () => {
      const { clock, limiter, other, used } = pair(RATE);
      await limiter.consume(CALL);
      const waiting = limiter.consume(call, { maxWaitMs: 5_000 });
      await turns();
      assert.deepEqual(await used(), [2, 2]);
      const [closed] = [limiter.close(), assert.rejects(waiting, isClosed)];
      await closed;
      await assert.rejects(waiting, isClosed);
      assert.deepEqual(await used(), [1, 1]);
      // Sent again, it is a call like any other: its turn is the next one.
      const again = other.consume(call, { maxWaitMs: 5_000 });
      await turns();
      clock.advance(1_000);
      const decision = await again;
      assert.deepEqual([decision.allowed, decision.replayed], [true, false]);
      assert.deepEqual(await used(), [1, 2]);
      await other.close();
    });
  }

  it("rejects all queued and sleeping calls, and allows none afterwards", async () => {
    for (const policy of [RATE, WINDOW]) {
      const { clock, limiter, used } = pair(policy);
      await limiter.consume(CALL);
      const outcomes = Array.from({ length: 20 }, () =>
        limiter.for({ session: "s1" }).consume({ tool: "search" }, { maxWaitMs: 3_600_000 }),
      ).map((waiting) => assert.rejects(waiting, isClosed));
      await turns();
      await limiter.close();
      clock.advance(3_600_000);
      await Promise.all(outcomes);
      clock.advance(-3_600_000);
      assert.equal((await used())[0], 1);
    }
  });

  it("rejects a call whose turn comes in the moment of the close", async () => {
    const { clock, limiter } = pair(RATE);
    await limiter.consume(CALL);
    const waiting = assert.rejects(limiter.consume(CALL, { maxWaitMs: 5_000 }), isClosed);
    await turns();
    clock.advance(1_000);
    await limiter.close();
    await waiting;
  });

  it("rejects a call that the store queues while the limiter closes", async () => {
    const { limiter, used, store } = pair(RATE);
    await limiter.consume(CALL);
    const { apply } = store;
    const gate = Promise.withResolvers<void>();
    store.apply = async (requests) => {
      const replies = await apply(requests);
      if (requests[0]?.wait !== undefined) await gate.promise;
      return replies;
    };
    const waiting = assert.rejects(limiter.consume(CALL, { maxWaitMs: 5_000 }), isClosed);
    await turns();
    const closed = limiter.close();
    await turns();
    gate.resolve();
    await Promise.all([closed, waiting]);
    assert.deepEqual(await used(), [1, 1]);
  });

  it("reports a turn that could not be freed", async () => {
    for (const call of [CALL, { ...CALL, idempotencyKey: "k1" }]) {
      const { limiter, events, store } = pair(RATE);
      await limiter.consume(CALL);
      const waiting = assert.rejects(limiter.consume(call, { maxWaitMs: 5_000 }), isClosed);
      await turns();
      store.apply = async () => {
        throw new Error("gone");
      };
      await limiter.close();
      await waiting;
      assert.deepEqual(
        events.map(({ type }) => type),
        ["hold.unsettled"],
      );
    }
  });

  it("keeps the turn of a call with a key when another caller shares it", async () => {
    const { limiter, other, clock, used } = pair(RATE);
    await limiter.consume(CALL);
    const call = { ...CALL, idempotencyKey: "k1" };
    const waiting = assert.rejects(limiter.consume(call, { maxWaitMs: 5_000 }), isClosed);
    await turns();
    const again = other.consume(call, { maxWaitMs: 5_000 });
    await turns();
    await limiter.close();
    await waiting;
    clock.advance(1_000);
    assert.deepEqual([(await again).allowed, await used()], [true, [1, 2]]);
  });

  it("refuses new calls from that moment on, and returns one promise", async () => {
    const { limiter } = pair(RATE);
    const closing = limiter.close();
    assert.equal(limiter.close({ withinMs: 0 }), closing);
    assert.equal(limiter.for({ session: "s1" }).close(), closing);
    for (const ask of [
      () => limiter.consume(CALL),
      () => limiter.consume(CALL, { maxWaitMs: 10 }),
      () => limiter.peek(CALL),
      () => limiter.usage({ session: "s1" }),
      () => limiter.reset({ limit: "rate", session: "s1" }),
    ]) {
      await assert.rejects(ask, isClosed);
    }
    await closing;
  });

  it("refuses wrong options, and stays open", async () => {
    const { limiter } = pair(RATE);
    for (const withinMs of [-1, 0.5, 600_001, "1s" as never]) {
      await assert.rejects(limiter.close({ withinMs }), isMisuse("invalid-option", "withinMs"));
    }
    await assert.rejects(limiter.close({ within: 1 } as never), isMisuse("invalid-option"));
    assert.equal((await limiter.consume(CALL)).allowed, true);
    await limiter.close();
  });
});

describe("closing a limiter while its store is unreachable", () => {
  const POLICY: PolicyInput = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 10 }] };
  const clock = { nowMs: () => Date.now() };
  // A busy machine must not begin an outage: only the faults of the remote store do.
  const FAILOVER = { deadlineMs: 60_000, instances: 1 };

  /** A limiter that has admitted two calls while its store was away, which is away still. */
  async function away(journal?: NonNullable<Parameters<typeof createLimiter>[0]["failover"] & object>["journal"]) {
    const remote = new RemoteStore(clock);
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({
      policy: POLICY,
      store: {
        layers: networkLayers,
        batching: remote.batching,
        apply: remote.apply.bind(remote),
        book: remote.book.bind(remote),
        beat: remote.beat.bind(remote),
        close: async () => {},
      },
      failover: { ...FAILOVER, journal },
      onEvent: (event) => events.push(event),
    });
    await limiter.consume(CALL);
    remote.fault = "lose-request";
    for (let i = 0; i < 2; i++) assert.equal((await limiter.consume(CALL)).allowed, true);
    const usedIn = async () => {
      const reader = createLimiter({
        policy: POLICY,
        store: { apply: remote.apply.bind(remote), close: async () => {} },
      });
      return (await reader.usage({ session: "s1" }))[0]?.used;
    };
    const types = () => events.map(({ type }) => type);
    return { remote, limiter, types, events, usedIn };
  }

  it("books what was admitted when the store comes back in time", async () => {
    const { remote, limiter, types, usedIn } = await away();
    const closing = limiter.close();
    await assert.rejects(limiter.consume(CALL), isClosed);
    await turns();
    assert.deepEqual(types(), ["store.unreachable"], "it has given up already");
    remote.fault = "answer";
    await closing;
    assert.deepEqual([types(), await usedIn()], [["store.unreachable", "store.recovered"], 3]);
  });

  it("waits for a running recovery, also when that fails once more", async () => {
    const { remote, limiter, types, usedIn } = await away();
    remote.fault = "answer";
    remote.faults.push("late");
    await limiter.close();
    assert.deepEqual([types(), await usedIn()], [["store.unreachable", "store.recovered"], 3]);
  });

  it("reports what is lost only when its time is over", async () => {
    const { limiter, events } = await away();
    const startMs = performance.now();
    await limiter.close({ withinMs: 100 });
    assert.ok(performance.now() - startMs >= 100, "it gave up before");
    assert.deepEqual(events.at(-1), { type: "failover.lost", bookings: 2 });
  });

  it("gives up at once with no time left", async () => {
    const { limiter, events } = await away();
    await limiter.close({ withinMs: 0 });
    assert.deepEqual(events.at(-1), { type: "failover.lost", bookings: 2 });
  });

  it("leaves in a journal what it could not book", async () => {
    const kept = new Map<string, string>();
    const { limiter, types } = await away({
      entries: () => kept,
      write(changes) {
        for (const [key, text] of changes) {
          if (text === null) kept.delete(key);
          else kept.set(key, text);
        }
      },
      close() {},
    });
    await limiter.close({ withinMs: 10 });
    assert.deepEqual([types(), kept.size > 0], [["store.unreachable"], true]);
  });

  it("does not wait when there is nothing to book", async () => {
    const remote = new RemoteStore(clock);
    const limiter = createLimiter({ policy: POLICY, store: remote, failover: FAILOVER });
    await limiter.consume(CALL);
    remote.fault = "lose-request";
    assert.notEqual((await limiter.peek(CALL)).degraded, null);
    await limiter.close({ withinMs: 600_000 });
  });

  it("gives borrowed units back when the store comes back in time", async () => {
    const remote = new RemoteStore(clock);
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "all", per: [], quota: 1_000, borrow: "auto" }],
    };
    const limiter = createLimiter({
      policy,
      store: {
        layers: networkLayers,
        batching: remote.batching,
        apply: remote.apply.bind(remote),
        book: remote.book.bind(remote),
        beat: remote.beat.bind(remote),
        close: async () => {},
      },
      failover: FAILOVER,
    });
    for (let i = 0; i < 20; i++) {
      assert.equal((await limiter.consume(CALL)).allowed, true);
      await turns();
    }
    remote.fault = "lose-request";
    await limiter.peek(CALL);
    const closing = limiter.close();
    await turns();
    remote.fault = "answer";
    await closing;
    const reader = createLimiter({ policy, store: { apply: remote.apply.bind(remote), close: async () => {} } });
    assert.equal((await reader.usage())[0]?.used, 20);
  });
});

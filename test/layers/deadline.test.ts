// A call's deadline begins with the call: the time that it waits behind others, for a store that comes back, or for a second
// trip is part of it. All times are of a fake clock.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { BatchLayer } from "../../src/layers/batch.ts";
import { FailoverLayer } from "../../src/layers/failover.ts";
import type { FailoverEvent } from "../../src/layers/failover/options.ts";
import { networkLayers } from "../../src/layers/network.ts";
import { type SharedStore, type Store, StoreError, type StoreReply, type StoreRequest } from "../../src/store/api.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { fakeClock } from "../../src/testing/fake-clock.ts";
import { RemoteStore } from "./remote.ts";

const DEADLINE_MS = 250;
const LIMIT = { algorithm: "budget", quota: 1_000, ttlMs: 3_600_000, ttlFrom: "last" } as const;
const charge = (bucket = "a"): StoreRequest => ({
  mode: "judge",
  steps: [{ bucket, limit: LIMIT, event: { type: "charge", cost: 1 } }],
});

const turns = async () => {
  for (let i = 0; i < 12; i++) await new Promise(setImmediate);
};

/** Batches behind a failover layer on a store that answers when a test says so. */
function slowRemote() {
  const clock = fakeClock();
  const remote = new RemoteStore(clock);
  const open: (() => void)[] = [];
  const sent: number[] = [];
  const store = {
    layers: networkLayers,
    batching: { size: 2, underWay: 1 },
    isSlow: false,
    apply: remote.apply.bind(remote),
    async book(...asked: Parameters<SharedStore["book"]>) {
      const [requests, terms] = asked;
      sent.push(requests.length);
      if (this.isSlow) await new Promise<void>((resolve) => open.push(resolve));
      return remote.book(requests, terms);
    },
    beat: remote.beat.bind(remote),
    close: async () => {},
  };
  const events: FailoverEvent[] = [];
  const options = { deadlineMs: DEADLINE_MS, instances: 1 };
  const safe = new FailoverLayer(store, "g", options, (event) => events.push(event), clock);
  const layer = new BatchLayer(safe, store.batching, clock);
  const answer = async () => {
    open.shift()?.();
    await turns();
  };
  const ask = (request = charge()) => {
    const asked = { reply: null as StoreReply | StoreError | null, atMs: Number.NaN };
    const startMs = clock.nowMs();
    layer.apply([request]).then(([reply]) => {
      Object.assign(asked, { reply, atMs: clock.nowMs() - startMs });
    });
    return asked;
  };
  const advance = async (ms: number) => {
    await turns();
    for (let i = 0; i < ms; i += 10) {
      clock.advance(10);
      await turns();
    }
  };
  return { clock, store, remote, events, ask, answer, advance, sent, layer };
}

const isDegraded = (reply: StoreReply | StoreError | null) =>
  reply !== null && !StoreError.isInstance(reply) && reply.degraded !== undefined;

describe("the deadline of a call", () => {
  it("includes the wait behind a slow batch", async () => {
    const { store, ask, answer, advance } = slowRemote();
    ask();
    await turns();
    store.isSlow = true;
    const first = ask();
    await turns();
    await advance(10);
    const second = ask();
    await advance(230);
    assert.deepEqual([first.reply, second.reply], [null, null]);
    await answer();
    assert.equal(first.atMs, 240);
    // The second one is sent now, with 20 ms left.
    await advance(20);
    assert.equal(second.atMs, DEADLINE_MS);
    assert.ok(isDegraded(second.reply));
  });

  it("also ends calls that were never sent", async () => {
    const { store, ask, advance, sent, events } = slowRemote();
    ask();
    await turns();
    store.isSlow = true;
    ask();
    await turns();
    const before = sent.length;
    // What hangs is only found out at the end: more than one batch waits behind it.
    const asked = Array.from({ length: 7 }, () => ask());
    await advance(240);
    assert.ok(asked.every(({ reply }) => reply === null));
    await advance(10);
    assert.deepEqual(new Set(asked.map(({ atMs }) => atMs)), new Set([DEADLINE_MS]));
    assert.ok(asked.every(({ reply }) => isDegraded(reply)));
    // What is sent is what became of the batch that hung.
    assert.deepEqual(sent.slice(before), [1]);
    assert.deepEqual(
      events.map(({ type }) => type),
      ["instances", "store.unreachable"],
    );
  });

  it("ends each call of a long queue in time, while every batch is answered in time", async () => {
    const { store, ask, answer, advance } = slowRemote();
    ask();
    await turns();
    store.isSlow = true;
    const asked = Array.from({ length: 20 }, () => ask());
    await turns();
    for (let batch = 0; batch < 10; batch++) {
      await advance(90);
      await answer();
    }
    assert.ok(asked.every(({ atMs }) => atMs <= DEADLINE_MS));
  });

  it("includes the first connection to the store", async () => {
    const { remote, store, ask, answer, advance } = slowRemote();
    const beat = Promise.withResolvers<void>();
    store.beat = async (member) => {
      await beat.promise;
      return remote.beat(member);
    };
    store.isSlow = true;
    const first = ask();
    await advance(200);
    beat.resolve();
    await turns();
    await advance(40);
    assert.equal(first.reply, null);
    await advance(10);
    assert.equal(first.atMs, DEADLINE_MS);
    await answer();
  });

  it("includes the last bookings of an outage, and calls admitted meanwhile are booked, too", async () => {
    const { store, remote, ask, advance, answer, layer, events } = slowRemote();
    ask();
    await turns();
    remote.faults.push("lose-request");
    store.isSlow = true;
    const away = ask();
    await turns();
    await answer();
    assert.ok(isDegraded(away.reply));
    // The store is looked for at once, and asked what became of the batch: calls need not wait for that.
    const meanwhile = ask();
    await turns();
    assert.equal(meanwhile.atMs, 0);
    await answer();
    // Now the rest is booked, while calls wait for it.
    const waiting = ask();
    await advance(DEADLINE_MS - 10);
    assert.equal(waiting.reply, null);
    await advance(10);
    assert.ok(isDegraded(waiting.reply));
    assert.equal(waiting.atMs, DEADLINE_MS);
    store.isSlow = false;
    await answer();
    await layer.close(5_000);
    assert.equal(events.at(-1)?.type, "store.recovered");
    const state = remote.states.get("a");
    assert.equal(state?.kind === "counter" && state.spent, 4);
  });

  it("is shared by both trips of a call with the windows of another day", async () => {
    const clock = fakeClock(Date.UTC(2030, 0, 10));
    const memory = memoryStore({ clock });
    const left: (number | undefined)[] = [];
    const store: Store = {
      deadlineMs: DEADLINE_MS,
      async apply(requests, leftMs) {
        left.push(leftMs);
        return memory.apply(requests);
      },
      close: async () => {},
    };
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "a", per: ["session"], algorithm: "fixed-window", window: "day", quota: 5 }],
    };
    const limiter = createLimiter({ policy, store });
    assert.equal((await limiter.consume({ tool: "a", session: "s1" })).allowed, true);
    const [first, second] = left;
    assert.equal(first, undefined);
    assert.ok(second !== undefined && second > 0 && second <= DEADLINE_MS, `${second}`);
    await limiter.close();
  });
});

describe("the batch layer before a store with a deadline", () => {
  /** A store that notes what is left of the deadline, and answers on demand. */
  function noting(underWay = 1) {
    const clock = fakeClock();
    const asked: { readonly left: number | undefined; readonly size: number }[] = [];
    const open: (() => void)[] = [];
    const store: Store = {
      deadlineMs: 100,
      async apply(requests, left) {
        asked.push({ left, size: requests.length });
        if (left === 0) throw new StoreError("unavailable", "late", { transient: true });
        await new Promise<void>((resolve) => open.push(resolve));
        return requests.map((): StoreReply => ({ allowed: true, nowMs: 0, steps: [] }));
      },
      close: async () => {},
    };
    return { clock, asked, open, layer: new BatchLayer(store, { size: 3, underWay }, clock) };
  }

  it("passes on the time left of the request that has waited longest", async () => {
    const { clock, asked, open, layer } = noting();
    const first = layer.apply([charge()]);
    await turns();
    clock.advance(30);
    const others = [layer.apply([charge()])];
    await turns();
    clock.advance(30);
    others.push(layer.apply([charge()]));
    await turns();
    clock.advance(10);
    open.shift()?.();
    await turns();
    assert.deepEqual(asked, [
      { left: 100, size: 1 },
      { left: 60, size: 2 },
    ]);
    open.shift()?.();
    await Promise.all([first, ...others]);
    await layer.close();
  });

  it("sends requests with no time left only where their time is over", async () => {
    const { clock, asked, open, layer } = noting();
    const first = layer.apply([charge()]);
    await turns();
    const late = assert.rejects(layer.apply([charge(), charge()]), { code: "unavailable" });
    await turns();
    clock.advance(60);
    const young = layer.apply([charge()]);
    await turns();
    clock.advance(40);
    await late;
    open.shift()?.();
    await turns();
    open.shift()?.();
    await Promise.all([first, young]);
    assert.deepEqual(asked, [
      { left: 100, size: 1 },
      { left: 0, size: 2 },
      { left: 60, size: 1 },
    ]);
    await layer.close();
  });

  it("lets a call wait for a quarter of its deadline behind a batch, where one more may be under way", async () => {
    const { clock, asked, open, layer } = noting(2);
    const calls = [layer.apply([charge()])];
    await turns();
    calls.push(layer.apply([charge()]));
    await turns();
    clock.advance(24);
    await turns();
    calls.push(layer.apply([charge()]));
    await turns();
    assert.equal(asked.length, 1);
    clock.advance(1);
    await turns();
    assert.deepEqual(asked, [
      { left: 100, size: 1 },
      { left: 75, size: 2 },
    ]);
    // Both lanes are taken now.
    calls.push(layer.apply([charge()]));
    await turns();
    clock.advance(30);
    await turns();
    assert.equal(asked.length, 2);
    for (let i = 0; i < 3; i++) {
      open.shift()?.();
      await turns();
    }
    await Promise.all(calls);
    assert.deepEqual(asked.at(-1), { left: 70, size: 1 });
    await layer.close();
  });

  it("stays within its given time", async () => {
    const { asked, open, layer } = noting();
    const again = layer.apply([charge()], 7);
    await turns();
    open.shift()?.();
    await again;
    assert.deepEqual(asked, [{ left: 7, size: 1 }]);
    await layer.close();
  });
});

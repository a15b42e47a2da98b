// What an instance does while its store is away, and what it makes good afterwards, on a remote store without a network.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  createLimiter,
  type Decision,
  type FailoverOptions,
  type Limiter,
  type LimiterEvent,
  type LimitInput,
  type PolicyInput,
  StoreError,
} from "tollgate";
import { createHostedLimiter } from "../../src/limiter.ts";
import { networkLayers } from "../../src/layers/network.ts";
import { RemoteStore } from "./remote.ts";

const clock = { nowMs: () => Date.now() };
/** So long that no answer is late on a busy machine: the tests of a store that hangs name a shorter one. */
const DEADLINE_MS = 10_000;

const policyOf = (limit: object = {}): PolicyInput => ({
  version: 1,
  limits: [{ name: "per-session", per: ["session"], quota: 10, ...limit } as never],
});

/** An instance of a deployment, and what it says. */
function instanceOf(remote: RemoteStore, policy: PolicyInput = policyOf(), failover: FailoverOptions = {}) {
  const events: LimiterEvent[] = [];
  let heard: () => void = () => {};
  const limiter = createLimiter({
    policy,
    // Instances have connections of their own: what one closes stays open for others.
    store: {
      layers: networkLayers,
      batching: remote.batching,
      apply: remote.apply.bind(remote),
      book: remote.book.bind(remote),
      beat: remote.beat.bind(remote),
      async close() {},
    },
    failover: { deadlineMs: DEADLINE_MS, ...failover },
    onEvent: (event) => {
      events.push(event);
      heard();
    },
  });
  const until = async (type: LimiterEvent["type"], count = 1) => {
    while (events.filter((event) => event.type === type).length < count) {
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
    }
    return events.findLast((event) => event.type === type);
  };
  return { limiter, events, until };
}

const call = { tool: "search", session: "s1" };

async function admitted(limiter: { consume(asked: typeof call): Promise<Decision> }, times: number): Promise<number> {
  const decisions = await Promise.all(Array.from({ length: times }, () => limiter.consume(call)));
  return decisions.filter(({ allowed }) => allowed).length;
}

const usedIn = async (limiter: ReturnType<typeof instanceOf>["limiter"]) =>
  (await limiter.usage({ session: "s1" }))[0]?.used;

describe("an instance that has never reached the store", () => {
  for (const hours of [-3, 3]) {
    it(`books by the store's time also where its own clock is ${hours} hours ahead`, async () => {
      const remote = new RemoteStore({ nowMs: () => Date.now() - hours * 3_600_000 });
      remote.fault = "lose-request";
      const policy = policyOf({ algorithm: "fixed-window", window: "1h", align: "first-use", onStoreError: "local" });
      const { limiter, until } = instanceOf(remote, policy, { instances: 1 });
      await limiter.record(call);
      await limiter.record({ ...call, idempotencyKey: "k1" });
      remote.fault = "answer";
      await until("store.recovered");
      assert.equal(await usedIn(limiter), 2);
      const [usage] = await limiter.usage({ session: "s1" });
      assert.ok((usage?.resetAfterMs ?? 0) <= 3_600_000);
      await limiter.close();
    });

    it(`admits nothing again when it learns the store's time, and its own clock is ${hours} hours ahead`, async () => {
      const remote = new RemoteStore({ nowMs: () => Date.now() - hours * 3_600_000 });
      remote.fault = "lose-request";
      const { limiter, until } = instanceOf(remote, policyOf({ onStoreError: "local" }), { instances: 1 });
      assert.equal(await admitted(limiter, 6), 6);
      assert.equal((await limiter.consume({ ...call, idempotencyKey: "k1" })).allowed, true);
      // Beats are answered, and no batch arrives.
      const lost = Array.from({ length: 1_000 }, () => "lose-request" as const);
      remote.faults.push(...lost);
      remote.fault = "answer";
      while (remote.faults.length === lost.length) await new Promise((resolve) => setTimeout(resolve, 5));
      assert.equal((await limiter.consume({ ...call, idempotencyKey: "k1" })).replayed, true);
      assert.equal(await admitted(limiter, 6), 3);
      remote.faults.splice(0);
      await until("store.recovered");
      assert.equal(await usedIn(limiter), 10);
      await limiter.close();
    });
  }
});

describe("failover", () => {
  it("lets timers and sockets have their turn while callers ask again and again", async () => {
    const remote = new RemoteStore(clock);
    const { limiter } = instanceOf(remote, policyOf({ quota: 1_000_000 }));
    await limiter.consume(call);
    remote.fault = "lose-request";
    await limiter.consume(call);
    let isOver = false;
    setTimeout(() => {
      isOver = true;
    }, 5);
    let calls = 0;
    while (!isOver && calls < 100_000) {
      await limiter.consume(call);
      calls++;
    }
    assert.ok(isOver, "no timer had its turn");
    await limiter.close();
  });

  it("gives calls the units of equal calls that were under way when the outage began, once these are decided", async () => {
    const remote = new RemoteStore(clock);
    const { limiter } = instanceOf(remote, policyOf(), { deadlineMs: 200 });
    await limiter.consume(call);
    remote.fault = "hang";
    const early: Promise<Decision>[] = [];
    for (let i = 0; i < 3; i++) {
      early.push(limiter.consume(call));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok((await Promise.all(early)).every(({ allowed }) => allowed));
    assert.equal(await admitted(limiter, 10), 10 - 1 - 3);
    await limiter.close({ withinMs: 0 });
  });

  it("leaves the units of other calls, when the caller of a waiting call has gone that was decided without the store", async () => {
    const remote = new RemoteStore(clock);
    const limiter = createHostedLimiter({ policy: policyOf(), store: remote });
    await limiter.consume(call);
    const gone = new AbortController();
    remote.faults.push("lose-request");
    const keyed = { ...call, idempotencyKey: "k1" };
    const asked = limiter.consumeForRemote(keyed, { maxWaitMs: 1_000, abandoned: gone.signal });
    gone.abort(new Error("the client has gone"));
    await assert.rejects(asked, { message: "the client has gone" });
    // The client has sent it again, and goes on with this answer.
    const again = await limiter.consume(keyed);
    assert.equal(again.allowed && again.replayed, true);
    await limiter.peek(call);
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 2);
    await limiter.close();
  });

  it("changes nothing while the store answers", async () => {
    const { limiter, events } = instanceOf(new RemoteStore(clock));
    assert.equal(await admitted(limiter, 12), 10);
    const decision = await limiter.consume(call);
    assert.equal(decision.degraded, null);
    assert.deepEqual(events, []);
    await limiter.close();
  });

  it("admits what was left when it decides alone, and books it afterwards", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, until } = instanceOf(remote);
    assert.equal(await admitted(limiter, 4), 4);
    remote.fault = "lose-request";
    const first = await limiter.consume(call);
    assert.deepEqual(first.degraded, { reason: "unavailable", maxOvershoot: 6 });
    assert.equal(first.verdicts[0]?.remaining, 5);
    assert.equal(await admitted(limiter, 9), 5);
    remote.fault = "answer";
    await until("store.recovered");
    assert.equal(await usedIn(limiter), 10);
    assert.equal((await limiter.consume(call)).degraded, null);
    await limiter.close();
  });

  for (const fault of ["lose-reply", "lose-request", "late", "hang"] as const) {
    const failover = fault === "hang" ? { deadlineMs: 20 } : {};
    it(`books calls in flight once: ${fault}`, async () => {
      const remote = new RemoteStore(clock);
      const { limiter, until } = instanceOf(remote, policyOf(), failover);
      await limiter.consume(call);
      remote.faults.push(fault);
      assert.equal(await admitted(limiter, 3), 3);
      await until("store.recovered");
      assert.equal(await usedIn(limiter), 4);
      for (const _ of remote.late) assert.throws(() => remote.deliver(), { refusal: "settled" });
      assert.equal(await usedIn(limiter), 4);
      await limiter.close();
    });

    it(`undoes calls in flight that are denied: ${fault}`, async () => {
      const remote = new RemoteStore(clock);
      const { limiter, until } = instanceOf(remote, policyOf({ onStoreError: "deny" }), failover);
      await limiter.consume(call);
      remote.faults.push(fault);
      assert.equal(await admitted(limiter, 3), 0);
      await until("store.recovered");
      assert.equal(await usedIn(limiter), 1);
      await limiter.close();
    });
  }

  /** An instance whose next answers come when the test says so. */
  async function withSlowAnswers(remote: RemoteStore, policy = policyOf()) {
    const answers = Promise.withResolvers<void>();
    const book = remote.book.bind(remote);
    let isSlow = false;
    remote.book = async (...asked) => {
      const isDelayed = isSlow && remote.fault === "answer";
      const replies = await book(...asked);
      if (isDelayed) await answers.promise;
      return replies;
    };
    const instance = instanceOf(remote, policy, { deadlineMs: 2_000, instances: 1 });
    await instance.limiter.consume(call);
    isSlow = true;
    return { ...instance, answer: () => answers.resolve() };
  }

  it("gives no call the units that the store is giving to calls in flight", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, until, answer } = await withSlowAnswers(remote);
    const inFlight = admitted(limiter, 4);
    await new Promise((resolve) => setTimeout(resolve, 20));
    remote.fault = "lose-request";
    assert.notEqual((await limiter.consume(call)).degraded, null);
    assert.equal(await admitted(limiter, 9), 4);
    answer();
    assert.equal(await inFlight, 4);
    remote.fault = "answer";
    await until("store.recovered");
    assert.equal(await usedIn(limiter), 10);
    await limiter.close();
  });

  it("gives the units of a lost batch to one other batch in flight, and to no call beside it", async () => {
    const remote = new RemoteStore(clock);
    const book = remote.book.bind(remote);
    const batches: PromiseWithResolvers<void>[] = [];
    let isSlow = false;
    remote.book = async (...asked) => {
      const batch = Promise.withResolvers<void>();
      if (isSlow) {
        batches.push(batch);
        await batch.promise;
      }
      return book(...asked);
    };
    const { limiter, until } = instanceOf(remote, policyOf(), { deadlineMs: 2_000 });
    await limiter.consume(call);
    isSlow = true;
    const inFlight = admitted(limiter, 3 * remote.batching.size);
    while (batches.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    remote.fault = "lose-request";
    const lost = new StoreError("unavailable", "the request is lost", { transient: true });
    for (const batch of batches.slice(0, 2)) {
      batch.reject(lost);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    isSlow = false;
    remote.fault = "answer";
    for (const batch of batches) batch.resolve();
    assert.equal(await inFlight, 9);
    await until("store.recovered");
    assert.equal(await usedIn(limiter), 10);
    await limiter.close();
  });

  it("gives no call the units of a record in flight, nor of a call in flight whose other limit denies nothing", async () => {
    const shadow: LimitInput = { name: "shadow", per: ["session"], quota: 1, mode: "shadow" };
    const { limits, ...policy } = policyOf();
    const asked = [
      (limiter: Limiter) => limiter.record({ ...call, cost: { calls: 20 } }),
      (limiter: Limiter) => limiter.consume({ ...call, cost: { calls: 9 } }),
    ];
    for (const ask of asked) {
      const remote = new RemoteStore(clock);
      const { limiter, answer } = await withSlowAnswers(remote, { ...policy, limits: [...limits, shadow] });
      const inFlight = ask(limiter);
      await new Promise((resolve) => setTimeout(resolve, 20));
      remote.fault = "lose-request";
      assert.equal(await admitted(limiter, 1), 0);
      answer();
      await inFlight;
      await limiter.close({ withinMs: 0 });
    }
  });

  it("counts what the store has booked of a call in flight that could not be expected to fit", async () => {
    const remote = new RemoteStore(clock);
    const other = instanceOf(remote);
    await other.limiter.consume({ ...call, cost: { calls: 7 } });
    const { limiter, answer } = await withSlowAnswers(remote);
    const reset = other.limiter.reset({ limit: "per-session", session: call.session });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const inFlight = limiter.consume({ ...call, cost: { calls: 5 } });
    await new Promise((resolve) => setTimeout(resolve, 20));
    remote.fault = "lose-request";
    assert.equal(await admitted(limiter, 1), 1);
    answer();
    assert.equal((await inFlight).allowed, true);
    await reset;
    assert.equal(await admitted(limiter, 1), 0);
    await limiter.close({ withinMs: 0 });
    await other.limiter.close({ withinMs: 0 });
  });

  it("does not undo a denied call in flight when another instance got its answer", async () => {
    const remote = new RemoteStore(clock);
    const [one, two] = [1, 2].map(() => instanceOf(remote, policyOf({ onStoreError: "deny" })));
    assert.ok(one !== undefined && two !== undefined);
    const keyed = { ...call, idempotencyKey: "k1" };
    for (const { limiter } of [one, two]) await limiter.consume(call);
    remote.faults.push("lose-reply");
    // A probe does not find the store yet.
    remote.fault = "lose-request";
    assert.equal((await one.limiter.consume(keyed)).allowed, false);
    remote.faults.push("answer");
    const told = await two.limiter.consume(keyed);
    assert.deepEqual([told.allowed, told.replayed], [true, true]);
    remote.fault = "answer";
    await one.until("store.recovered");
    assert.equal(await usedIn(two.limiter), 3);
    for (const { limiter } of [one, two]) await limiter.close();
  });

  it("divides what was left among instances, by their ranks", async () => {
    const remote = new RemoteStore(clock);
    const told = Array.from({ length: 4 }, () => instanceOf(remote, policyOf(), { instances: 4 }));
    for (const { limiter } of told) assert.equal((await limiter.consume(call)).allowed, true);
    for (const { limiter } of told) await limiter.usage({ session: "s1" });
    remote.fault = "lose-request";
    const counts = await Promise.all(told.map(({ limiter }) => admitted(limiter, 10)));
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      6,
    );
    assert.deepEqual(counts.toSorted(), [1, 1, 2, 2]);
    remote.fault = "answer";
    await Promise.all(told.map(({ until }) => until("store.recovered")));
    assert.equal(await usedIn(told[0]?.limiter as never), 10);
    await Promise.all(told.map(({ limiter }) => limiter.close()));
  });

  it("distinguishes a denial from an outage", async () => {
    const remote = new RemoteStore(clock);
    const { limiter } = instanceOf(remote, policyOf({ onStoreError: "deny" }));
    await limiter.consume(call);
    remote.fault = "lose-request";
    const { allowed, message, verdicts, degraded, retryAfterMs } = await limiter.consume(call);
    assert.equal(allowed, false);
    assert.match(
      message ?? "",
      /^Call denied for now: the limit per-session cannot be checked at the moment\. Try again in 1 second,/,
    );
    assert.equal(verdicts[0]?.retryAfterMs !== null, true);
    assert.equal(retryAfterMs, 1_000);
    assert.deepEqual(degraded, { reason: "unavailable", maxOvershoot: 0 });
    await limiter.close({ withinMs: 0 });
  });

  it("still denies in a bucket that was last seen used up", async () => {
    const remote = new RemoteStore(clock);
    const { limiter } = instanceOf(remote);
    await admitted(limiter, 10);
    remote.fault = "lose-request";
    const { allowed, message, verdicts } = await limiter.consume(call);
    assert.equal(allowed, false);
    assert.match(message ?? "", /^Limit reached \(per-session\), call denied: no calls are left/);
    assert.equal(verdicts[0]?.retryAfterMs !== null, false);
    await limiter.close({ withinMs: 0 });
  });

  it("allows everything, or the whole quota, where the policy says so", async () => {
    const remote = new RemoteStore(clock);
    const open = instanceOf(remote, policyOf({ onStoreError: "allow" }));
    const local = instanceOf(remote, policyOf({ name: "other", onStoreError: "local" }), { instances: 5 });
    await open.limiter.consume(call);
    await local.limiter.consume(call);
    remote.fault = "lose-request";
    assert.equal(await admitted(open.limiter, 30), 30);
    assert.equal((await open.limiter.consume(call)).degraded?.maxOvershoot, null);
    assert.equal(await admitted(local.limiter, 30), 9);
    assert.equal((await local.limiter.consume(call)).degraded?.maxOvershoot, 9 + 4 * 10);
    remote.fault = "answer";
    await Promise.all([open.until("store.recovered"), local.until("store.recovered")]);
    assert.equal(await usedIn(open.limiter), 32);
    await Promise.all([open.limiter.close(), local.limiter.close()]);
  });

  it("decides from the first call on when the store is unreachable at the start: admits nothing, if it knows no other instances", async () => {
    const remote = new RemoteStore(clock);
    remote.fault = "lose-request";
    const { limiter, until } = instanceOf(remote);
    const { allowed, degraded } = await limiter.consume(call);
    assert.equal(allowed, false);
    assert.deepEqual(degraded, { reason: "unavailable", maxOvershoot: null });
    remote.fault = "answer";
    await until("store.recovered");
    assert.equal((await limiter.consume(call)).allowed, true);
    await limiter.close();
  });

  it("gives back what the store has lost before it asks the store again", async () => {
    const remote = new RemoteStore(clock);
    const [one, other] = [instanceOf(remote), instanceOf(remote)];
    await admitted(one.limiter, 6);
    await admitted(other.limiter, 3);
    remote.flush();
    assert.equal(await admitted(other.limiter, 10), 1);
    await other.until("store.recovered");
    assert.equal(await usedIn(other.limiter), 10);
    await admitted(one.limiter, 1);
    await one.until("store.recovered");
    assert.equal(await usedIn(one.limiter), 10);
    await Promise.all([one.limiter.close(), other.limiter.close()]);
  });

  it("stays connected when the store refuses a batch for a reason of its own, and charges nothing", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, events } = instanceOf(remote);
    await limiter.consume(call);
    remote.faults.push("refuse");
    await assert.rejects(limiter.consume(call), { name: "StoreError", code: "unavailable", transient: false });
    const { allowed, degraded } = await limiter.consume(call);
    assert.deepEqual([allowed, degraded, await usedIn(limiter)], [true, null, 2]);
    assert.deepEqual(events, []);
    await limiter.close();
  });

  it("abandons once a batch of unknown outcome that the store refuses, reports it, and counts again", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, events, until } = instanceOf(remote);
    await limiter.consume(call);
    // The batch is lost, then refused when it is settled; nothing else is refused.
    remote.faults.push("lose-request", "refuse");
    assert.equal(await admitted(limiter, 3), 3);
    await until("store.recovered");
    const told = events.filter(({ type }) => type === "failover.refused");
    assert.deepEqual(
      told.map((event) => event.type === "failover.refused" && [event.bookings, event.error.message]),
      [[3, "the remote store: refuse"]],
    );
    assert.equal(await usedIn(limiter), 1);
    assert.equal(await admitted(limiter, 2), 2);
    assert.equal(await usedIn(limiter), 3);
    assert.equal(events.filter(({ type }) => type === "store.unreachable").length, 1);
    await limiter.close();
  });

  it("reports a call that it has denied where the store refuses to take it back", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, events, until } = instanceOf(remote, policyOf({ onStoreError: "deny" }));
    await limiter.consume(call);
    // The store books the call, and its answer is lost.
    remote.faults.push("lose-reply", "refuse");
    assert.equal((await limiter.consume(call)).allowed, false);
    await until("store.recovered");
    const told = events.filter(({ type }) => type === "failover.refused");
    assert.deepEqual(
      told.map((event) => event.type === "failover.refused" && [event.bookings, event.refunds]),
      [[0, 1]],
    );
    assert.equal(await usedIn(limiter), 2);
    await limiter.close();
  });

  it("counts again after damaged receipts that settle every number", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, events, until } = instanceOf(remote);
    for (let i = 0; i < 4; i++) await limiter.consume(call);
    for (const [key, state] of remote.states) {
      if (state.kind === "receipts") remote.states.set(key, { ...state, from: 1_000_000 });
    }
    assert.equal(await admitted(limiter, 1), 1);
    await until("store.recovered");
    assert.equal(events.filter(({ type }) => type === "failover.refused").length, 1);
    for (let i = 0; i < 4; i++) assert.equal((await limiter.consume(call)).degraded, null);
    assert.equal(events.filter(({ type }) => type === "store.unreachable").length, 1);
    assert.equal(await usedIn(limiter), 8);
    await limiter.close();
  });

  it("counts every unit after a restart from an old snapshot, also when another instance comes back later", async () => {
    const remote = new RemoteStore(clock);
    const policy = policyOf({ quota: 1_000 });
    const [one, two] = [instanceOf(remote, policy), instanceOf(remote, policy)];
    await admitted(one.limiter, 30);
    await admitted(two.limiter, 20);
    const snapshot = remote.snapshot();
    await admitted(one.limiter, 50);
    await admitted(two.limiter, 40);
    remote.restore(snapshot);
    // The first to come back has last seen 100 of the 140 units.
    await admitted(one.limiter, 1);
    await one.until("store.recovered");
    await admitted(one.limiter, 49);
    assert.equal(await usedIn(one.limiter), 150);
    await admitted(two.limiter, 10);
    await two.until("store.recovered");
    assert.equal(await usedIn(two.limiter), 140 + 50 + 10);
    await Promise.all([one.limiter.close(), two.limiter.close()]);
  });

  it("counts every unit after a loss of the store, also where a grant of another instance covered them", async () => {
    const remote = new RemoteStore(clock);
    const empty = remote.snapshot();
    const [one, other] = [instanceOf(remote), instanceOf(remote)];
    await other.limiter.grant({ limit: "per-session", session: "s1" }, { id: "g", units: 5, durationMs: 60_000 });
    await admitted(one.limiter, 4);
    await other.limiter.close();
    remote.restore(empty);
    assert.equal(await admitted(one.limiter, 10), 6);
    await one.until("store.recovered");
    assert.equal(await usedIn(one.limiter), 10);
    await one.limiter.close();
  });

  it("misses at most what instances booked before they had seen the bucket", async () => {
    const remote = new RemoteStore(clock);
    const policy = policyOf({ quota: 1_000 });
    const [seen, fresh] = [instanceOf(remote, policy), instanceOf(remote, policy)];
    await admitted(seen.limiter, 30);
    const snapshot = remote.snapshot();
    await admitted(seen.limiter, 70);
    await fresh.limiter.usage({ session: "s2" });
    remote.restore(snapshot);
    const between = 25;
    await fresh.limiter.usage({ session: "s2" }).catch(() => {});
    assert.equal(await admitted(fresh.limiter, between), between);
    assert.equal(await admitted(seen.limiter, 10), 10);
    await seen.until("store.recovered");
    const used = (await usedIn(seen.limiter)) ?? 0;
    assert.ok(used >= 100 + 10 && used <= 100 + between + 10, `${used}`);
    await Promise.all([seen.limiter.close(), fresh.limiter.close()]);
  });

  it("decides alone while one batch hangs and no receipt has room, and books all of it once", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, events, until } = instanceOf(remote, policyOf({ quota: 200 }), { deadlineMs: 1_000 });
    await limiter.consume(call);
    remote.faults.push("hang");
    const hanging = limiter.consume(call);
    // Else the next call goes in the same batch.
    await new Promise(setImmediate);
    for (let i = 0; i < 80; i++) assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal((await hanging).allowed, true);
    await until("store.recovered");
    assert.equal(await usedIn(limiter), 82);
    assert.deepEqual(
      events.filter(({ type }) => type === "failover.refused"),
      [],
    );
    await limiter.close();
  });

  it("drops nothing where only a request to undo finds a damaged bucket", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, until } = instanceOf(remote, policyOf({ onStoreError: "deny" }));
    await limiter.consume(call);
    const bucket = [...remote.states.keys()].find((key) => key.includes("per-session")) ?? "";
    remote.faults.push("lose-reply");
    remote.damaged = bucket;
    assert.equal(await admitted(limiter, 1), 0);
    const recovered = await until("store.recovered");
    assert.deepEqual(recovered, { ...recovered, booked: 0, dropped: 0 });
    await limiter.close();
  });

  it("loses nothing when it is closed with only a request to undo", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, events } = instanceOf(remote, policyOf({ onStoreError: "deny" }));
    await limiter.consume(call);
    remote.fault = "lose-request";
    assert.equal(await admitted(limiter, 1), 0);
    await limiter.close({ withinMs: 0 });
    assert.deepEqual(
      events.map(({ type }) => type),
      ["store.unreachable"],
    );
  });

  it("holds and settles in an outage", async () => {
    const remote = new RemoteStore(clock);
    const policy = policyOf({ unit: "tokens", quota: 1_000 });
    const { limiter, until } = instanceOf(remote, policy);
    const before = await limiter.reserve({ ...call, cost: { tokens: 300 } });
    remote.fault = "lose-request";
    const meanwhile = await limiter.reserve({ ...call, cost: { tokens: 200 } });
    const open = await limiter.reserve({ ...call, cost: { tokens: 100 } });
    assert.ok(before.allowed && meanwhile.allowed && open.allowed);
    assert.equal((await before.hold.settle({ tokens: 350 })).status, "settled");
    assert.equal((await meanwhile.hold.settle({ tokens: 40 })).status, "settled");
    remote.fault = "answer";
    await until("store.recovered");
    assert.equal(await usedIn(limiter), 350 + 40 + 100);
    await open.hold.settle({ tokens: 10 });
    assert.equal(await usedIn(limiter), 350 + 40 + 10);
    await limiter.close();
  });

  it("reports what is lost when it is closed in an outage", async () => {
    const remote = new RemoteStore(clock);
    const { limiter, events } = instanceOf(remote);
    await limiter.consume(call);
    remote.fault = "lose-request";
    await admitted(limiter, 2);
    await limiter.close({ withinMs: 0 });
    assert.deepEqual(
      events.filter(({ type }) => type === "failover.lost"),
      [{ type: "failover.lost", bookings: 2 }],
    );
  });

  it("throws for what only the store can do, and for permanent errors", async () => {
    const remote = new RemoteStore(clock);
    const { limiter } = instanceOf(remote);
    await limiter.consume(call);
    remote.fault = "lose-request";
    await limiter.consume(call);
    await assert.rejects(limiter.usage({ session: "s1" }), { name: "StoreError", code: "unavailable" });
    await assert.rejects(limiter.reset({ limit: "per-session", session: "s1" }), {
      name: "StoreError",
      message: /^the store has been away for \d+ ms, and only it can do this/,
    });
    await limiter.close({ withinMs: 0 });
  });
});

// A limiter on a store of several shards: one that is away, or has lost data, concerns its own calls alone.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type FailoverOptions, type LimiterEvent, type PolicyInput } from "tollgate";
import type { Journal } from "tollgate/journal";
import { DividedRemote } from "./divided.ts";
import type { RemoteStore } from "./remote.ts";

const clock = { nowMs: () => Date.now() };
const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "per-session", per: ["session"], quota: 10 },
    { name: "per-user", per: ["user"], quota: 100, onMissing: "skip" },
  ],
};

function instanceOf(store: DividedRemote, failover: FailoverOptions = {}, policy = POLICY) {
  const events: LimiterEvent[] = [];
  let heard: () => void = () => {};
  const limiter = createLimiter({
    policy,
    store,
    failover: { deadlineMs: 10_000, ...failover },
    onEvent: (event) => {
      events.push(event);
      heard();
    },
  });
  const of = (type: LimiterEvent["type"]) => events.filter((event) => event.type === type);
  const until = async (type: LimiterEvent["type"], count = 1) => {
    while (of(type).length < count) {
      await new Promise<void>((resolve) => {
        heard = resolve;
      });
    }
    return of(type).at(-1) as LimiterEvent;
  };
  const admitted = async (session: string, times: number) => {
    const calls = Array.from({ length: times }, () => limiter.consume({ tool: "search", session }));
    return (await Promise.all(calls)).filter(({ allowed }) => allowed).length;
  };
  const usedBy = async (session: string) => (await limiter.usage({ session }))[0]?.used;
  return { limiter, events, of, until, admitted, usedBy };
}

const at = (store: DividedRemote, shard: number) => store.remotes[shard] as RemoteStore;

function memoryJournal(): Journal & { readonly kept: Map<string, string>; closed: number } {
  const kept = new Map<string, string>();
  return {
    kept,
    closed: 0,
    entries: () => [...kept],
    write(changes) {
      for (const [key, text] of changes) {
        if (text === null) kept.delete(key);
        else kept.set(key, text);
      }
    },
    close() {
      this.closed++;
    },
  };
}

describe("a shard that is away", () => {
  it("moves its own calls to shares; the others stay exact", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, until, admitted, usedBy } = instanceOf(store, { instances: 2 });
    assert.equal(await admitted("s2", 2), 2);
    assert.equal(await admitted("s3", 2), 2);
    at(store, 2).fault = "lose-request";
    const here = await limiter.consume({ tool: "search", session: "s3" });
    const away = await limiter.consume({ tool: "search", session: "s2" });
    assert.equal(here.degraded, null);
    assert.equal(away.degraded?.reason, "unavailable");
    // Half of the eight that are left, and the call above.
    assert.equal(await admitted("s2", 10), 3);
    assert.equal(await admitted("s3", 10), 7);
    at(store, 2).fault = "answer";
    await until("store.recovered");
    assert.deepEqual([await usedBy("s2"), await usedBy("s3")], [6, 10]);
    await limiter.close();
  });

  it("gets back what it has lost", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, until, admitted, usedBy } = instanceOf(store);
    assert.equal(await admitted("s1", 4), 4);
    assert.equal(await admitted("s3", 4), 4);
    at(store, 3).flush();
    assert.equal(await admitted("s3", 10), 6);
    assert.equal((await until("store.recovered")).type, "store.recovered");
    assert.deepEqual([await usedBy("s1"), await usedBy("s3")], [4, 10]);
    await limiter.close();
  });

  it("takes back what it admitted for a call that another shard denies, also one that is away", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, until, admitted, usedBy } = instanceOf(store, { instances: 1 });
    const call = { tool: "search", session: "s2", user: "u3" };
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal(await admitted("s2", 9), 9);
    for (const shard of [2, 3]) at(store, shard).fault = "lose-request";
    // The first one is in flight when the shards leave: what was admitted of it stays.
    for (let i = 0; i < 20; i++) assert.equal((await limiter.consume(call)).allowed, false);
    for (const shard of [2, 3]) at(store, shard).fault = "answer";
    await until("store.recovered");
    const usages = await limiter.usage({ user: "u3" });
    assert.equal(usages.find(({ limit }) => limit === "per-user")?.used, 1 + 1);
    assert.equal(await usedBy("s2"), 10);
    await limiter.close();
  });

  it("does not fail a call that another shard denies, nor a peek", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, admitted } = instanceOf(store, { instances: 2 });
    const call = { tool: "search", session: "s2", user: "u3" };
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal(await admitted("s2", 9), 9);
    at(store, 3).fault = "lose-request";
    for (let i = 0; i < 3; i++) {
      const { allowed, verdicts } = await limiter.consume(call);
      assert.deepEqual(
        [allowed, verdicts.map(({ limit, allowed }) => [limit, allowed])],
        [
          false,
          [
            ["per-session", false],
            ["per-user", true],
          ],
        ],
      );
    }
    assert.equal((await limiter.peek(call)).allowed, false);
    assert.equal((await limiter.peek({ ...call, session: "s1" })).allowed, true);
    await limiter.close();
  });

  it("does not keep a call's answer from its retry, also where a third shard denies by then", async () => {
    const store = new DividedRemote(4, clock);
    const policy: PolicyInput = {
      version: 1,
      limits: [
        { name: "per-session", per: ["session"], quota: 10 },
        { name: "per-user", per: ["user"], quota: 1, onMissing: "skip" },
        { name: "per-tool", per: ["tool"], quota: 100 },
      ],
    };
    const { limiter } = instanceOf(store, { instances: 2 }, policy);
    const call = { tool: "t1", session: "s2", user: "u3", idempotencyKey: "k1" };
    assert.equal((await limiter.consume(call)).allowed, true);
    at(store, 1).fault = "lose-request";
    assert.notEqual((await limiter.consume({ tool: "t1", session: "s2" })).degraded, null);
    const again = await limiter.consume(call);
    assert.deepEqual([again.allowed, again.replayed, again.degraded], [true, true, null]);
    await limiter.close();
  });

  it("has one event when the first shard leaves, and one when the last is back, with sums", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, of, until, admitted } = instanceOf(store);
    await Promise.all(["s1", "s2", "s3"].map((session) => admitted(session, 1)));
    for (const remote of store.remotes) remote.fault = "lose-request";
    for (const session of ["s1", "s2", "s3"]) assert.equal(await admitted(session, 2), 2);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(of("store.unreachable").length, 1);
    for (const remote of store.remotes) remote.fault = "answer";
    const back = await until("store.recovered");
    assert.equal(back.type === "store.recovered" && back.booked, 6);
    assert.equal(of("store.recovered").length, 1);
    await limiter.close();
  });
});

describe("a limiter on a store of several shards", () => {
  it("learns from a shard that counts how many instances there are, also where no call asks that shard", async () => {
    const store = new DividedRemote(4, clock);
    const first = instanceOf(store);
    const second = instanceOf(store);
    assert.equal(await first.admitted("s3", 1), 1);
    assert.equal(await second.admitted("s3", 1), 1);
    at(store, 3).fault = "lose-request";
    assert.ok((await second.admitted("s3", 10)) <= 4);
    at(store, 3).fault = "answer";
    await Promise.all([first.limiter.close(), second.limiter.close()]);
  });

  it("closes the store once, and its journal once", async () => {
    const store = new DividedRemote(4, clock);
    const journal = memoryJournal();
    const { limiter, admitted } = instanceOf(store, { journal });
    for (const session of ["s0", "s1", "s2", "s3"]) await admitted(session, 1);
    await limiter.close();
    assert.deepEqual([store.closed, journal.closed], [1, 1]);
  });

  it("books what an earlier process admitted, also of shards that no call asks", async () => {
    const store = new DividedRemote(4, clock);
    const journal = memoryJournal();
    const dead = instanceOf(store, { journal, instances: 1 });
    assert.equal(await dead.admitted("s3", 1), 1);
    at(store, 3).fault = "lose-request";
    assert.equal(await dead.admitted("s3", 3), 3);
    assert.ok(
      [...journal.kept.keys()].every((key) => key.startsWith("shard 3 ")),
      [...journal.kept.keys()].join(),
    );
    // The process dies: nothing is closed. The shard answers the next one.
    const store2 = new DividedRemote(4, clock);
    for (const [i, remote] of store.remotes.entries())
      for (const [key, state] of remote.states) at(store2, i).states.set(key, state);
    const next = instanceOf(store2, { journal, instances: 1 });
    assert.equal(await next.admitted("s1", 1), 1);
    await next.until("store.recovered");
    assert.equal(await next.usedBy("s3"), 4);
    assert.equal(journal.kept.size, 0);
    await next.limiter.close();
  });

  it("asks no shard for its setup again and again while one is away", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, until, admitted } = instanceOf(store, { instances: 1 });
    assert.equal(await admitted("s1", 1), 1);
    at(store, 3).fault = "lose-request";
    await admitted("s3", 1);
    const endsAtMs = Date.now() + 2_500;
    for (let i = 0; Date.now() < endsAtMs; i++) {
      await admitted(`other${i}-1`, 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.ok(store.setups <= 2, `${store.setups} readings`);
    at(store, 3).fault = "answer";
    await until("store.recovered");
    const before = store.setups;
    await admitted("last-1", 1);
    assert.equal(store.setups, before + 1, "the shard may be on another server now");
    await limiter.close();
  });

  it("decides calls that come together each as soon as its own shards have answered", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, admitted } = instanceOf(store, { deadlineMs: 500, instances: 1 });
    for (const session of ["s0", "s1", "s2", "s3"]) await admitted(session, 1);
    at(store, 3).fault = "hang";
    const decided: string[] = [];
    const calls = ["s3", "s1"].map(async (session) => {
      const { allowed, degraded } = await limiter.consume({ tool: "search", session, user: "u2" });
      decided.push(`${session} ${allowed} ${degraded === null}`);
    });
    await Promise.all(calls);
    assert.deepEqual(decided, ["s1 true true", "s3 true false"]);
    at(store, 3).fault = "answer";
    await limiter.close({ withinMs: 0 });
  });

  it("says how a bucket stands that denies a call while its shard is away", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, admitted } = instanceOf(store, { instances: 1 });
    await limiter.consume({ tool: "search", session: "s0", user: "u2", cost: { calls: 5 } });
    assert.equal(await admitted("s1", 10), 10);
    at(store, 2).fault = "lose-request";
    await admitted("s2", 1);
    const denied = await limiter.consume({ tool: "search", session: "s1", user: "u2", cost: { calls: 99 } });
    assert.deepEqual(
      denied.verdicts.map(({ limit, allowed, remaining }) => [limit, allowed, remaining]),
      [
        ["per-session", false, 0],
        ["per-user", false, 95],
      ],
    );
    await limiter.close({ withinMs: 0 });
  });

  it("gives back once what a denied call took in another shard, also when the client sends it twice", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, admitted } = instanceOf(store);
    assert.equal((await limiter.consume({ tool: "search", session: "s0", user: "u2" })).allowed, true);
    assert.equal(await admitted("s1", 10), 10);
    store.sendsTwice = true;
    assert.equal((await limiter.consume({ tool: "search", session: "s1", user: "u2" })).allowed, false);
    const usages = await limiter.usage({ user: "u2" });
    assert.equal(usages.find(({ limit }) => limit === "per-user")?.used, 1);
    await limiter.close();
  });

  it("answers a call over several shards, and takes nothing where one denies", async () => {
    const store = new DividedRemote(4, clock);
    const { limiter, admitted, usedBy } = instanceOf(store);
    const call = { tool: "search", session: "s1", user: "u2" };
    assert.equal((await limiter.consume(call)).allowed, true);
    assert.equal(await admitted("s1", 9), 9);
    assert.equal((await limiter.consume(call)).allowed, false);
    const usages = await limiter.usage({ user: "u2" });
    assert.equal(usages.find(({ limit }) => limit === "per-user")?.used, 1);
    assert.equal(await usedBy("s1"), 10);
    await limiter.close();
  });
});

// How a request over several shards is asked for: what is asked together, in which order, and what is given back.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LimitSpec, type Step, type Store, StoreError, type StoreReply, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { tagOf } from "../../src/kernel/key.ts";
import { decideInShards, ShardMemory } from "../../src/store/wide-request.ts";

const LIMIT: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "first" };
const WINDOW: LimitSpec = { algorithm: "fixed-window", quota: 5, windowMs: 1_000, align: "first-use" };
const MANY: LimitSpec = { ...LIMIT, quota: 1_000_000 };
const charge = (shard: string, more: object = {}, limit: LimitSpec = LIMIT): Step => ({
  bucket: `{${shard}}:b`,
  limit,
  event: { type: "charge", cost: 1, ...more },
});
const judge = (...steps: Step[]): StoreRequest => ({ mode: "judge", steps });

/**
 * A store of several shards, each in memory, with a list of what was asked.
 *
 * @param aheadMs by how much the clock of a shard is ahead
 */
function shards(aheadMs: Readonly<Record<string, number>> = {}) {
  const clock = fakeClock();
  const memory = new ShardMemory(clock);
  const stores = new Map<string, Store>();
  const asked: string[] = [];
  const later: Promise<unknown>[] = [];
  let away: string | null = null;
  let decidedHere: string | null = null;
  let settling: Promise<unknown> = Promise.resolve();
  const ask = async (shard: string, requests: readonly StoreRequest[]) => {
    const events = requests.map(({ mode, steps }) => `${mode} ${steps.map(({ event }) => event.type).join()}`);
    asked.push(`${shard}: ${events.join(", ")}`);
    if (shard === away) throw new StoreError("unavailable", "the shard is away", { transient: true });
    const store =
      stores.get(shard) ?? memoryStore({ clock: { ...clock, nowMs: () => clock.nowMs() + (aheadMs[shard] ?? 0) } });
    stores.set(shard, store);
    return store.apply(requests);
  };
  const all = {
    asked,
    clock,
    memory,
    leave: (shard: string) => {
      away = shard;
    },
    decideHere: (shard: string) => {
      decidedHere = shard;
    },
    /** Lets what goes on after decisions wait. */
    hold(until: Promise<unknown>) {
      settling = until;
    },
    settled: () => Promise.all(later),
    sendAll: (...requests: StoreRequest[]) =>
      decideInShards(requests, {
        of: tagOf,
        decide: ask,
        settle: async (shard, each) => {
          await settling;
          return ask(shard, each);
        },
        runLater: (work) => void later.push(work),
        isAway: (shard) => shard === decidedHere,
        memory,
      }),
    async send(request: StoreRequest) {
      const [answer] = await all.sendAll(request);
      await all.settled();
      return answer;
    },
    async usedIn(shard: string, limit: LimitSpec = LIMIT) {
      const read = { ...charge(shard, {}, limit), event: { type: "read" } } as const;
      const [reply] = await ask(shard, [{ mode: "peek", steps: [read] }]);
      return (reply as StoreReply).steps[0]?.used;
    },
  };
  return all;
}

describe("a request over several shards", () => {
  it("is charged in all of them at once", async () => {
    const all = shards();
    const reply = (await all.send(judge(charge("user=u"), charge("s")))) as StoreReply;
    assert.deepEqual([reply.allowed, reply.steps.map(({ used }) => used)], [true, [1, 1]]);
    assert.deepEqual(all.asked, ["user=u: judge charge", "s: judge charge"]);
  });

  it("goes with all others of its batch: one message for each shard", async () => {
    const all = shards();
    const answers = await all.sendAll(
      judge(charge("s1"), charge("user=u")),
      judge(charge("s2")),
      judge(charge("s2"), charge("user=u")),
    );
    assert.ok(answers.every((answer) => !StoreError.isInstance(answer) && answer.allowed));
    assert.deepEqual(all.asked, [
      "s1: judge charge",
      "user=u: judge charge, judge charge",
      "s2: judge charge, judge charge",
    ]);
  });

  it("is taken back in all shards, whichever clock is ahead, or in none where its answer was given again", async () => {
    for (const [shard, isToldAgain] of [
      ["s", false],
      ["s", true],
      ["user=u", false],
      ["user=u", true],
    ] as const) {
      const all = shards({ [shard]: 5 });
      const request = { ...judge(charge("s"), charge("user=u")), once: { key: "{user=u}:$once:k", request: "r1" } };
      const { nowMs } = (await all.send(request)) as StoreReply;
      if (isToldAgain) await all.send(request);
      const undone = (await all.send({ ...request, mode: "undo", atMs: nowMs })) as StoreReply;
      assert.equal(undone.allowed, !isToldAgain);
      const used = isToldAgain ? 1 : 0;
      assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [used, used]);
    }
  });

  it("asks a shard last that counts for good, and the shard of the answer after that", async () => {
    const all = shards();
    const request = judge(charge("s", { seen: "0123456789abcdef" }), charge("user=u"));
    await all.send(request);
    await all.send({ ...request, once: { key: "{user=u}:$once:k", request: "r1" } });
    assert.deepEqual(all.asked, ["user=u: judge charge", "s: judge charge", "s: judge charge", "user=u: judge charge"]);
  });

  it("asks nearly full shards last, those that all calls share after the others", async () => {
    const all = shards();
    const every: Step = { ...charge("all"), bucket: "{all}:all" };
    const calls = () => judge(every, charge("user=u"), charge("tool=t", {}, MANY), charge("s"));
    for (let i = 0; i < 3; i++) await all.send(calls());
    all.asked.length = 0;
    await all.send(calls());
    assert.deepEqual(
      all.asked.map((asked) => asked.split(":")[0]),
      ["tool=t", "s", "user=u", "all"],
    );
    const denied = (await all.send(judge(every, charge("user=u", { cost: 3 }), charge("s")))) as StoreReply;
    assert.deepEqual([denied.allowed, denied.steps.map(({ used }) => used)], [false, [4, 4, 4]]);
    all.asked.length = 0;
    all.clock.advance(1_001);
    await all.send(calls());
    assert.equal(all.asked[0], "all: judge charge");
  });

  it("asks shards last that this process decides for", async () => {
    const all = shards();
    all.decideHere("user=u");
    await all.send(judge(charge("user=u"), charge("s")));
    assert.deepEqual(all.asked, ["s: judge charge", "user=u: judge charge"]);
  });

  it("says the worst of what was decided without a shard", async () => {
    const degraded = (maxOvershoot: number) => ({ reason: "unavailable", maxOvershoot });
    const reply = (overshoot: number | undefined): StoreReply => ({
      allowed: true,
      nowMs: 1,
      steps: [{ allowed: true, used: 1, resetAfterMs: 1, retryAfterMs: 0 }],
      ...(overshoot === undefined ? {} : { degraded: degraded(overshoot) }),
    });
    const overshoots: Record<string, number> = { a: 3, "b=1": 7 };
    const ask = async (shard: string) => [reply(overshoots[shard])];
    const [answer] = await decideInShards([judge(charge("s"), charge("a"), charge("b=1"))], {
      of: tagOf,
      decide: ask,
      settle: ask,
      runLater: () => {},
      memory: new ShardMemory(),
    });
    assert.deepEqual((answer as StoreReply).degraded, degraded(7));
  });

  it("gives the kept answer again also where a shard denies by then", async () => {
    const all = shards();
    const request = { ...judge(charge("s"), charge("user=u")), once: { key: "{s}:$once:k", request: "r1" } };
    await all.send(request);
    for (let i = 0; i < 4; i++) await all.send(judge(charge("user=u")));
    const again = (await all.send(request)) as StoreReply;
    assert.deepEqual([again.allowed, again.replay?.request], [true, "r1"]);
    assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [1, 5]);
  });

  it("is charged once under its key", async () => {
    const all = shards();
    const request = { ...judge(charge("s"), charge("user=u")), once: { key: "{s}:$once:k", request: "r1" } };
    for (let i = 0; i < 2; i++) await all.send(request);
    assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [1, 1]);
  });

  it("is recorded once in all shards", async () => {
    const all = shards();
    const once = { key: "{s}:$once:k", request: "r1" };
    for (let i = 0; i < 2; i++) await all.send({ ...judge(charge("s"), charge("user=u")), mode: "force", once });
    assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [1, 1]);
  });

  for (const [name, shadow] of [
    ["that denies calls", false],
    ["that denies none", true],
  ] as const)
    it(`ends a hold once in all shards, also in one that was away, for a limit ${name}`, async () => {
      const all = shards();
      const event = (units: number) => ({ event: { type: "settle", id: "h1", units } }) as const;
      const hold = { event: { type: "hold", id: "h1", units: 1, leaseMs: 60_000, onExpiry: "charge" } } as const;
      await all.send(judge({ ...charge("s"), ...hold }, { ...charge("user=u"), ...hold, shadow }));
      const ended: StoreRequest = {
        mode: "force",
        steps: [
          { ...charge("s"), ...event(3) },
          { ...charge("user=u"), ...event(3), shadow },
        ],
        once: { key: "{s}:$settled:h1", request: "r1" },
      };
      all.leave("user=u");
      assert.ok(StoreError.isInstance(await all.send(ended)));
      all.leave("");
      for (let i = 0; i < 2; i++) assert.equal(((await all.send(ended)) as StoreReply).replay?.request, "r1");
      assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [3, 3]);
    });
});

describe("a request over several shards of which one denies", () => {
  async function full() {
    const all = shards();
    for (let i = 0; i < 5; i++) await all.send(judge(charge("b=1")));
    all.asked.length = 0;
    return all;
  }

  it("gives back what the others have charged, and says how all of them stand", async () => {
    const all = await full();
    const calls = Array.from({ length: 2 }, () => judge(charge("a"), charge("b=1"), charge("c=1")));
    const replies = (await all.sendAll(...calls)) as StoreReply[];
    assert.deepEqual(
      replies.map(({ allowed, steps }) => [allowed, steps.map((step) => [step.allowed, step.used])]),
      [0, 1].map((other) => [
        false,
        [
          [true, other],
          [false, 5],
          [true, other],
        ],
      ]),
    );
    await all.settled();
    assert.deepEqual(all.asked, [
      "a: judge charge, judge charge",
      "b=1: judge charge, judge charge",
      "c=1: judge charge, judge charge",
      "a: undo charge, undo charge",
      "c=1: undo charge, undo charge",
    ]);
    assert.deepEqual([await all.usedIn("a"), await all.usedIn("c=1")], [0, 0]);
  });

  it("ends its holds", async () => {
    const all = await full();
    const hold = { event: { type: "hold", id: "h1", units: 2, leaseMs: 60_000, onExpiry: "charge" } } as const;
    const steps = [charge("a"), charge("b=1")].map((step) => ({ ...step, ...hold }));
    const reply = (await all.send(judge(...steps))) as StoreReply;
    assert.deepEqual([reply.allowed, reply.steps[0]?.used], [false, 0]);
    assert.equal(await all.usedIn("a"), 0);
  });

  it("does not wait until it is given back", async () => {
    const all = await full();
    let goOn: (value?: unknown) => void = () => {};
    all.hold(new Promise((resolve) => (goOn = resolve)));
    const [reply] = await all.sendAll(judge(charge("a"), charge("b=1")));
    assert.equal((reply as StoreReply).allowed, false);
    assert.equal(await all.usedIn("a"), 1);
    goOn();
    await all.settled();
    assert.equal(await all.usedIn("a"), 0);
  });

  it("takes nothing from a window that began since", async () => {
    const all = await full();
    let goOn: (value?: unknown) => void = () => {};
    all.hold(new Promise((resolve) => (goOn = resolve)));
    await all.sendAll(judge(charge("a", {}, WINDOW), charge("b=1")));
    all.clock.advance(1_500);
    await all.sendAll(judge(charge("a", {}, WINDOW)));
    goOn();
    await all.settled();
    assert.equal(await all.usedIn("a", WINDOW), 1);
  });

  it("leaves units used that cannot be given back, and fails no call", async () => {
    const all = await full();
    all.hold(Promise.reject(new Error("too late")));
    assert.equal(((await all.send(judge(charge("a"), charge("b=1")))) as StoreReply).allowed, false);
    all.hold(Promise.resolve());
    all.memory.givingBack = 10_000;
    assert.equal(((await all.send(judge(charge("a"), charge("b=1")))) as StoreReply).allowed, false);
    assert.equal(all.memory.givingBack, 10_000);
    assert.equal(await all.usedIn("a"), 2);
  });
});

describe("a request over several shards of which one fails", () => {
  it("fails, and gives back what the others have charged", async () => {
    const all = shards();
    all.leave("user=u");
    const answer = await all.send(judge(charge("s"), charge("user=u")));
    assert.ok(StoreError.isInstance(answer) && answer.code === "unavailable");
    assert.equal(await all.usedIn("s"), 0);
  });

  it("fails alone", async () => {
    const all = shards();
    all.leave("user=u");
    const answers = await all.sendAll(judge(charge("s"), charge("user=u")), judge(charge("s"), charge("tool=t")));
    assert.deepEqual(
      answers.map((answer) => StoreError.isInstance(answer)),
      [true, false],
    );
    await all.settled();
    assert.deepEqual([await all.usedIn("s"), await all.usedIn("tool=t")], [1, 1]);
  });
});

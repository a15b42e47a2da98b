// How a request over several shards is asked for: in which order, what is held, and what is released.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LimitSpec, type Step, type Store, StoreError, type StoreReply, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { tagOf } from "../../src/kernel/key.ts";
import { decideInShards } from "../../src/store/wide-request.ts";

const LIMIT: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "first" };
const charge = (shard: string, more: object = {}): Step => ({
  bucket: `{${shard}}:b`,
  limit: LIMIT,
  event: { type: "charge", cost: 1, ...more },
});
const judge = (...steps: Step[]): StoreRequest => ({ mode: "judge", steps });

/** A store of several shards, each in memory, with a list of what was asked. */
function shards() {
  const stores = new Map<string, Store>();
  const asked: string[] = [];
  const later: Promise<unknown>[] = [];
  let away: string | null = null;
  const ask = async (shard: string, requests: readonly StoreRequest[]) => {
    const events = requests.map(({ mode, steps }) => `${mode} ${steps.map(({ event }) => event.type).join()}`);
    asked.push(`${shard}: ${events.join(", ")}`);
    if (shard === away) throw new StoreError("unavailable", "the shard is away", { transient: true });
    const store = stores.get(shard) ?? memoryStore();
    stores.set(shard, store);
    return store.apply(requests);
  };
  return {
    asked,
    leave: (shard: string) => {
      away = shard;
    },
    async send(request: StoreRequest) {
      const options = { of: tagOf, decide: ask, settle: ask };
      const inTime = <Value>(work: Promise<Value>) => work;
      const runLater = (work: Promise<unknown>) => void later.push(work.catch(() => {}));
      const [answer] = await decideInShards([request], { ...options, inTime, runLater });
      await Promise.all(later);
      return answer;
    },
    async usedIn(shard: string) {
      const [reply] = await ask(shard, [{ mode: "peek", steps: [{ ...charge(shard), event: { type: "read" } }] }]);
      return (reply as StoreReply).steps[0]?.used;
    },
  };
}

describe("a request over several shards", () => {
  it("holds in all shards but the last, which books, and spends the holds then", async () => {
    const all = shards();
    const reply = (await all.send(judge(charge("user=u"), charge("s")))) as StoreReply;
    assert.deepEqual([reply.allowed, reply.steps.map(({ used }) => used)], [true, [1, 1]]);
    assert.deepEqual(all.asked, ["s: judge hold", "user=u: judge charge", "s: force settle"]);
    assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [1, 1]);
  });

  it("asks a shard last whose charge cannot be held, and the shard of the answer after that", async () => {
    const all = shards();
    const request = judge(charge("s", { seen: "0123456789abcdef" }), charge("user=u"));
    await all.send(request);
    await all.send({ ...request, once: { key: "{user=u}:$once:k", request: "r1" } });
    assert.deepEqual(all.asked, [
      "user=u: judge hold",
      "s: judge charge",
      "user=u: force settle",
      "s: judge charge",
      "user=u: judge charge",
    ]);
  });

  it("asks first what few calls share, and last what all share", async () => {
    const all = shards();
    const errors: Step = { ...charge("tool=t"), limit: { algorithm: "streak", quota: 2, ttlMs: 60_000 } };
    const every: Step = { ...charge("all"), bucket: "{all}:all" };
    await all.send(judge(every, charge("user=u"), errors, charge("s")));
    assert.deepEqual(
      all.asked.slice(0, 4).map((asked) => asked.split(":")[0]),
      ["s", "tool=t", "user=u", "all"],
    );
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

  it("is recorded once in all shards", async () => {
    const all = shards();
    const once = { key: "{s}:$once:k", request: "r1" };
    for (let i = 0; i < 2; i++) await all.send({ ...judge(charge("s"), charge("user=u")), mode: "force", once });
    assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [1, 1]);
  });

  it("ends a hold once in all shards, also in one that was away", async () => {
    const all = shards();
    const event = (units: number) => ({ event: { type: "settle", id: "h1", units } }) as const;
    const hold = { event: { type: "hold", id: "h1", units: 1, leaseMs: 60_000, onExpiry: "charge" } } as const;
    await all.send(judge({ ...charge("s"), ...hold }, { ...charge("user=u"), ...hold }));
    const ended: StoreRequest = {
      mode: "force",
      steps: [
        { ...charge("s"), ...event(3) },
        { ...charge("user=u"), ...event(3) },
      ],
      once: { key: "{s}:$settled:h1", request: "r1" },
    };
    all.leave("user=u");
    assert.ok(StoreError.isInstance(await all.send(ended)));
    all.leave("");
    for (let i = 0; i < 2; i++) assert.equal(((await all.send(ended)) as StoreReply).replay?.request, "r1");
    assert.deepEqual([await all.usedIn("s"), await all.usedIn("user=u")], [3, 3]);
  });

  it("releases what it holds when a shard denies, and says how all of them stand", async () => {
    const all = shards();
    for (let i = 0; i < 5; i++) await all.send(judge(charge("b=1")));
    all.asked.length = 0;
    const reply = (await all.send(judge(charge("a"), charge("b=1"), charge("c=1")))) as StoreReply;
    assert.deepEqual(
      reply.steps.map(({ allowed, used }) => [allowed, used]),
      [
        [true, 0],
        [false, 5],
        [true, 0],
      ],
    );
    assert.deepEqual(all.asked, ["a: judge hold", "b=1: judge hold", "a: force settle", "c=1: peek charge, peek read"]);
  });

  it("releases what it holds when a shard is away", async () => {
    const all = shards();
    all.leave("user=u");
    const answer = await all.send(judge(charge("s"), charge("user=u")));
    assert.ok(StoreError.isInstance(answer) && answer.code === "unavailable");
    assert.equal(await all.usedIn("s"), 0);
  });
});

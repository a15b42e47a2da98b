// How a request over several shards is asked for: in which order, what is held, and what is released.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type LimitSpec, type Step, type Store, StoreError, type StoreReply, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { decideInShards } from "../../src/store/wide-request.ts";

const LIMIT: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "first" };
const charge = (shard: string, more: object = {}): Step => ({
  bucket: `${shard}/b`,
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
      const options = { of: (key: string) => key.split("/")[0] ?? "", decide: ask, settle: ask };
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
    await all.send({ ...request, once: { key: "user=u/$once:k", request: "r1" } });
    assert.deepEqual(all.asked, [
      "user=u: judge hold",
      "s: judge charge",
      "user=u: force settle",
      "s: judge charge",
      "user=u: judge charge",
    ]);
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

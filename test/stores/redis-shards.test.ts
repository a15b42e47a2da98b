// A server of a cluster that was started, or has taken over, may have lost what its shards held. No process may decide there by an old
// mark of any of them: the script is loaded only after all marks were renewed.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StoreError, type StoreRequest } from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import type { DividedStore } from "../../src/store/shared-store.ts";
import { DIGESTS } from "../../src/stores/redis/digests.gen.ts";
import { SHARDS, shardPlaces } from "../../src/stores/redis/shards.ts";

const MEMBER = { group: "default", instance: "i1", livesMs: 10_000, seen: [] };
const request: StoreRequest = {
  mode: "judge",
  steps: [
    {
      bucket: "rate:1:{s1}:a",
      limit: { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "last" },
      event: { type: "charge", cost: 1 },
    },
  ],
};

type Answer = (key: string) => unknown;

/** A cluster whose servers do not know the script that decides. */
function cluster(answerBeat: Answer = () => ["1000", 1, 0, "m1 abc some"]) {
  /** Which script was sent or loaded with which key. */
  const asked: string[] = [];
  const answered: string[] = [];
  let isLoaded = false;
  const client = {
    isCluster: true,
    async call(name: string, ...args: (string | number)[]) {
      const command = name.toUpperCase();
      const [script, , first] = args;
      const key = String(first);
      const isBeat = script === DIGESTS.beat.server;
      const sent = `${isBeat ? "beat" : command === "EVAL" ? "load" : "apply"} ${key}`;
      asked.push(sent);
      await new Promise((resolve) => setImmediate(resolve));
      if (isBeat) {
        const answer = await answerBeat(key);
        answered.push(sent);
        return answer;
      }
      if (command === "EVAL") isLoaded = true;
      if (!isLoaded) throw new Error("NOSCRIPT No matching script.");
      return key.endsWith("$incarnation") ? ["1000"] : ["1000", 0, 1, 60_000];
    },
  };
  const store = redisStore(client) as DividedStore;
  return { asked, answered, store, shard: store.shards.of("rate:1:{s1}:a") };
}

const loads = (asked: readonly string[]) => asked.filter((name) => name.startsWith("load"));

describe("a server of a cluster that does not know the script", () => {
  it("gets it from a beat after the marks of all shards were renewed, by a key of the shard", async () => {
    const { asked, answered, store, shard } = cluster();
    await store.shards.at(shard).beat(MEMBER);
    const [load] = loads(asked);
    assert.match(load ?? "", /^load \{\d+\}:tollgate:1:\$incarnation$/);
    // Its own beat, and a renewal of each.
    assert.equal(answered.length, 1 + SHARDS);
    assert.equal(new Set(answered).size, SHARDS);
    assert.equal(asked.at(-1), load);
  });

  it("gets it from a call without terms only after that, too", async () => {
    const { asked, answered, store } = cluster();
    await store.apply([request]);
    assert.equal(answered.length, SHARDS);
    assert.equal(loads(asked).length, 1);
  });

  it("refuses a batch on terms, and is not given the script", async () => {
    const { asked, store, shard } = cluster();
    const booked = store.shards.at(shard).book([request], { incarnation: "abc" });
    await assert.rejects(booked, { refusal: "other-incarnation" });
    assert.deepEqual(loads(asked), []);
  });

  it("is not given the script when the mark of one shard cannot be renewed", async () => {
    let failing: string | undefined;
    const { asked, store, shard } = cluster((key) => {
      if (key === failing) throw new Error("CLUSTERDOWN The cluster is down");
      failing ??= "{2}:tollgate:1:$incarnation";
      return ["1000", 1, 0, "m1 abc some"];
    });
    await assert.rejects(store.shards.at(shard).beat(MEMBER), { code: "unavailable", transient: true });
    assert.deepEqual(loads(asked), []);
    failing = "";
    await store.shards.at(shard).beat(MEMBER);
    assert.equal(loads(asked).length, 1);
  });

  it("keeps a call without terms no longer than its deadline when a shard gives no answer", async () => {
    const { asked, store } = cluster((key) =>
      key.startsWith("{2}:") ? new Promise(() => {}) : ["1000", 1, 0, "m1 abc some"],
    );
    const startedMs = performance.now();
    const [answer] = await store.apply([request], 50);
    assert.ok(StoreError.isInstance(answer) && answer.code === "unavailable");
    assert.ok(performance.now() - startedMs < 2_000);
    assert.deepEqual(loads(asked), []);
  });

  it("has its marks renewed when a beat finds another server than the last one", async () => {
    let incarnation = "abc";
    const { asked, store, shard } = cluster(() => ["1000", 1, 0, `m1 ${incarnation} some`]);
    await store.shards.at(shard).beat(MEMBER);
    const before = asked.length;
    incarnation = "def";
    await store.shards.at(shard).beat(MEMBER);
    assert.equal(asked.length, before + 1 + SHARDS);
  });
});

describe("a request without keys", () => {
  const ping: StoreRequest = { mode: "peek", steps: [] };
  const answering = (...shards: number[]) => {
    const keys = shards.map((shard) => shardPlaces()[shard]?.prefix ?? "");
    return redisStore({
      isCluster: true,
      async call(_, ...args) {
        if (!keys.some((key) => String(args[2]).startsWith(key))) throw new Error("CLUSTERDOWN The cluster is down");
        return ["1000", 1];
      },
    });
  };

  it("is answered by any server", async () => {
    for (const shard of [0, 21, 42]) {
      const [reply] = await answering(shard).apply([ping]);
      assert.equal(StoreError.isInstance(reply), false);
    }
  });

  it("fails as a server does where none answers", async () => {
    await assert.rejects(answering().apply([ping]), { code: "unavailable", message: /CLUSTERDOWN/ });
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BatchLayer, MAX_QUEUED } from "../../src/layers/batch.ts";
import { type Store, StoreError, type StoreReply, type StoreRequest } from "../../src/store/api.ts";
import { memoryStore } from "../../src/stores/memory.ts";
import { fakeClock } from "../../src/testing/fake-clock.ts";
import { testStore } from "../stores/store-suite.ts";

testStore("memory behind the batch layer", () => {
  const clock = fakeClock();
  const layer = new BatchLayer(memoryStore({ clock }), { size: 7, underWay: 1 });
  const store: Store = { apply: (requests) => layer.apply(requests), close: () => layer.close() };
  return { store, advance: clock.advance };
});

const request: StoreRequest = { mode: "judge", steps: [] };

/** A store that notes the size of each batch and answers on demand. */
function recordingStore() {
  const sizes: number[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  const store: Store = {
    async apply(requests) {
      sizes.push(requests.length);
      const answer = Promise.withResolvers<void>();
      waiting.push(answer);
      await answer.promise;
      return requests.map((_, i): StoreReply => ({ allowed: true, nowMs: sizes.length * 1_000 + i, steps: [] }));
    },
    close: async () => {
      sizes.push(-1);
    },
  };
  return { store, sizes, waiting };
}

const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
};

describe("the batch layer", () => {
  it("sends the requests of one tick, and those that gather meanwhile, in one batch each", async () => {
    const { store, sizes, waiting } = recordingStore();
    const layer = new BatchLayer(store, { size: 10, underWay: 1 });
    const early = [layer.apply([request]), layer.apply([request, request])];
    await turns(2);
    const late = [layer.apply([request]), layer.apply([request])];
    await turns(3);
    assert.deepEqual(sizes, [3]);
    waiting[0]?.resolve();
    await turns(3);
    waiting[1]?.resolve();
    const replies = await Promise.all([...early, ...late]);
    assert.deepEqual(sizes, [3, 2]);
    const times = replies.flat().map((reply) => (StoreError.isInstance(reply) ? -1 : reply.nowMs));
    assert.deepEqual(times, [1_000, 1_001, 1_002, 2_000, 2_001]);
  });

  it("sends no batch above its size", async () => {
    const { store, sizes, waiting } = recordingStore();
    const layer = new BatchLayer(store, { size: 2, underWay: 1 });
    const asked = layer.apply(Array.from({ length: 5 }, () => request));
    for (let sent = 0; sent < 3; sent++) {
      await turns(3);
      waiting[sent]?.resolve();
    }
    assert.equal((await asked).length, 5);
    assert.deepEqual(sizes, [2, 2, 1]);
  });

  it("starts another batch only when a full one waits, or one of eight, within its bound of batches in flight", async () => {
    const { store, sizes, waiting } = recordingStore();
    const large = new BatchLayer(store, { size: 64, underWay: 2 });
    const of = (count: number) => large.apply(Array.from({ length: count }, () => request));
    const [one, seven, eighth] = [of(1), turns(1).then(() => of(7)), turns(2).then(() => of(1))];
    await turns(4);
    assert.deepEqual(sizes.splice(0), [1, 8]);
    for (const { resolve } of waiting.splice(0)) resolve();
    await Promise.all([one, seven, eighth]);
    const layer = new BatchLayer(store, { size: 3, underWay: 2 });
    const ask = (count: number) => Array.from({ length: count }, () => layer.apply([request]));
    const asked = ask(2);
    await turns(2);
    asked.push(...ask(2));
    await turns(2);
    assert.deepEqual(sizes, [2], "two wait, which is no whole batch");
    asked.push(...ask(1));
    await turns(2);
    assert.deepEqual(sizes, [2, 3]);
    asked.push(...ask(7));
    await turns(2);
    assert.deepEqual(sizes, [2, 3], "two are under way");
    for (let answered = 0; answered < 5; answered++) {
      waiting[answered]?.resolve();
      await turns(3);
    }
    assert.equal((await Promise.all(asked)).length, 12);
    assert.deepEqual(sizes, [2, 3, 3, 3, 1]);
  });

  it("waits for the others of a turn where only one batch can be under way", async () => {
    for (const [underWay, expected] of [[1, [3]] as const, [2, [1]] as const]) {
      const { store, sizes, waiting } = recordingStore();
      const layer = new BatchLayer(store, { size: 10, underWay });
      const asked = [layer.apply([request])];
      // As the requests of connections come: each in a callback of its own.
      for (let others = 0; others < 2; others++) {
        for (let i = 0; i < 5; i++) await null;
        asked.push(layer.apply([request]));
      }
      await turns(2);
      assert.deepEqual(sizes, expected);
      for (let sent = 0; sent < 2; sent++) {
        waiting[sent]?.resolve();
        await turns(2);
      }
      await Promise.all(asked);
    }
  });

  it("sends a batch beside another one once as many wait as the store says", async () => {
    for (const [least, expected] of [[3, [1, 3]] as const, [4, [1]] as const]) {
      const { store, sizes, waiting } = recordingStore();
      const layer = new BatchLayer(store, { size: 10, underWay: 2, least });
      const asked = [layer.apply([request])];
      await turns(1);
      asked.push(layer.apply([request, request, request]));
      await turns(2);
      assert.deepEqual(sizes, expected);
      for (let sent = 0; sent < 2; sent++) {
        waiting[sent]?.resolve();
        await turns(2);
      }
      await Promise.all(asked);
    }
  });

  it("spreads what waits over the batches that may be under way, or gives all of it to one", async () => {
    const batches = [
      { spread: true, count: 30, expected: [10, 10, 10] },
      { spread: true, count: 12, expected: [6, 6] },
      { spread: true, count: 9, expected: [9] },
      { spread: true, count: 90, expected: [20, 20, 20, 20, 10] },
      { spread: false, count: 12, expected: [12] },
      { spread: false, count: 30, expected: [20, 10] },
    ];
    for (const { spread, count, expected } of batches) {
      const { store, sizes, waiting } = recordingStore();
      const layer = new BatchLayer(store, { size: 20, underWay: 3, least: 5, spread });
      const asked = layer.apply(Array.from({ length: count }, () => request));
      for (let sent = 0; sent < expected.length; sent++) {
        await turns(2);
        waiting[sent]?.resolve();
      }
      assert.equal((await asked).length, count);
      assert.deepEqual(sizes, expected, `${count} that wait`);
    }
  });

  it("drops no request that comes just when it becomes idle", async () => {
    const store: Store = {
      apply: async (requests) => requests.map(() => ({ allowed: true, nowMs: 0, steps: [] })),
      close: async () => {},
    };
    const layer = new BatchLayer(store, { size: 2, underWay: 1 });
    for (let microtasks = 0; microtasks < 12; microtasks++) {
      await layer.apply([request]);
      await turns(1);
      const asked = new Promise((resolve) => {
        setImmediate(async () => {
          for (let i = 0; i < microtasks; i++) await null;
          resolve(layer.apply([request]));
        });
      });
      await asked;
    }
  });

  it("fails the callers of a batch that fails, and no others", async () => {
    const { store, waiting } = recordingStore();
    const layer = new BatchLayer(store, { size: 10, underWay: 1 });
    const doomed = layer.apply([request]);
    await turns(2);
    const fine = layer.apply([request]);
    const away = new StoreError("unavailable", "away", { transient: true });
    waiting[0]?.reject(away);
    await assert.rejects(doomed, away);
    await turns(2);
    waiting[1]?.resolve();
    assert.equal((await fine).length, 1);
  });

  it("accepts ends of calls also when its queue is full of calls, up to as many again", async () => {
    const { store, waiting } = recordingStore();
    const layer = new BatchLayer(store, { size: 1_024, underWay: 1 });
    const first = layer.apply([request]);
    await turns(1);
    const many = layer.apply(Array.from({ length: MAX_QUEUED }, () => request));
    const limit = { algorithm: "concurrency", quota: 1 } as const;
    const settle: StoreRequest = {
      mode: "force",
      steps: [{ bucket: "b", limit, event: { type: "settle", id: "h", units: 1 } }],
    };
    const isOverloaded = (error: unknown) => StoreError.isInstance(error) && error.code === "overloaded";
    await assert.rejects(layer.apply([request]), isOverloaded);
    const ends = layer.apply(Array.from({ length: MAX_QUEUED }, () => settle));
    await assert.rejects(layer.apply([settle]), isOverloaded);
    for (let sent = 0; sent < 1 + Math.ceil((2 * MAX_QUEUED) / 1_024); sent++) {
      await turns(2);
      waiting[sent]?.resolve();
    }
    await first;
    assert.deepEqual([(await many).length, (await ends).length], [MAX_QUEUED, MAX_QUEUED]);
  });

  it("refuses requests beyond its queue, and accepts work again afterwards", async () => {
    const { store, waiting } = recordingStore();
    const layer = new BatchLayer(store, { size: 1_024, underWay: 1 });
    const first = layer.apply([request]);
    await turns(1);
    const many = layer.apply(Array.from({ length: MAX_QUEUED }, () => request));
    await assert.rejects(
      layer.apply([request]),
      (error) => StoreError.isInstance(error) && error.code === "overloaded",
    );
    for (let sent = 0; sent < 1 + Math.ceil(MAX_QUEUED / 1_024); sent++) {
      await turns(2);
      waiting[sent]?.resolve();
    }
    await first;
    assert.equal((await many).length, MAX_QUEUED);
    const again = layer.apply([request]);
    await turns(2);
    waiting.at(-1)?.resolve();
    assert.equal((await again).length, 1);
  });

  it("closes the store after the batches in flight", async () => {
    const { store, sizes, waiting } = recordingStore();
    const layer = new BatchLayer(store, { size: 10, underWay: 1 });
    const asked = layer.apply([request]);
    const closed = layer.close();
    await turns(3);
    assert.deepEqual(sizes, [1]);
    waiting[0]?.resolve();
    await Promise.all([asked, closed]);
    assert.deepEqual(sizes, [1, -1]);
  });
});

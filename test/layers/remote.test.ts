import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  MARK_KEY,
  StoreError,
  type StoreErrorCode,
  type StoreRequest,
  TermsError,
  type TermsRefusal,
} from "../../src/store/api.ts";
import { fakeClock } from "../../src/testing/fake-clock.ts";
import { testSharedStore } from "../stores/store-suite.ts";
import { RemoteStore } from "./remote.ts";

testSharedStore("the remote store of tests", () => {
  const clock = fakeClock();
  return { store: new RemoteStore(clock), advance: clock.advance };
});

const limit = { algorithm: "budget", quota: 9, ttlMs: 60_000, ttlFrom: "last" } as const;
const request: StoreRequest = { mode: "judge", steps: [{ bucket: "b", limit, event: { type: "charge", cost: 1 } }] };
const member = { group: "g", instance: "i", livesMs: 1_000, seen: ["b"] };

const isStoreError = (code: StoreErrorCode | TermsRefusal) => (error: unknown) =>
  StoreError.isInstance(error) && (TermsError.refusalOf(error) ?? error.code) === code;
const spent = (store: RemoteStore) => {
  const state = store.states.get("b");
  return state?.kind === "counter" ? state.spent : 0;
};

describe("the remote store of tests", () => {
  it("loses requests and replies as configured, batch by batch", async () => {
    const store = new RemoteStore();
    store.faults.push("lose-request", "lose-reply", "answer");
    await assert.rejects(store.apply([request]), isStoreError("unavailable"));
    assert.equal(spent(store), 0);
    await assert.rejects(store.apply([request]), isStoreError("unavailable"));
    assert.equal(spent(store), 1);
    await store.apply([request]);
    await store.apply([request]);
    assert.equal(spent(store), 3);
  });

  it("also hides a refusal whose reply it loses", async () => {
    const store = new RemoteStore();
    store.faults.push("lose-reply");
    await assert.rejects(store.book([request], { incarnation: "other" }), isStoreError("unavailable"));
    assert.equal(spent(store), 0);
  });

  it("never settles a batch that hangs", async () => {
    const store = new RemoteStore();
    store.faults.push("hang");
    let settled = false;
    const settle = () => {
      settled = true;
    };
    store.apply([request]).then(settle, settle);
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
    assert.deepEqual([settled, spent(store)], [false, 0]);
  });

  it("delivers late batches in their order and at their time", async () => {
    const clock = fakeClock(0);
    const store = new RemoteStore(clock);
    store.faults.push("late", "late");
    await assert.rejects(store.apply([request]), isStoreError("unavailable"));
    await assert.rejects(store.book([request], { notAfterMs: 5 }), isStoreError("unavailable"));
    assert.equal(spent(store), 0);
    clock.advance(6);
    const [reply] = store.deliver();
    assert.ok(reply !== undefined && "nowMs" in reply);
    assert.deepEqual([reply.nowMs, spent(store)], [6, 1]);
    assert.throws(() => store.deliver(), isStoreError("too-late"));
    assert.throws(() => store.deliver(), /nothing is late/);
  });

  it("fails batches and beats while it is unreachable", async () => {
    const store = new RemoteStore();
    store.fault = "lose-request";
    for (let i = 0; i < 2; i++) {
      await assert.rejects(store.apply([request]), isStoreError("unavailable"));
      await assert.rejects(store.beat(member), isStoreError("unavailable"));
    }
    store.fault = "answer";
    await store.apply([request]);
    await store.beat(member);
  });

  it("has a new incarnation once it has lost everything, or only its mark", async () => {
    const store = new RemoteStore();
    await store.apply([request]);
    const before = await store.beat(member);
    store.flush();
    const emptied = await store.beat(member);
    await store.apply([request]);
    store.states.delete(MARK_KEY);
    const unmarked = await store.beat(member);
    assert.deepEqual([before.lost, emptied.lost, unmarked.lost], ["some", "all", "some"]);
    assert.equal(new Set([before, emptied, unmarked].map(({ incarnation }) => incarnation)).size, 3);
  });
});

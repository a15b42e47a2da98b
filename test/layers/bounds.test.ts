// What an instance keeps of its own while its store is unreachable is bounded, and the bound never keeps a call from ending.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Backlog, MAX_BACKLOG } from "../../src/layers/failover/backlog.ts";
import { Fallback, MAX_LOCAL } from "../../src/layers/failover/fallback.ts";
import { Room } from "../../src/layers/failover/room.ts";
import { Views } from "../../src/layers/failover/views.ts";
import { type LimitSpec, type Step, StoreError, type StoreReply, type StoreRequest } from "../../src/store/api.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
const failure = new StoreError("unavailable", "unreachable", { transient: true });
const alone = { instances: 1, rank: 0 };
const quota: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 3_600_000, ttlFrom: "first" };
const bucketOf: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 1_000_000, levelPerMs: 1 };
const slots: LimitSpec = { algorithm: "concurrency", quota: 3 };

const charge = (bucket: string, limit: LimitSpec): Step => ({ bucket, limit, event: { type: "charge", cost: 1 } });
const hold = (bucket: string, id: string): Step => ({
  bucket,
  limit: slots,
  event: { type: "hold", id, units: 1, leaseMs: 3_600_000, onExpiry: "charge" },
});
const settle = (bucket: string, id: string, key: string): StoreRequest => ({
  mode: "force",
  steps: [{ bucket, limit: slots, event: { type: "settle", id, units: 1 } }],
  once: { key: `rate:1:{s}:$settled:${key}`, request: "r" },
});
const isError = (code: string) => (error: unknown) => StoreError.isInstance(error) && error.code === code;

describe("several shards whose buckets share their room", () => {
  it("decide no more buckets together than one alone", () => {
    const room = new Room();
    const [one, other] = [new Fallback(new Views(), room), new Fallback(new Views(), room)];
    const judge = (fallback: Fallback, bucket: string) =>
      fallback.decide({ mode: "judge", steps: [charge(bucket, quota)] }, alone, NOW_MS, failure);
    for (let i = 0; i < MAX_LOCAL - 1; i++) judge(one, `a${i}`);
    judge(other, "b1");
    for (const [fallback, bucket] of [
      [one, "a"],
      [other, "b"],
    ] as const) {
      assert.throws(() => judge(fallback, bucket), isError("capacity"));
    }
    one.clear();
    judge(other, "b2");
  });
});

describe("an instance at its bound of buckets in an outage", () => {
  const fallback = new Fallback(new Views());
  const decide = (request: StoreRequest) => fallback.decide(request, alone, NOW_MS, failure) as StoreReply;
  const judge = (...steps: Step[]) => decide({ mode: "judge", steps });
  const usedIn = (bucket: string) =>
    judge({ bucket, limit: slots, event: { type: "report", outcome: null } }).steps[0]?.used;
  judge(hold("slots", "h1"));
  judge(hold("slots", "h2"));
  judge(charge("rate", bucketOf));
  for (let i = 2; i < MAX_LOCAL; i++) judge(charge(`b${i}`, quota));

  it("refuses calls that need more buckets, and serves calls of its own", () => {
    for (const limit of [quota, bucketOf]) {
      for (let i = 0; i < 3; i++) assert.throws(() => judge(charge("new", limit)), isError("capacity"));
    }
    assert.equal(judge(charge("b2", quota)).steps[0]?.used, 2);
    const allowed = [];
    for (let i = 0; i < 6; i++) allowed.push(judge(charge("rate", bucketOf)).allowed);
    assert.deepEqual(allowed, [true, true, true, true, false, false]);
  });

  it("settles every hold, and recognises retries", () => {
    assert.equal(usedIn("slots"), 2);
    assert.equal(decide(settle("slots", "h1", "h1")).steps[0]?.found, "live");
    assert.notEqual(decide(settle("slots", "h1", "h1")).replay, undefined);
    assert.equal(usedIn("slots"), 1);
    for (let i = 0; i < 3_000; i++) {
      assert.equal(judge(hold("slots", `run${i}`)).allowed, true, `run ${i}`);
      assert.equal(decide(settle("slots", `run${i}`, `run${i}`)).steps[0]?.found, "live");
    }
    assert.equal(usedIn("slots"), 1);
  });
});

describe("the backlog of an instance whose store is unreachable", () => {
  it("accepts ends of calls also when it is full of calls, up to as many again", () => {
    const backlog = new Backlog({ instance: "instance" }, undefined);
    const call = (i: number): StoreRequest => ({ mode: "judge", steps: [charge(`b${i}`, quota)] });
    for (let i = 0; i < MAX_BACKLOG; i++) backlog.add(call(i), NOW_MS, [{ limit: quota, endsAtMs: 0 }]);
    assert.throws(() => backlog.add(call(-1), NOW_MS, [{ limit: quota, endsAtMs: 0 }]), isError("overloaded"));
    for (let i = 0; i < MAX_BACKLOG; i++) backlog.add(settle("slots", `h${i}`, `h${i}`), NOW_MS, []);
    assert.throws(() => backlog.add(settle("slots", "h", "h"), NOW_MS, []), isError("overloaded"));
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "../../kernel/algorithms/registry.ts";
import type { StoreRequest } from "../../kernel/request.ts";
import { StoreError } from "../../store/error.ts";
import { Backlog, MAX_BACKLOG } from "./backlog.ts";
import { Room } from "./room.ts";
import type { Journal } from "./options.ts";

const NOW_MS = Date.UTC(2030, 0, 1, 0, 30);
const DAY_MS = 86_400_000;
const midnight = Date.UTC(2030, 0, 1);
const quota = { algorithm: "budget", quota: 100, ttlMs: 30 * DAY_MS, ttlFrom: "last" } as const;
const tokenBucket = { algorithm: "token-bucket", burst: 100, levelPerUnit: DAY_MS, levelPerMs: 1 } as const;
const day = {
  algorithm: "fixed-window",
  quota: 100,
  align: "calendar",
  boundaries: [midnight - DAY_MS, midnight, midnight + DAY_MS],
} as const;
const month = { ...day, boundaries: [midnight - 31 * DAY_MS, midnight, midnight + 31 * DAY_MS] } as const;

function requestOf(limit: LimitSpec, cost = 1): StoreRequest {
  return { mode: "judge", steps: [{ bucket: "b", limit, event: { type: "charge", cost } }] };
}

/** A bucket that nothing else has used. */
const flowOf = (limit: LimitSpec) => [{ limit, endsAtMs: 0 }];

/** What is booked of calls that were admitted under these limits, one a second. */
function booked(limits: readonly LimitSpec[], backlog = new Backlog({ instance: "i1" }, undefined)) {
  for (const [i, limit] of limits.entries()) backlog.add(requestOf(limit), NOW_MS + 1_000 * i, flowOf(limit));
  backlog.makeBatches(64, NOW_MS + 60_000);
  return backlog.batches.flatMap(({ requests }) =>
    requests.map(({ steps, atMs }) => {
      const [{ limit, event }] = steps as [StoreRequest["steps"][number]];
      return { limit, cost: event.type === "charge" && event.cost, atMs };
    }),
  );
}

describe("charges that are taken back", () => {
  const undo = (limit: LimitSpec, cost = 1, atMs = NOW_MS) =>
    ({ ...requestOf(limit, cost), mode: "undo", atMs }) as const;

  it("leave their sum, and no sum where they were all of it", () => {
    const backlog = new Backlog({ instance: "i1" }, undefined);
    for (const cost of [2, 3]) backlog.add(requestOf(quota, cost), NOW_MS, flowOf(quota));
    assert.equal(backlog.takeBack(undo(quota, 2)), true);
    assert.equal(backlog.takeBack(undo(quota, 4)), false);
    assert.equal(backlog.takeBack(undo(quota, 3)), true);
    assert.equal(backlog.isEmpty, true);
  });

  it("leave once for each step that charged the same bucket", () => {
    const backlog = new Backlog({ instance: "i1" }, undefined);
    for (let i = 0; i < 3; i++) backlog.add(requestOf(quota), NOW_MS, flowOf(quota));
    const { steps, ...rest } = undo(quota);
    assert.equal(backlog.takeBack({ ...rest, steps: [...steps, ...steps] }), true);
    assert.deepEqual(
      booked([], backlog).map(({ cost }) => cost),
      [1],
    );
  });

  it("stay where their window is another one, they flow back by a rate, or a batch has them", () => {
    const backlog = new Backlog({ instance: "i1" }, undefined);
    backlog.add(requestOf(day), NOW_MS, flowOf(day));
    assert.equal(backlog.takeBack(undo(day, 1, NOW_MS - DAY_MS)), false);
    backlog.add(requestOf(tokenBucket), NOW_MS, flowOf(tokenBucket));
    assert.equal(backlog.takeBack(undo(tokenBucket)), false);
    backlog.makeBatches(64, NOW_MS);
    assert.equal(backlog.takeBack(undo(day)), false);
    assert.equal(booked([], backlog).length, 2);
  });

  it("leave the journal, too", () => {
    const kept = new Map<string, string | null>();
    const journal: Journal = {
      entries: () => [],
      write(changes) {
        for (const [key, text] of changes) kept.set(key, text);
      },
      close() {},
    };
    const backlog = new Backlog({ instance: "i1" }, journal);
    backlog.add(requestOf(quota), NOW_MS, flowOf(quota));
    backlog.takeBack(undo(quota));
    assert.deepEqual([...kept.values()], [null]);
  });
});

describe("several backlogs that share their room", () => {
  it("take no more together than one alone", () => {
    const room = new Room();
    const [one, other] = ["i1", "i2"].map((instance) => new Backlog({ instance }, undefined, room)) as [
      Backlog,
      Backlog,
    ];
    const steps = (name: string, count: number) =>
      Array.from(
        { length: count },
        (_, i) => ({ ...(requestOf(quota).steps[0] as object), bucket: `${name}${i}` }) as never,
      );
    one.add({ mode: "judge", steps: steps("a", MAX_BACKLOG - 1) }, NOW_MS, []);
    other.add({ mode: "judge", steps: steps("b", 1) }, NOW_MS, []);
    assert.throws(() => other.add({ mode: "judge", steps: steps("c", 1) }, NOW_MS, []), /bookings wait for it/);
  });
});

describe("what was admitted on one bucket under several limits", () => {
  it("is one sum where the limits differ only in their quota", () => {
    const plan = { ...quota, quota: 5 };
    assert.deepEqual(booked([quota, plan, quota]), [{ limit: quota, cost: 3, atMs: NOW_MS + 2_000 }]);
    const fast = { ...tokenBucket, levelPerUnit: tokenBucket.levelPerUnit / 2 };
    assert.deepEqual(booked([tokenBucket, fast]), [{ limit: fast, cost: 2, atMs: NOW_MS + 60_000 }]);
  });

  it("keeps the level of a token bucket across a call without a price", () => {
    const backlog = new Backlog({ instance: "i1" }, undefined);
    for (const cost of [2, 0, 1, 0]) backlog.add(requestOf(tokenBucket, cost), NOW_MS, flowOf(tokenBucket));
    assert.deepEqual(
      booked([], backlog).map(({ cost }) => cost),
      [3],
    );
  });

  it("is booked separately where units end differently, in the order of last use", () => {
    const short = { ...quota, ttlMs: 60_000 };
    const first = { ...quota, ttlFrom: "first" } as const;
    const hour = { algorithm: "fixed-window", quota: 100, windowMs: 3_600_000, align: "epoch" } as const;
    const own = { ...hour, align: "first-use" } as const;
    const sliding = { algorithm: "sliding-window", quota: 100, windowMs: 3_600_000 } as const;
    for (const other of [short, first, hour, own, day, sliding, tokenBucket]) {
      const [one, two] = booked([quota, other, other, quota]);
      assert.deepEqual([one?.limit, one?.cost], [other, 2]);
      assert.deepEqual([two?.limit, two?.cost], [quota, 2]);
    }
    assert.equal(booked([hour, { ...hour, windowMs: 2 * hour.windowMs }]).length, 2);
    assert.equal(booked([sliding, { ...sliding, windowMs: 2 * sliding.windowMs }]).length, 2);
  });

  it("is booked separately in calendar windows with equal beginnings and different ends", () => {
    assert.deepEqual(
      booked([day, month, day]).map(({ limit, cost }) => [limit, cost]),
      [
        [month, 1],
        [day, 2],
      ],
    );
  });

  it("is booked in that order also by the process that opens the journal next", () => {
    const kept = new Map<string, string>();
    const journal: Journal = {
      entries: () => kept,
      write(changes) {
        for (const [key, text] of changes)
          if (text === null) kept.delete(key);
          else kept.set(key, text);
      },
      close() {},
    };
    const before = new Backlog({ instance: "i1" }, journal);
    for (const limit of [quota, tokenBucket, quota]) before.add(requestOf(limit), NOW_MS, flowOf(limit));
    assert.deepEqual(
      booked([], new Backlog({ instance: "i2" }, journal)).map(({ limit, cost }) => [limit, cost]),
      [
        [tokenBucket, 1],
        [quota, 2],
      ],
    );
  });

  it("remembers nothing of a call that the journal could not take: its caller got an error", () => {
    const full: Journal = { entries: () => [], write: () => assert.fail("the disk is full"), close() {} };
    const backlog = new Backlog({ instance: "i1" }, full);
    const held: StoreRequest = { ...requestOf(quota), once: { key: "once", request: "r" } };
    for (const request of [requestOf(quota), held]) {
      assert.throws(() => backlog.add(request, NOW_MS, flowOf(quota)), /the disk is full/);
    }
    assert.ok(backlog.isEmpty);
  });

  it("makes batches also when the journal cannot take them, and lets it have them as soon as there is room", () => {
    const kept = new Map<string, string | null>();
    let isFull = false;
    const journal: Journal = {
      entries: () => [],
      write(changes) {
        assert.ok(!isFull, "the disk is full");
        for (const [key, text] of changes) kept.set(key, text);
      },
      close() {},
    };
    const backlog = new Backlog({ instance: "i1" }, journal);
    backlog.add(requestOf(quota), NOW_MS, flowOf(quota));
    const [sum] = kept.keys();
    isFull = true;
    backlog.makeBatches(64, NOW_MS);
    assert.equal(backlog.looseCount, 0);
    const [batch] = backlog.batches;
    assert.ok(batch !== undefined);
    backlog.catchUp();
    assert.equal(kept.size, 1);
    isFull = false;
    backlog.catchUp();
    assert.deepEqual(
      [...kept],
      [
        [sum, null],
        ["batch/i1/1", JSON.stringify(batch)],
      ],
    );
  });

  it("says which entry of a journal is damaged", () => {
    const entries = { '["sum","b",0,null]': "{", "batch/i1/1": "[]", "request/1": '{"steps":1}', other: "{}" };
    for (const entry of Object.entries(entries)) {
      const journal: Journal = { entries: () => [entry], write() {}, close() {} };
      assert.throws(
        () => new Backlog({ instance: "i1" }, journal),
        (error) =>
          StoreError.isInstance(error) &&
          error.code === "invalid-reply" &&
          error.message.includes(JSON.stringify(entry[0])) &&
          error.message.includes(JSON.stringify(entry[1])),
        entry[0],
      );
    }
  });
});

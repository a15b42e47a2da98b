// The script mirrors the kernel also where random schedules seldom come: a clock that is set back, changed limits, values
// that another program wrote, and exactly the text that is stored.

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import {
  decide,
  encodeState,
  type LimitSpec,
  type Step,
  type StoredState,
  StoreError,
  type StoreRequest,
} from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { type FakeClock, fakeClock } from "tollgate/testing";
import { anyRedis } from "../servers.ts";

const server = await anyRedis();
const io = server.ioredis();
beforeEach(() => server.empty());

const NOW_MS = Date.UTC(2040, 0, 1) + 12_345;
const quota: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "last" };
const sliding: LimitSpec = { algorithm: "sliding-window", quota: 9, windowMs: 1_000 };
const tokenBucket: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 7, levelPerMs: 2 };

const charge = (limit: LimitSpec, cost = 1): Step => ({ bucket: "b", limit, event: { type: "charge", cost } });
const read = (limit: LimitSpec): Step => ({ bucket: "b", limit, event: { type: "read" } });

/** Plays steps, each after the time has moved, and compares every reply and every stored text with the kernel's. */
async function mirrors(turns: readonly (readonly [advanceMs: number, step: Step, mode?: StoreRequest["mode"]])[]) {
  const clock: FakeClock = fakeClock(NOW_MS);
  const store = redisStore(io, { clock });
  let state: StoredState | undefined;
  for (const [i, [advanceMs, step, mode = "judge"]] of turns.entries()) {
    clock.advance(advanceMs);
    const request = { mode, steps: [step] };
    const { reply, next } = decide(request, [state], clock.nowMs());
    assert.deepEqual(await store.apply([request]), [reply], `turn ${i}`);
    if (next !== null) state = next[0];
    if (state === undefined) continue;
    assert.equal(server.cli("GET", "b"), encodeState(state), `turn ${i}`);
    assert.equal(Number(server.cli("PEXPIRETIME", "b")), state.expiresAtMs, `turn ${i}`);
  }
}

describe("the script mirrors the kernel", () => {
  const limits: LimitSpec[] = [
    quota,
    { ...quota, ttlFrom: "first" },
    { algorithm: "fixed-window", quota: 5, windowMs: 1_000, align: "epoch" },
    sliding,
    tokenBucket,
  ];
  for (const limit of limits) {
    it(`when the clock is set back: ${limit.algorithm}`, () =>
      mirrors([
        [0, charge(limit, 3)],
        [-7, charge(limit)],
        [-1_500, charge(limit)],
        [0, read(limit)],
        [0, charge(limit)],
        [1_505, charge(limit)],
        [1, charge(limit, 9), "force"],
        [3, charge(limit)],
      ]));
  }

  for (const limit of [
    { ...quota, ttlFrom: "first" },
    { algorithm: "fixed-window", quota: 5, windowMs: 60_000, align: "first-use" },
  ] as const) {
    it(`at the instant at which a counter ends, and the one before: ${limit.algorithm}`, () =>
      mirrors([
        [0, charge(limit, 5)],
        [59_999, charge(limit)],
        [1, charge(limit)],
      ]));
  }

  it("in a level of another size, and in one that has just drained", () =>
    mirrors([
      [0, charge(tokenBucket, 5)],
      [1, charge({ ...tokenBucket, levelPerUnit: 3 })],
      [2, charge({ ...tokenBucket, levelPerUnit: 3, levelPerMs: 1 }, 2), "force"],
      [1, read({ ...tokenBucket, levelPerUnit: 3, levelPerMs: 5 })],
      [4, read({ ...tokenBucket, levelPerUnit: 3, levelPerMs: 5 })],
      [0, charge({ ...tokenBucket, levelPerUnit: 3, levelPerMs: 5 })],
    ]));

  it("in a level that drains at this instant at a faster rate", () =>
    mirrors([
      [0, charge({ ...tokenBucket, levelPerUnit: 3, levelPerMs: 1 }, 4)],
      [3, read({ ...tokenBucket, levelPerUnit: 3, levelPerMs: 5 })],
    ]));

  it("in counts that leave the window at this instant, and in those of another window", () =>
    mirrors([
      [0, charge(sliding, 2)],
      [100, charge(sliding, 3)],
      [54 + 999, charge(sliding)],
      [1, charge(sliding)],
      [100, charge(sliding)],
      [10, charge({ ...sliding, windowMs: 330 }, 2)],
      [5, charge({ ...sliding, windowMs: 47 })],
    ]));

  it("where sums saturate", () =>
    mirrors([
      [0, charge(sliding, Number.MAX_SAFE_INTEGER), "force"],
      [100, charge(sliding, 5), "force"],
      [0, charge(quota, Number.MAX_SAFE_INTEGER), "force"],
      [0, charge(quota, 5), "force"],
      [0, charge(tokenBucket, Number.MAX_SAFE_INTEGER), "force"],
      [1, charge(tokenBucket, Number.MAX_SAFE_INTEGER), "force"],
    ]));

  it("in a counter of nothing", async () => {
    server.cli("SET", "b", "0", "PXAT", String(NOW_MS + 5_000));
    const state = { kind: "counter", spent: 0, expiresAtMs: NOW_MS + 5_000 } as const;
    const request = { mode: "peek", steps: [read(quota)] } as const;
    const { reply } = decide(request, [state], NOW_MS);
    assert.deepEqual(await redisStore(io, { clock: fakeClock(NOW_MS) }).apply([request]), [reply]);
  });
});

describe("a bucket without an expiry, which another program wrote", () => {
  const cases: [limit: LimitSpec, text: string, endMs: number][] = [
    [quota, "5", NOW_MS + 60_000],
    [{ algorithm: "fixed-window", quota: 5, windowMs: 1_000, align: "epoch" }, "5", NOW_MS - 345 + 1_000],
    [{ algorithm: "fixed-window", quota: 5, windowMs: 1_000, align: "first-use" }, "5", NOW_MS + 1_000],
    [sliding, `s1 100 ${Math.floor(NOW_MS / 100)} 9`, NOW_MS - 45 + 99 + 1_000],
    [tokenBucket, `g1 ${NOW_MS} 35 7`, NOW_MS + 18],
  ];
  for (const [limit, text, endMs] of cases) {
    it(`gets the end that a new one would have: ${JSON.stringify(limit)}`, async () => {
      server.cli("SET", "b", text);
      const [reply] = await redisStore(io, { clock: fakeClock(NOW_MS) }).apply([
        { mode: "judge", steps: [charge(limit)] },
      ]);
      assert.ok(reply !== undefined && !StoreError.isInstance(reply));
      assert.equal(reply.allowed, false);
      assert.equal(Number(server.cli("PEXPIRETIME", "b")), endMs);
    });
  }
});

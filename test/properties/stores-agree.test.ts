// Every store gives equal replies for equal schedules (invariant 5), compared with the kernel on a plain map.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { type Store, StoreError, type StoreReply, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { type Clock, fakeClock } from "tollgate/testing";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { createModel, createTallies, renamed, schedule, type Turn, waitOf } from "./schedule.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? 10_000);
const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_121);

const folder = temporaryFolder();
const server = await anyRedis();
const io = server.ioredis();
const node = await server.nodeRedis();

/** Stores whose time is given. */
const stores: Record<string, (clock: Clock) => Store> = {
  memory: (clock) => memoryStore({ clock }),
  sqlite: (clock) => sqliteStore(join(folder, "agree.db"), { clock }),
  redis: (clock) => redisStore(io, { clock }),
};

type Model = ReturnType<typeof createModel>;
type Tallies = ReturnType<typeof createTallies>;

/** Plays a schedule on a store and on the kernel, which is asked afterwards for the instant that the store decided at. */
async function play(turns: readonly Turn[], store: Store, tallies: Tallies, pass: (ms: number) => unknown) {
  const model = createModel(tallies);
  for (const { advanceMs, requests, retries } of turns) {
    await pass(advanceMs);
    const [first] = await both(store, model, requests);
    const [request] = requests;
    if (!retries || first === undefined || request === undefined) continue;
    const waitMs = waitOf(first);
    if (waitMs === null) continue;
    await pass(waitMs - 1);
    const [early] = await both(store, model, [{ ...request, mode: "peek" }]);
    await pass(1);
    const [exact] = await both(store, model, [{ ...request, mode: "peek" }]);
    if (early?.allowed !== false || exact?.allowed !== true) continue;
    for (const [i, { limit }] of request.steps.entries())
      if (!first.steps[i]?.allowed) tallies[limit.algorithm].retries++;
  }
}

async function both(store: Store, model: Model, requests: readonly StoreRequest[]): Promise<StoreReply[]> {
  const replies = (await store.apply(requests)).map((reply) => {
    if (StoreError.isInstance(reply)) throw reply;
    return reply;
  });
  assert.deepEqual(replies, model.apply(requests, replies[0]?.nowMs ?? 0));
  return replies;
}

function assertWorthRunning(tallies: Tallies, retries: number): void {
  for (const [algorithm, tally] of Object.entries(tallies)) {
    const what = `${algorithm}: ${JSON.stringify(tally)}`;
    assert.ok(tally.denials >= 0.25 * tally.charges, what);
    assert.ok(tally.expiries >= SCHEDULES / 10, what);
    assert.ok(tally.retries >= retries, what);
  }
}

for (const [name, open] of Object.entries(stores)) {
  describe(`${name} and the kernel`, () => {
    it(`agree on ${SCHEDULES} schedules at times that are given`, async (context) => {
      const clock = fakeClock(Date.now() + 365 * 86_400_000);
      const store = open(clock);
      const tallies = createTallies();
      let schedules = 0;
      await fc.assert(
        fc.asyncProperty(schedule, (turns) => play(renamed(turns, `${schedules++}-`), store, tallies, clock.advance)),
        { numRuns: SCHEDULES, seed: SEED },
      );
      await store.close();
      context.diagnostic(JSON.stringify(tallies));
      assertWorthRunning(tallies, SCHEDULES / 10);
    });
  });
}

describe("redis at its own time and the kernel", () => {
  it(`agree on ${SCHEDULES} schedules, with expiries of Redis itself on the way`, async (context) => {
    const store = redisStore(node);
    const tallies = createTallies();
    // A fifth of the windows: 2 to 20 ms. Lanes run side by side, because most of the time they wait.
    const scaled = fc.sample(schedule, { numRuns: SCHEDULES, seed: SEED + 1 }).map(faster);
    const waiting = scaled.entries();
    const lane = async () => {
      for (const [i, turns] of waiting) {
        await play(renamed(turns, `own-${i}-`), store, tallies, (ms) => (ms > 0 ? sleep(ms) : undefined));
      }
    };
    await Promise.all(Array.from({ length: 100 }, lane));
    await store.close();
    context.diagnostic(JSON.stringify(tallies));
    assertWorthRunning(tallies, 0);
  });
});

function faster(turns: readonly Turn[]): Turn[] {
  const fifth = (ms: number) => Math.ceil(ms / 5);
  return turns.map(({ advanceMs, requests, retries }) => ({
    advanceMs: fifth(advanceMs),
    retries,
    requests: requests.map((request) => ({
      ...request,
      steps: request.steps.map((step) => {
        const { limit } = step;
        if ("ttlMs" in limit) return { ...step, limit: { ...limit, ttlMs: fifth(limit.ttlMs) } };
        if ("windowMs" in limit) return { ...step, limit: { ...limit, windowMs: fifth(limit.windowMs) } };
        return { ...step, limit: { ...limit, levelPerMs: limit.levelPerMs * 5 } };
      }),
    })),
  }));
}

// Every store gives equal replies for equal schedules (invariant 5), compared with the kernel on a plain map.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { LimitSpec, Step, Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { type Clock, fakeClock } from "tollgate/testing";
import { cases } from "../length.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { play, type Tallies } from "./play.ts";
import { createTallies, renamed, rowSchedule, schedule, type Tally, type Turn } from "./schedule.ts";

const SCHEDULES = Number(process.env.TOLLGATE_SCHEDULES ?? cases(1_000, 4_000));
const ROWS = Math.ceil(SCHEDULES / 5);
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

/** How often each thing happened at least to each algorithm, for each schedule. */
const WORTH: Partial<Tally> = {
  expiries: 0.1,
  holds: 0.5,
  live: 0.02,
  late: 0.1,
  unknown: 0.05,
  extends: 0.01,
  refusedExtends: 0.1,
  charged: 0.1,
  refunded: 0.1,
  replays: 0.1,
};
/** The same where the time is given: what happens to the ms, within few of them, or ten minutes later. */
const WORTH_AT_GIVEN_TIMES: Partial<Tally> = {
  ...WORTH,
  retries: 0.02,
  live: 0.1,
  extends: 0.05,
  forgotten: 0.002,
  rejudged: 0.005,
};

function assertWorthRunning(tallies: Tallies, worth: Partial<Tally>): void {
  for (const [algorithm, tally] of Object.entries(tallies)) {
    if (algorithm === "elapsed" || algorithm === "streak") continue;
    // Pauses are drawn a fourth as often as the others.
    const least = algorithm === "cooldown" ? SCHEDULES / 8 : SCHEDULES;
    const what = `${algorithm}: ${JSON.stringify(tally)}`;
    assert.ok(tally.denials >= 0.25 * tally.asked, what);
    for (const [thing, share] of Object.entries(worth)) {
      // Nothing is ever spent there that could come back.
      if (algorithm === "concurrency" && thing === "expiries") continue;
      assert.ok(tally[thing as keyof Tally] >= share * least, `${thing} of ${what}`);
    }
  }
}

for (const [name, open] of Object.entries(stores)) {
  describe(`${name} and the kernel`, () => {
    it(`agree on ${SCHEDULES} schedules at given times`, async (context) => {
      const clock = fakeClock(Date.now() + 365 * 86_400_000);
      const store = open(clock);
      const tallies = createTallies();
      let schedules = 0;
      await fc.assert(
        fc.asyncProperty(schedule, (turns) => play(renamed(turns, `${schedules++}-`), store, tallies, clock)),
        { numRuns: SCHEDULES, seed: SEED },
      );
      await store.close();
      context.diagnostic(JSON.stringify(tallies));
      assertWorthRunning(tallies, WORTH_AT_GIVEN_TIMES);
    });

    it(`agree on ${ROWS} schedules of calls that wait`, async (context) => {
      const clock = fakeClock(Date.now() + 365 * 86_400_000);
      const store = open(clock);
      const tallies = createTallies();
      let schedules = 0;
      await fc.assert(
        fc.asyncProperty(rowSchedule, (turns) => play(renamed(turns, `row-${schedules++}-`), store, tallies, clock)),
        { numRuns: ROWS, seed: SEED },
      );
      await store.close();
      context.diagnostic(JSON.stringify(tallies));
      assert.ok(tallies["token-bucket"].places >= ROWS / 2, `${tallies["token-bucket"].places} places`);
      for (const algorithm of ["budget", "fixed-window", "sliding-window", "concurrency"] as const)
        assert.ok(tallies[algorithm].places >= ROWS / 100, `${tallies[algorithm].places} places of ${algorithm}`);
    });
  });
}

describe("redis at its own time and the kernel", () => {
  it(`agree on ${SCHEDULES} schedules, with expiries of Redis itself on the way`, async (context) => {
    // A busy machine may answer late: the test is not about that.
    const store = redisStore(node, { deadlineMs: 60_000 });
    const tallies = createTallies();
    // A fifth of the windows: 2 to 20 ms. Lanes run side by side, because most of the time they wait.
    const scaled = fc.sample(schedule, { numRuns: SCHEDULES, seed: SEED + 1 }).map(faster);
    const waiting = scaled.entries();
    const lane = async () => {
      for (const [i, turns] of waiting) {
        await play(renamed(turns, `own-${i}-`), store, tallies, { advance: (ms) => (ms > 0 ? sleep(ms) : undefined) });
      }
    };
    await Promise.all(Array.from({ length: 100 }, lane));
    await store.close();
    context.diagnostic(JSON.stringify(tallies));
    assertWorthRunning(tallies, WORTH);
  });
});

function faster(turns: readonly Turn[]): Turn[] {
  return turns.map(({ advanceMs, requests, retries }) => ({
    advanceMs: fifth(advanceMs),
    retries,
    requests: requests.map((request) => ({
      ...request,
      ...(request.wait === undefined ? {} : { wait: { ...request.wait, maxMs: fifth(request.wait.maxMs) } }),
      steps: request.steps.map((step) => ({ ...step, limit: fasterLimit(step.limit), event: fasterEvent(step.event) })),
    })),
  }));
}

/** What is remembered for minutes is so in Redis, too: a step of time or a lease that is so long becomes a short one. */
function fifth(ms: number): number {
  return Math.ceil(Math.min(ms, 100) / 5);
}

function fasterLimit(limit: LimitSpec): LimitSpec {
  if ("ttlMs" in limit) return { ...limit, ttlMs: fifth(limit.ttlMs) };
  if ("windowMs" in limit) return { ...limit, windowMs: fifth(limit.windowMs) };
  return limit.algorithm === "token-bucket" ? { ...limit, levelPerMs: limit.levelPerMs * 5 } : limit;
}

function fasterEvent(event: Step["event"]): Step["event"] {
  return "leaseMs" in event ? { ...event, leaseMs: fifth(event.leaseMs) } : event;
}

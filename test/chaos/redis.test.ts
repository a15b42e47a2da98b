// Redis is disturbed in the middle of load: nothing crashes, what fails is a StoreError of the right kind, and what Redis
// kept is counted right: no acknowledged call is missing, and none is counted that was not made.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type Limiter, StoreError, type StoreErrorCode } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { ownServers, type RedisServer, startRedis } from "../servers.ts";

const CALLERS = 16;
const BEFORE_MS = 400;
const AFTER_MS = 1_200;
const policy = { version: 1, limits: [{ name: "session", per: ["session"], quota: 1_000_000_000 }] } as const;
const call = { tool: "search", session: "s1" };

/** What callers saw since the last `restart` of the counts. */
class Seen {
  acknowledged = 0;
  unknown = 0;
  readonly codes = new Set<StoreErrorCode>();
  readonly others: unknown[] = [];
  isOver = false;

  /** Calls one after the other until it is over. What began before the counts were restarted is not counted. */
  async callAgainAndAgain(limiter: Limiter): Promise<void> {
    while (!this.isOver) {
      const generation = this.#generation;
      try {
        const { allowed } = await limiter.consume(call);
        if (allowed && generation === this.#generation) this.acknowledged++;
        // Under way while the counts were restarted: it is unknown on which side it was booked.
        if (generation !== this.#generation) this.unknown++;
      } catch (error) {
        this.unknown++;
        if (StoreError.isInstance(error)) this.codes.add(error.code);
        else this.others.push(error);
        await sleep(5);
      }
    }
  }

  #generation = 0;
  restart(): void {
    this.#generation++;
    this.acknowledged = 0;
    this.unknown = 0;
  }
}

/** Runs load through four instances on both clients, disturbs the server in its middle, and compares the counts. */
async function underLoad(server: RedisServer, disturb: (seen: Seen) => unknown): Promise<Seen> {
  const seen = new Seen();
  const clients = [server.ioredis(), server.ioredis(), await server.nodeRedis(), await server.nodeRedis()];
  const limiters = clients.map((client) => createLimiter({ policy, store: redisStore(client), failover: false }));
  const load = limiters.flatMap((limiter) => Array.from({ length: CALLERS }, () => seen.callAgainAndAgain(limiter)));
  await sleep(BEFORE_MS);
  const before = seen.acknowledged;
  await disturb(seen);
  await sleep(AFTER_MS);
  const after = seen.acknowledged;
  seen.isOver = true;
  await Promise.all(load);
  assert.deepEqual(seen.others, []);
  assert.ok(before > 0 && after > 100, `${before} calls before, ${after} in all`);
  const booked = Number(server.cli("GET", "rate:1:{s1}:session"));
  assert.ok(booked >= seen.acknowledged, `${seen.acknowledged} were acknowledged, ${booked} are booked`);
  assert.ok(
    booked <= seen.acknowledged + seen.unknown,
    `${booked} booked, ${seen.acknowledged} + ${seen.unknown} made`,
  );
  return seen;
}

const only =
  (...allowed: StoreErrorCode[]) =>
  (code: StoreErrorCode) =>
    allowed.includes(code);

describe("Redis disturbed under load", ownServers, () => {
  it("FLUSHALL: counts from zero, without an error", async () => {
    const server = await startRedis();
    const seen = await underLoad(server, (counts) => {
      server.cli("FLUSHALL");
      counts.restart();
    });
    assert.equal(seen.codes.size, 0);
  });

  it("SCRIPT FLUSH: no call notices", async () => {
    const server = await startRedis();
    const seen = await underLoad(server, () => server.cli("SCRIPT", "FLUSH"));
    assert.equal(seen.codes.size + seen.unknown, 0);
  });

  it("CLIENT KILL: calls in flight fail as unavailable, and the rest continues", async () => {
    const server = await startRedis();
    const seen = await underLoad(server, async () => {
      for (let i = 0; i < 5; i++) {
        server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await sleep(100);
      }
    });
    assert.ok([...seen.codes].every(only("unavailable")), [...seen.codes].join());
    assert.ok(seen.unknown > 0);
  });

  it("kill -9 and a restart with an append-only file: nothing acknowledged is lost", async () => {
    const server = await startRedis("--appendonly", "yes", "--appendfsync", "always");
    const seen = await underLoad(server, () => server.restart());
    assert.ok([...seen.codes].every(only("unavailable", "loading")), [...seen.codes].join());
    assert.ok(seen.unknown > 0);
  });
});

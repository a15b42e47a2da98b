// A Redis that refuses some of what the script does, and one that starts again from an old snapshot: a batch is written as a
// whole or not at all, callers learn the reason, and every unit is counted once.

import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type Limiter, type LimiterEvent, type PolicyInput, StoreError } from "tollgate";
import type { LimitSpec, Member, Step, StepEvent, StoreRequest } from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { asShared } from "./store-suite.ts";
import { redisError } from "../../src/stores/redis/errors.ts";
import { ownServers, startRedis } from "../servers.ts";

const quota: LimitSpec = { algorithm: "budget", quota: 1_000, ttlMs: 600_000, ttlFrom: "last" };
const first: LimitSpec = { ...quota, ttlFrom: "first" };
const sliding: LimitSpec = { algorithm: "sliding-window", quota: 1_000, windowMs: 600_000 };
const tokenBucket: LimitSpec = { algorithm: "token-bucket", burst: 1_000, levelPerUnit: 600_000, levelPerMs: 1 };
const step = (bucket: string, limit: LimitSpec, event: StepEvent = { type: "charge", cost: 1 }): Step => {
  return { bucket, limit, event };
};
const judge = (...steps: Step[]): StoreRequest => ({ mode: "judge", steps });

/** Batches that need every command that the script writes with, in any order of their keys. */
const BATCHES: readonly (readonly StoreRequest[])[] = [
  [judge(step("counter", quota)), judge(step("sliding", sliding)), judge(step("level", tokenBucket))],
  [
    judge(step("level", tokenBucket)),
    judge(step("held", quota, { type: "hold", id: "h", units: 1, leaseMs: 900, onExpiry: "charge" })),
    judge(step("counter", quota)),
  ],
  [judge(step("sliding", sliding)), judge(step("gone", first, { type: "reset" })), judge(step("fixed", first))],
  [judge(step("fixed", first), step("new", first)), judge(step("gone", first, { type: "reset" }))],
  [judge(step("fixed", first), step("gone", first))],
  [{ ...judge(step("fixed", first), step("counter", quota)), once: { key: "answer", request: "r" } }],
];

const policy: PolicyInput = {
  version: 1,
  limits: [
    { name: "rate", per: ["session"], algorithm: "sliding-window", quota: 1_000, window: "10m" },
    { name: "quota", per: ["session"], quota: 1_000 },
  ],
};

describe("a server that refuses some of the script's commands", ownServers, () => {
  for (const right of ["set", "incrby", "pexpireat"]) {
    it(`writes nothing of a batch without the right to ${right}, and answers unauthorized`, async () => {
      const server = await startRedis();
      const store = asShared(redisStore(server.ioredis()));
      const watcher = server.ioredis();
      await store.apply([judge(step("gone", first)), judge(step("fixed", first)), judge(step("counter", quota))]);
      const dump = async () => {
        const keys = (await watcher.keys("*")).sort();
        return Promise.all(
          keys.map(async (key) => [key, await watcher.getBuffer(key), await watcher.call("PEXPIRETIME", key)]),
        );
      };
      let refused = 0;
      const isRefused = async (name: string, ask: () => Promise<unknown>): Promise<boolean> => {
        const before = await dump();
        await watcher.acl("SETUSER", "default", `-${right}`);
        const failed = await ask().then(
          () => null,
          (error) => error,
        );
        await watcher.acl("SETUSER", "default", `+${right}`);
        // A batch that does not need the command is written.
        if (failed === null) return false;
        refused++;
        assert.ok(
          StoreError.isInstance(failed) && failed.code === "unauthorized" && !failed.transient,
          `${name} ${failed}`,
        );
        assert.deepEqual(await dump(), before, name);
        return true;
      };
      for (const [i, batch] of BATCHES.entries()) {
        await isRefused(`batch ${i}`, () => store.apply(batch));
        // The first receipt of an instance gets an end, those after it keep that.
        for (const number of [1, 2]) {
          const receipt = { instance: `i${i}`, number, from: number };
          const book = () => store.book(batch, { notAfterMs: Number.MAX_SAFE_INTEGER, receipt });
          if (await isRefused(`batch ${i} with receipt ${number}`, book)) await book();
        }
      }
      assert.ok(refused > 0);
    });
  }

  it("is no outage: calls fail, and every admitted call is counted once", async () => {
    const server = await startRedis();
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({
      policy,
      store: redisStore(server.ioredis()),
      onEvent: (event) => events.push(event),
    });
    const consume = () => limiter.consume({ tool: "x", session: "s1" });
    await consume();
    server.cli("ACL", "SETUSER", "default", "-set");
    const refused = await Promise.allSettled([consume(), consume(), consume()]);
    server.cli("ACL", "SETUSER", "default", "+set");
    for (const each of refused) {
      assert.ok(
        each.status === "rejected" && StoreError.isInstance(each.reason) && each.reason.code === "unauthorized",
      );
    }
    assert.equal((await consume()).allowed, true);
    assert.deepEqual(
      (await limiter.usage({ session: "s1" })).map(({ used }) => used),
      [2, 2],
    );
    assert.deepEqual(
      events.map(({ type }) => type).filter((type) => type !== "store.misconfigured"),
      [],
    );
    await limiter.close();
  });

  it("writes nothing of a batch for which there is no memory", async () => {
    const server = await startRedis("--maxmemory-policy", "noeviction");
    const store = redisStore(server.ioredis());
    await store.apply([judge(step("gone", first)), judge(step("fixed", first)), judge(step("counter", quota))]);
    for (const [i, batch] of BATCHES.entries()) {
      const before = server.cli("MGET", "counter", "fixed", "gone", "sliding", "level");
      server.cli("CONFIG", "SET", "maxmemory", "1");
      await assert.rejects(
        store.apply(batch),
        (error) => StoreError.isInstance(error) && error.code === "out-of-memory",
      );
      server.cli("CONFIG", "SET", "maxmemory", "0");
      assert.equal(server.cli("MGET", "counter", "fixed", "gone", "sliding", "level"), before, `batch ${i}`);
    }
  });

  it("fails only calls of a key that became a hash, and still beats when its instances did", async () => {
    const server = await startRedis();
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({
      policy,
      store: redisStore(server.ioredis()),
      onEvent: (event) => events.push(event),
    });
    await limiter.consume({ tool: "x", session: "s1" });
    server.cli("DEL", "rate:1:{s1}:rate");
    server.cli("HSET", "rate:1:{s1}:rate", "a", "1");
    const sets = ["tollgate:1:$names:rate", "tollgate:1:$ends:rate"];
    assert.equal(server.cli("EXISTS", ...sets), "2");
    const receipts = server.cli("KEYS", "tollgate:1:$receipts:*").split("\n")[0] ?? "";
    for (const key of [...sets, receipts]) {
      server.cli("DEL", key);
      server.cli("HSET", key, "a", "1");
    }
    const [bad, good] = await Promise.allSettled(
      ["s1", "s2"].map((session) => limiter.consume({ tool: "x", session })),
    );
    assert.ok(bad?.status === "rejected" && StoreError.isInstance(bad.reason) && bad.reason.code === "wrong-type");
    assert.ok(good?.status === "fulfilled" && good.value.allowed && good.value.degraded === null);
    const second = createLimiter({ policy, store: redisStore(server.ioredis()) });
    assert.equal((await second.consume({ tool: "x", session: "s2" })).degraded, null);
    for (const key of sets) assert.equal(server.cli("TYPE", key), "zset");
    assert.deepEqual(
      events.filter(({ type }) => type === "store.unreachable"),
      [],
    );
    await Promise.all([limiter.close(), second.close()]);
  });
});

describe("an instance with an end that no beat writes", () => {
  for (const [name, endOf] of Object.entries<(nowMs: number) => string>({
    "a fraction": (nowMs) => `${nowMs + 50_000}.5`,
    "never over": () => "+inf",
  })) {
    it(`fails no beat and no leave: ${name}`, async () => {
      const server = await startRedis();
      const store = redisStore(server.ioredis());
      const member = { group: "rate", instance: "one", livesMs: 5_000, seen: [] };
      const beat = async (own: Partial<Member> = {}) => asShared(store).beat({ ...member, ...own });
      const { nowMs } = await beat();
      const key = "tollgate:1:$ends:rate";
      assert.equal(server.cli("EXISTS", key), "1");
      server.cli("ZADD", key, endOf(nowMs), "ghost");
      assert.equal((await beat({ instance: "two" })).instances, 3);
      for (const instance of ["one", "two"]) {
        server.cli("ZADD", key, endOf(nowMs), "ghost");
        await beat({ instance, livesMs: 0 });
      }
      assert.equal(server.cli("ZRANGE", key, "0", "-1"), "ghost");
      const leftMs = Number(server.cli("PTTL", key));
      assert.ok(leftMs > 0 && leftMs <= 600_000, `${leftMs}`);
    });
  }
});

describe("errors of servers", () => {
  const cases: [message: string, code: string, transient: boolean][] = [
    ["Connection is closed.", "unavailable", true],
    ["connect ECONNREFUSED 127.0.0.1:6379", "unavailable", true],
    ["no answer within 250 ms", "unavailable", true],
    ["", "unavailable", true],
    ["ERR max number of clients reached", "unavailable", true],
    ["LOADING Redis is loading the dataset in memory", "loading", true],
    ["BUSY Redis is busy running a script.", "unavailable", true],
    ["CLUSTERDOWN The cluster is down", "unavailable", true],
    ["MASTERDOWN Link with MASTER is down", "unavailable", true],
    ["NOREPLICAS Not enough good replicas to write.", "read-only", true],
    ["READONLY You can't write against a read only replica.", "read-only", true],
    ["OOM command not allowed when used memory > 'maxmemory'.", "out-of-memory", true],
    ["NOPERM this user has no permissions to run the 'set' command", "unauthorized", false],
    [
      "ERR The user executing the script can't run this command or subcommand script: 63, on @user_script:1.",
      "unauthorized",
      false,
    ],
    ["ERR user_script:1: boom script: 82, on @user_script:1.", "unavailable", false],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", "unavailable", false],
    ["ERR invalid expire time in 'set' command", "unavailable", false],
    ["ERR unknown command 'PEXPIRETIME'", "too-old", false],
    ["An error was signalled by the server: - ResponseError: user_script:1: boom", "unavailable", false],
    [
      "An error was signalled by the server: - ResponseError: The user executing the script can't run this command",
      "unauthorized",
      false,
    ],
    ["An error was signalled by the server: - PermissionDenied: this user has no permissions", "unauthorized", false],
    ["An error was signalled by the server: - BusyLoadingError: Redis is loading", "loading", true],
  ];
  it("explain that ioredis is not connected, and why", () => {
    const error = new Error("Stream isn't writeable and enableOfflineQueue options is false");
    assert.equal(redisError(error).message, "Redis: the client is not connected");
    assert.equal(
      redisError(error, new Error("connect ECONNREFUSED 127.0.0.1:1")).message,
      "Redis: the client is not connected (connect ECONNREFUSED 127.0.0.1:1)",
    );
  });

  for (const [message, code, transient] of cases) {
    it(`${code}, ${transient ? "for now" : "for good"}: ${message}`, () => {
      const error = redisError(new Error(message));
      assert.deepEqual([error.code, error.transient], [code, transient]);
    });
  }
});

describe("a server that starts again from an old snapshot", ownServers, () => {
  it("gets back what each instance saw, on top of what others booked meanwhile", async () => {
    const server = await startRedis("--dbfilename", "dump.rdb");
    const folder = server.cli("CONFIG", "GET", "dir").split("\n")[1] ?? "";
    const instance = () => {
      const events: LimiterEvent[] = [];
      const limiter = createLimiter({
        policy: { version: 1, limits: [{ name: "quota", per: ["session"], quota: 1_000 }] },
        store: redisStore(server.ioredis()),
        onEvent: (event) => events.push(event),
      });
      return { limiter, events };
    };
    const admit = async ({ limiter }: { limiter: Limiter }, times: number) => {
      const calls = Array.from({ length: times }, () => limiter.consume({ tool: "x", session: "s1" }));
      return (await Promise.all(calls)).filter(({ allowed }) => allowed).length;
    };
    const used = async ({ limiter }: { limiter: Limiter }) => (await limiter.usage({ session: "s1" }))[0]?.used;
    const back = async ({ events }: { events: LimiterEvent[] }) => {
      for (let tries = 0; tries < 400 && !events.some(({ type }) => type === "store.recovered"); tries++)
        await sleep(25);
    };
    const [one, two] = [instance(), instance()];
    let admitted = (await admit(one, 30)) + (await admit(two, 20));
    server.cli("SAVE");
    copyFileSync(join(folder, "dump.rdb"), join(folder, "old.rdb"));
    admitted += (await admit(one, 50)) + (await admit(two, 40));
    await server.kill();
    copyFileSync(join(folder, "old.rdb"), join(folder, "dump.rdb"));
    await server.restart();
    // Idle when the server was away: the server has forgotten its scripts, by which this instance learns that.
    admitted += await admit(one, 1);
    await back(one);
    admitted += await admit(one, 49);
    // What the other one saw last is known only if that has beaten meanwhile.
    assert.ok([admitted - 40, admitted].includes((await used(one)) ?? 0));
    admitted += await admit(two, 10);
    await back(two);
    assert.equal(admitted, 200);
    assert.equal(await used(two), admitted);
    await Promise.all([one.limiter.close(), two.limiter.close()]);
  });

  it("loses nothing when it has only forgotten its scripts", async () => {
    const server = await startRedis();
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({
      policy,
      store: redisStore(server.ioredis()),
      onEvent: (event) => events.push(event),
    });
    await limiter.consume({ tool: "x", session: "s1" });
    server.cli("SCRIPT", "FLUSH");
    const decisions = await Promise.all(
      Array.from({ length: 20 }, () => limiter.consume({ tool: "x", session: "s1" })),
    );
    assert.ok(decisions.every(({ allowed }) => allowed));
    for (let tries = 0; tries < 400 && !events.some(({ type }) => type === "store.recovered"); tries++) await sleep(25);
    assert.deepEqual(
      (await limiter.usage({ session: "s1" })).map(({ used }) => used),
      [21, 21],
    );
    await limiter.close();
  });
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter, MisuseError, StoreError, type StoreErrorCode } from "tollgate";
import type { LimitSpec, Step, Store } from "tollgate/store";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { anyRedis, ownServers, startRedis } from "../servers.ts";
import { CASE_MS, testSharedStore } from "./store-suite.ts";

const server = await anyRedis();
const io = server.ioredis();
const node = await server.nodeRedis();

for (const [name, client] of Object.entries({ ioredis: io, "node-redis": node })) {
  const open = async () => {
    await server.empty();
    const clock = fakeClock();
    return { store: redisStore(client, { clock, deadlineMs: CASE_MS }), advance: clock.advance };
  };
  testSharedStore(`redis by ${name}`, open, client === io ? "all kinds" : "one kind each");
}

const limit: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "last" };
const charge = (bucket: string, by: LimitSpec = limit): Step => ({
  bucket,
  limit: by,
  event: { type: "charge", cost: 1 },
});
const chargeOnce = (store: Store, ...buckets: string[]) =>
  store.apply(buckets.map((bucket) => ({ mode: "judge", steps: [charge(bucket)] }) as const));
const isStoreError = (code: StoreErrorCode) => (error: unknown) => StoreError.isInstance(error) && error.code === code;

describe("the deadline of a Redis store", () => {
  it("has passed for requests without time left, which are not sent", async () => {
    server.cli("FLUSHALL");
    const store = redisStore(io, { deadlineMs: 300 });
    assert.equal(store.deadlineMs, 300);
    const late = store.apply([{ mode: "judge", steps: [charge("late")] }], 0);
    await assert.rejects(late, (error) => isStoreError("unavailable")(error) && /within 300 ms/.test(String(error)));
    assert.equal(server.cli("EXISTS", "late"), "0");
    await store.close();
  });
});

describe("what the Redis store keeps", () => {
  it("is a plain integer with a TTL under the documented key", async () => {
    server.cli("FLUSHALL");
    const limiter = createLimiter({
      policy: {
        version: 1,
        limits: [{ name: "tool-per-session", per: ["session", "tool"], quota: 50, resetAfterIdle: "24h" }],
      },
      store: redisStore(io),
    });
    for (let i = 0; i < 3; i++) await limiter.consume({ tool: "web_search", session: "s1" });
    const key = "rate:1:{s1}:tool-per-session:web_search";
    assert.equal(server.cli("KEYS", "rate:*"), key);
    assert.equal(server.cli("GET", key), "3");
    assert.equal(server.cli("OBJECT", "ENCODING", key), "int");
    const ttl = Number(server.cli("PTTL", key));
    assert.ok(ttl > 86_390_000 && ttl <= 86_400_000, `${ttl}`);
    await limiter.reset({ limit: "tool-per-session", session: "s1", tool: "web_search" });
    assert.equal(server.cli("EXISTS", key), "0");
    await limiter.close();
  });

  it("gets an expiry when another program wrote it without one", async () => {
    server.cli("FLUSHALL");
    const limits: LimitSpec[] = [
      limit,
      { algorithm: "fixed-window", quota: 5, windowMs: 60_000, align: "epoch" },
      { algorithm: "fixed-window", quota: 5, windowMs: 60_000, align: "first-use" },
    ];
    for (const [i, by] of limits.entries()) {
      server.cli("SET", `b${i}`, "5");
      const [reply] = await redisStore(io).apply([{ mode: "judge", steps: [charge(`b${i}`, by)] }]);
      assert.ok(reply !== undefined && !StoreError.isInstance(reply));
      const ttl = Number(server.cli("PTTL", `b${i}`));
      assert.ok(!reply.allowed && ttl > 0 && ttl <= 60_000, `${ttl}`);
      assert.ok(Math.abs((reply.steps[0]?.retryAfterMs ?? 0) - ttl) < 1_000);
    }
  });
});

describe("a bucket that the Redis store cannot read", () => {
  const damages = [
    "",
    "-1",
    "01",
    "1.5",
    "x",
    "s1 x",
    "s1 6 5 1,,2",
    "s1 6 5 1,",
    "s1 0 5 1",
    "g1 1 2",
    "g1 1 2 0",
    "9007199254740992",
  ];
  for (const damage of damages) {
    it(`fails only its own call: ${JSON.stringify(damage)}`, async () => {
      server.cli("FLUSHALL");
      server.cli("SET", "bad", damage, "EX", "60");
      const store = redisStore(io);
      const [both, good] = await store.apply([
        { mode: "judge", steps: [charge("bad"), charge("good")] },
        { mode: "judge", steps: [charge("good")] },
      ]);
      assert.ok(isStoreError("damaged-bucket")(both) && /the bucket bad is damaged/.test(String(both)));
      assert.ok(good !== undefined && !StoreError.isInstance(good) && good.steps[0]?.used === 1);
      assert.equal(server.cli("GET", "bad"), damage);
    });
  }

  it("is repaired by a reset, and by nothing else", async () => {
    server.cli("FLUSHALL");
    server.cli("SET", "bad", "x");
    const store = redisStore(io);
    const reset = { bucket: "bad", limit, event: { type: "reset" } } as const;
    const [peeked, mended] = await store.apply([
      { mode: "peek", steps: [reset] },
      { mode: "judge", steps: [reset] },
    ]);
    assert.ok(isStoreError("damaged-bucket")(peeked));
    assert.ok(mended !== undefined && !StoreError.isInstance(mended) && mended.steps[0]?.used === 0);
    assert.equal(server.cli("EXISTS", "bad"), "0");
  });

  it("fails only its own call when the key has another type, which is kept", async () => {
    server.cli("FLUSHALL");
    server.cli("RPUSH", "list", "a");
    const replies = await chargeOnce(redisStore(io), "good", "list", "other");
    assert.ok(isStoreError("wrong-type")(replies[1]) && /the key list/.test(String(replies[1])));
    assert.deepEqual(
      [server.cli("GET", "good"), server.cli("GET", "other"), server.cli("LLEN", "list")],
      ["1", "1", "1"],
    );
  });
});

describe("a decision on Redis", () => {
  it("is one script call and no other command of the client, for any limits", async () => {
    server.cli("FLUSHALL");
    const limiter = createLimiter({
      policy: {
        version: 1,
        limits: [
          { name: "a", per: ["session", "turn"], quota: 500 },
          { name: "b", per: ["session"], algorithm: "sliding-window", quota: 500, window: "1h" },
          { name: "c", per: ["user"], algorithm: "token-bucket", quota: 500, window: "1h" },
        ],
      },
      store: redisStore(io),
      failover: false,
      denyCacheMs: 0,
    });
    const call = { tool: "x", session: "s", turn: "t", user: "u" };
    await limiter.consume(call);
    server.cli("CONFIG", "RESETSTAT");
    for (let i = 0; i < 1_000; i++) await limiter.consume(call);
    const stats = server.cli("INFO", "commandstats");
    const commands = [...stats.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)].map(([, name, calls]) => [
      name,
      Number(calls),
    ]);
    // What the script itself calls is counted as well; redis-cli adds its own.
    const byScript = ["mget", "exists", "pexpiretime", "pexpireat", "incrby", "set", "time"];
    const byClient = commands.filter(
      ([name]) =>
        !byScript.includes(String(name)) && !/config|info|command|client|hello|auth|select|quit/.test(String(name)),
    );
    assert.deepEqual(byClient, [["evalsha", 1_000]]);
  });

  it("touches no key that is not declared", async () => {
    server.cli("FLUSHALL");
    const monitor = await io.monitor();
    const seen: { args: string[]; source: string }[] = [];
    monitor.on("monitor", (_time: string, args: string[], source: string) => seen.push({ args, source }));
    const store = redisStore(io);
    const sliding: LimitSpec = { algorithm: "sliding-window", quota: 5, windowMs: 1_000 };
    const tokenBucket: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 7, levelPerMs: 1 };
    for (let i = 0; i < 20; i++) {
      const held = { type: "hold", id: `h${i}`, units: 1, leaseMs: 1_000, onExpiry: "refund" } as const;
      const settled = { type: "settle", id: `h${i}`, units: 2 } as const;
      const hold = [
        { bucket: "k3", limit: tokenBucket, event: held },
        { bucket: "k4", limit, event: held },
      ];
      await store.apply([
        { mode: "judge", steps: [charge("k1"), charge("k2", sliding)] },
        { mode: "force", steps: [charge("k3", tokenBucket), charge("k1")] },
        { mode: "force", steps: hold, once: { key: `once-${i}`, request: "r" } },
        { mode: "force", steps: hold, once: { key: `once-${i}`, request: "r" } },
        { mode: "peek", steps: hold, once: { key: "never", request: "r" } },
        {
          mode: "judge",
          steps: [{ bucket: "k4", limit, event: settled }],
          once: { key: `once-${i % 3}`, request: "r" },
        },
        { mode: "judge", steps: [{ bucket: "k2", limit: sliding, event: { type: "reset" } }] },
      ]);
    }
    await sleep(100);
    monitor.disconnect();
    const scripts = seen.filter(({ args }) => /^eval/i.test(args[0] ?? ""));
    const declared = new Set(scripts.flatMap(({ args }) => args.slice(3, 3 + Number(args[2]))));
    const answers = Array.from({ length: 20 }, (_, i) => `once-${i}`);
    assert.deepEqual([...declared].sort(), ["k1", "k2", "k3", "k4", ...answers].sort());
    const touched = seen.filter(({ source }) => source === "lua").map(({ args }) => args);
    assert.ok(touched.length > 100);
    for (const [command = "", ...args] of touched) {
      const name = command.toUpperCase();
      if (name === "TIME") continue;
      const keys = name === "MGET" || name === "EXISTS" ? args : args.slice(0, 1);
      assert.ok(
        keys.every((key) => declared.has(key)),
        `${command} ${args}`,
      );
    }
  });

  it("splits a batch that keeps many answers", async () => {
    server.cli("FLUSHALL");
    server.cli("CONFIG", "RESETSTAT");
    const requests = Array.from({ length: 129 }, (_, i) => {
      const once = { key: `once-${i}`, request: "r" };
      return { mode: "judge", steps: [charge("same", { ...limit, quota: 999 })], once } as const;
    });
    const replies = await redisStore(io).apply(requests);
    assert.ok(replies.every((reply) => !StoreError.isInstance(reply) && reply.allowed));
    assert.match(server.cli("INFO", "commandstats"), /^cmdstat_evalsha:calls=2,/m);
  });

  it("splits a long batch, and keeps its order", async () => {
    server.cli("FLUSHALL");
    const store = redisStore(io);
    const most: LimitSpec = { ...limit, quota: 10_000 };
    const steps = (i: number) => [charge("same", most), charge(`own-${i}`, most), charge(`other-${i}`, most)];
    const replies = await store.apply(
      Array.from({ length: 400 }, (_, i) => ({ mode: "judge", steps: steps(i) }) as const),
    );
    const used = replies.map((reply) => (StoreError.isInstance(reply) ? null : reply.steps[0]?.used));
    assert.deepEqual(
      used,
      Array.from({ length: 400 }, (_, i) => i + 1),
    );
  });

  it("still works when the server has forgotten the script", async () => {
    server.cli("FLUSHALL");
    const store = redisStore(node);
    await chargeOnce(store, "b");
    server.cli("SCRIPT", "FLUSH");
    const replies = await Promise.all(Array.from({ length: 20 }, () => chargeOnce(store, "b", "c")));
    assert.equal(replies.length, 20);
    assert.equal(server.cli("GET", "c"), "5");
  });
});

describe("a Redis that is in trouble", ownServers, () => {
  const fails = (client: RedisClient, code: StoreErrorCode, transient: boolean) =>
    assert.rejects(chargeOnce(redisStore(client), "a-new-bucket"), (error) => {
      assert.ok(StoreError.isInstance(error), String(error));
      assert.deepEqual([error.code, error.transient], [code, transient], error.message);
      return true;
    });

  it("needs a password", async () => {
    const closed = await startRedis("--requirepass", "secret");
    await fails(closed.ioredis(), "unauthorized", false);
  });

  it("gives this user no right to run scripts", async () => {
    const own = await startRedis();
    own.cli("ACL", "SETUSER", "default", "-@scripting");
    await fails(own.ioredis(), "unauthorized", false);
  });

  it("is a replica that takes no writes", async () => {
    const master = await startRedis("--repl-diskless-sync-delay", "0");
    const replica = await startRedis("--replicaof", "127.0.0.1", String(master.port));
    for (let tries = 0; tries < 100 && !/master_link_status:up/.test(replica.cli("INFO", "replication")); tries++)
      await sleep(50);
    await fails(replica.ioredis(), "read-only", true);
  });

  it("has no memory left, and still answers requests that need none", async () => {
    const full = await startRedis("--maxmemory", "1mb", "--maxmemory-policy", "noeviction");
    full.cli("CONFIG", "SET", "maxmemory", "1");
    await fails(full.ioredis(), "out-of-memory", true);
    const [read] = await redisStore(full.ioredis()).apply([{ mode: "peek", steps: [charge("b")] }]);
    assert.ok(read !== undefined && !StoreError.isInstance(read));
  });

  it("is loading its data", async () => {
    const slow = await startRedis("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024");
    for (let i = 0; i < 100; i++) slow.cli("SET", `p${i}`, "x".repeat(1_000) + i);
    slow.cli("CONFIG", "SET", "rdbcompression", "no");
    slow.cli("SAVE");
    await slow.restart();
    assert.match(slow.cli("INFO", "persistence"), /^loading:1/m);
    const client = new Redis(slow.port, { enableReadyCheck: false });
    await fails(client, "loading", true).finally(() => client.disconnect());
  });

  it("is gone", async () => {
    const gone = await startRedis();
    const client = new Redis(gone.port, { maxRetriesPerRequest: 0, retryStrategy: null as never }).on(
      "error",
      () => {},
    );
    await client.ping();
    await gone.kill();
    await sleep(50);
    await fails(client, "unavailable", true).finally(() => client.disconnect());
  });

  it("does not answer", async () => {
    const stopped = await startRedis();
    const client = stopped.ioredis();
    await client.ping();
    const store = redisStore(client, { deadlineMs: 50 });
    stopped.pause();
    await assert.rejects(
      chargeOnce(store, "b"),
      (error) => isStoreError("unavailable")(error) && /50 ms/.test(String(error)),
    );
    stopped.resume();
  });

  it("lacks the needed commands", async () => {
    const old = await startRedis("--rename-command", "PEXPIRETIME", "");
    const store = redisStore(old.ioredis());
    await chargeOnce(store, "b");
    await assert.rejects(chargeOnce(store, "b"), isStoreError("too-old"));
  });
});

describe("the setup of a Redis", ownServers, () => {
  const problems = async (...settings: string[]) => {
    const own = await startRedis(...settings);
    const checks = (await redisStore(await own.nodeRedis()).setup?.()) ?? [];
    return checks.map(({ name, value, problem }) => [name, value, problem !== null] as const);
  };

  it("is fine with an append-only file that is always synced, and no eviction", async () => {
    const [version, ...others] = await problems("--appendonly", "yes", "--appendfsync", "always");
    assert.match(version?.[1] ?? "", /^(Redis|Valkey) \d+\.\d+/);
    assert.equal(version?.[2], false);
    assert.deepEqual(others, [
      ["eviction", "noeviction", false],
      ["persistence", "append-only file, fsync always", false],
      ["client", "node-redis", false],
    ]);
  });

  it("is reported otherwise, by doctor and as events", async () => {
    assert.deepEqual((await problems("--maxmemory-policy", "allkeys-lru")).slice(1, 3), [
      ["eviction", "allkeys-lru", true],
      ["persistence", "no append-only file", true],
    ]);
    assert.equal((await problems("--appendonly", "yes"))[2]?.[2], true);
  });
});

describe("clients that the Redis store refuses", () => {
  const refused: [string, () => unknown][] = [
    ["nothing", () => undefined],
    ["an address", () => "redis://127.0.0.1"],
    ["a Map", () => new Map()],
  ];
  for (const [what, client] of refused) {
    it(what, () => {
      assert.throws(
        () => redisStore(client() as RedisClient),
        (error) => MisuseError.isInstance(error) && error.code === "unsupported-client",
      );
    });
  }

  it("and options that it does not know", () => {
    assert.throws(
      () => redisStore(io, { prefix: "x" } as never),
      (error) => MisuseError.isInstance(error) && error.code === "invalid-option",
    );
  });
});

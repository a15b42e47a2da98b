// What the setup check and `tollgate doctor` say of a cluster: one that keeps every promise, and one that is broken in each way.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "ioredis";
import type { SetupCheck } from "tollgate/store";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { mastersIn } from "../../src/stores/redis/cluster-nodes.ts";
import { shardPlaces } from "../../src/stores/redis/shards.ts";
import { clientsOfCluster } from "../cluster-clients.ts";
import { tollgate } from "../e2e/tollgate.ts";
import { startCluster } from "../redis-cluster.ts";
import { ownServers, type RedisServer } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";

const GOOD = {
  appendonly: "yes",
  appendfsync: "always",
  "cluster-require-full-coverage": "no",
  "min-replicas-to-write": "1",
};
const SHARD_SLOTS = new Set(shardPlaces().map(({ slot }) => slot));
const HOST = "127.0.0.1";
const OTHER_HOST = "127.0.0.2";

const settings = Object.entries(GOOD).flatMap(([name, value]) => [`--${name}`, value]);
const cluster = await startCluster("--bind", HOST, OTHER_HOST, ...settings);
const clients = await clientsOfCluster(cluster);
const isReplica = (server: RedisServer) => server.cli("INFO", "replication").includes("role:slave");
const replicas = cluster.servers.filter(isReplica);
const masters = cluster.servers.filter((server) => !isReplica(server));
for (const replica of replicas) replica.cli("CONFIG", "SET", "cluster-announce-ip", OTHER_HOST);
await eventually("all know where the replicas are", () =>
  cluster.servers.every((server) => server.cli("CLUSTER", "NODES").split(`${OTHER_HOST}:`).length > 3),
);
const firstSlotOf = (server: RedisServer) => Number(/myself.* (\d+)-\d+/.exec(server.cli("CLUSTER", "NODES"))?.[1]);
const bySlots = masters.toSorted((a, b) => firstSlotOf(a) - firstSlotOf(b));
const [first, middle, last] = bySlots as [RedisServer, RedisServer, RedisServer];
const addressOf = ({ port }: RedisServer) => `${HOST}:${port}`;

const [second, third] = [addressOf(middle), addressOf(last)];

async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) {
    assert.ok(tries < 200, `Not so within 10 s: ${what}.`);
    await sleep(50);
  }
}

const setupBy = async (client: RedisClient, deadlineMs = 5_000) => {
  const checks = (await redisStore(client, { deadlineMs }).setup?.()) ?? [];
  return Object.fromEntries(checks.map((check) => [check.name, check])) as Record<string, SetupCheck>;
};

/** The problems by check, without that of the client's settings. */
async function problems(client: RedisClient = clients["node-redis"], deadlineMs?: number) {
  const { client: _, ...checks } = await setupBy(client, deadlineMs);
  const found = Object.values(checks).filter(({ problem }) => problem !== null);
  return Object.fromEntries(found.map(({ name, problem }) => [name, problem]));
}

/** Does something while a server has another setting. */
async function withSetting(server: RedisServer, name: string, value: string, run: () => Promise<void>): Promise<void> {
  const before = server.cli("CONFIG", "GET", name).split("\n").at(-1) ?? "";
  assert.equal(server.cli("CONFIG", "SET", name, value), "OK");
  try {
    await run();
  } finally {
    server.cli("CONFIG", "SET", name, before);
  }
}

const running = () => cluster.servers.filter((server) => server.cli("PING") === "PONG");

async function withSettings(name: string, value: string, run: () => Promise<void>): Promise<void> {
  const nested = running().reduce((inner, server) => () => withSetting(server, name, value, inner), run);
  await nested();
}

const doctor = async (...more: string[]) => {
  const hosts = masters.map(addressOf).join(",");
  return tollgate(["doctor", "--store", `redis+cluster://${hosts}`, ...more], temporaryFolder());
};

describe("the setup of a cluster", ownServers, () => {
  for (const [name, client] of Object.entries(clients)) {
    it(`has no problem where it keeps every promise: ${name}`, async () => {
      const { client: own, ...checks } = await setupBy(client);
      const found = Object.values(checks).map((check) => [check.name, check.value, check.problem]);
      const [version, ...others] = found;
      const { reads } = checks;
      const times = bySlots.map((server) => `\\d[\\d.]* ms \\(${addressOf(server)}\\)`);
      assert.match(reads?.value ?? "", new RegExp(`^${times.join("; ")}$`));
      assert.match(version?.[1] ?? "", /^(Redis|Valkey) \d+\.\d+\.\d+ \(all 3 masters\)$/);
      assert.deepEqual(others, [
        ["eviction", "noeviction (all 3 masters)", null],
        ["persistence", "append-only file, fsync always (all 3 masters)", null],
        ["slots", "all 16384, on 3 masters", null],
        ["shards", `64, by master: 22 (${second}); 21 (${addressOf(first)}, ${third})`, null],
        ["reads", reads?.value, null],
        ["replicas", "1 for each master, at most 1 s behind", null],
        [
          "failover",
          "a replica takes over about 1 s after its master fails, without the calls that it has not received yet, at most those of the last 10 s",
          null,
        ],
      ]);
      assert.match(own?.value ?? "", /, a cluster$/);
    });
  }

  it("is printed by doctor, which exits with 0", async () => {
    const { status, stdout } = await doctor();
    assert.doesNotMatch(stdout, /PROBLEM/);
    assert.match(
      stdout,
      /\nslots +all 16384, on 3 masters\nshards +64, by master: .*\nreads +\d.*\nreplicas +1 for each master, .*\nfailover +a replica .*\nclient /,
    );
    assert.equal(status, 0);
  });

  it("has a problem where one master evicts counters", async () => {
    await withSetting(first, "maxmemory-policy", "allkeys-lru", async () => {
      for (const client of Object.values(clients)) {
        const { eviction } = await setupBy(client);
        assert.ok(eviction?.value.includes(`allkeys-lru (${addressOf(first)})`), eviction?.value);
        for (const other of [second, third]) assert.ok(eviction?.value.includes(other));
        assert.match(eviction?.problem ?? "", new RegExp(`^on ${addressOf(first)}, counters may be evicted`));
      }
    });
  });

  it("has a problem where one master has no append-only file", async () => {
    await withSetting(first, "appendonly", "no", async () => {
      const { persistence } = await problems();
      assert.match(persistence ?? "", new RegExp(`^on ${addressOf(first)}, a restart of the server forgets`));
    });
  });

  it("has a problem where one master has no shard, and another one has those of two", async () => {
    const own = Array.from({ length: firstSlotOf(middle) }, (_, slot) => slot);
    const [kept = Number.NaN] = own.filter((slot) => !SHARD_SLOTS.has(slot));
    const moved = own.filter((slot) => slot !== kept);
    await giveSlots(moved, middle);
    try {
      for (const client of Object.values(clients)) {
        const { shards } = await setupBy(client);
        assert.equal(shards?.value, `64, by master: 43 (${second}); 21 (${third}); 0 (${addressOf(first)})`);
        assert.equal(
          shards?.problem,
          `${addressOf(first)}: none of the 64 shards is there, so no call is decided there: give all masters equally many ` +
            "slots (redis-cli --cluster rebalance), and use at most 32 masters; " +
            `${second} has 43 of 64 shards, more than twice its part among 3 masters, and so more than twice the calls: ` +
            "give all masters equally many slots (redis-cli --cluster rebalance)",
        );
      }
      const { status, stdout } = await doctor();
      assert.match(stdout, /\nshards +64, by master: 43 .*; PROBLEM: /);
      assert.equal(status, 1);
    } finally {
      await giveSlots(moved, first);
    }
  });

  it("has a problem where one slot without a server closes the cluster", async () => {
    await withSettings("cluster-require-full-coverage", "yes", async () => {
      assert.match((await problems()).slots ?? "", /set cluster-require-full-coverage to no$/);
    });
  });

  it("has a problem where a master goes on counting without its replicas", async () => {
    await withSetting(first, "min-replicas-to-write", "0", async () => {
      const { failover } = await setupBy(clients["valkey-glide"]);
      assert.match(failover?.problem ?? "", /set min-replicas-to-write to 1 and min-replicas-max-lag to 10$/);
      assert.doesNotMatch(failover?.value ?? "", /at most/);
    });
  });

  it("has a problem where a replica is on the host of its master", async () => {
    const [replica] = replicas as [RedisServer];
    const where = `${HOST}:${replica.port}@`;
    const known = () => cluster.servers.every((server) => server.cli("CLUSTER", "NODES").includes(where));
    await withSetting(replica, "cluster-announce-ip", HOST, async () => {
      await eventually("all know where the replica is", known);
      const close = /^all replicas of 127\.0\.0\.1:\d+ are on the host of their master, and fail with it/;
      await eventually("it is reported", async () => close.test((await problems()).replicas ?? ""));
    });
    await eventually("the replica is elsewhere again", async () => Object.keys(await problems()).length === 0);
  });

  it("has a problem where a master does not answer", async () => {
    first.pause();
    try {
      const silent = new RegExp(`^the master ${addressOf(first)} does not answer \\(.* 400 ms.*\\): see`);
      // Now and then only the silent one is asked for the others, and nothing is known.
      await eventually("the problem is reported", async () => {
        const found = await problems(clients["node-redis"], 400).catch(() => ({}) as Record<string, string>);
        return silent.test(found.slots ?? "");
      });
    } finally {
      first.resume();
    }
  });

  it("cannot be read without a right, and says which", async () => {
    const lacks: [command: string, message: RegExp][] = [
      ["-cluster|nodes", /nothing is known of the cluster's slots and replicas: allow CLUSTER\|NODES for this user$/],
      ["-info", /So version, eviction and persistence are not known: allow INFO for this user/],
      ["-config|get", /^$/],
    ];
    for (const [i, [command, message]] of lacks.entries()) {
      const name = `user${i}`;
      for (const server of cluster.servers) {
        server.cli("ACL", "SETUSER", name, "on", ">secret", "~*", "+@all", command);
      }
      const redisOptions = { username: name, password: "secret", autoResendUnfulfilledCommands: false };
      const io = new Cluster([...cluster.addresses], { retryDelayOnFailover: 0, redisOptions });
      after(() => io.disconnect());
      if (command !== "-config|get") {
        await eventually(`without ${command} a message says so`, () =>
          setupBy(io as RedisClient).then(
            () => false,
            (error) => message.test(error.message),
          ),
        );
      } else {
        const found = await problems(io as RedisClient);
        assert.match(found.slots ?? "", /make sure that cluster-require-full-coverage is no$/);
        assert.match(found.persistence ?? "", /make sure that appendfsync is always$/);
      }
    }
  });

  it("has a problem where a master has lost its replica, and refuses to count", async () => {
    const replica = await followerOf(first);
    await replica.kill();
    const gone = `no replica can take over from ${addressOf(first)}: give each master a replica`;
    await eventually("the replica is known to be down", async () => (await problems()).replicas === gone);
    await withSetting(first, "min-replicas-to-write", "0", async () => {
      assert.deepEqual(Object.keys(await problems()), ["replicas"]);
    });
  });

  it("has a problem where a slot has no server, and doctor exits with 1", async () => {
    const slot = cluster.cli("CLUSTER", "KEYSLOT", "a");
    // A server may hear of the slot's old owner once more.
    await eventually("no server knows of the slot", () => {
      for (const server of running()) server.cli("CLUSTER", "DELSLOTS", slot);
      return running().every((server) => server.cli("CLUSTER", "INFO").includes("cluster_slots_assigned:16383"));
    });
    for (const client of Object.values(clients)) {
      const { slots } = await setupBy(client);
      assert.equal(slots?.value, "16383 of 16384, on 3 masters");
      assert.equal(slots?.problem, `no server has these slots: ${slot}. Assign them with redis-cli --cluster fix`);
    }
    const { status, stdout } = await doctor();
    assert.match(
      stdout,
      /\nreachable +yes\n[\s\S]*\nslots +16383 of 16384, on 3 masters; PROBLEM: no server has these slots: /,
    );
    assert.equal(status, 1);
  });

  it("says why a cluster refuses all calls, and doctor exits with 3", async () => {
    await withSettings("cluster-require-full-coverage", "yes", async () => {
      await eventually("all masters refuse", () => {
        // A server sees what its slots are only when one of them changes.
        for (const server of masters) server.cli("CLUSTER", "SETSLOT", "0", "STABLE");
        return masters.every((server) => server.cli("CLUSTER", "INFO").includes("cluster_state:fail"));
      });
      const { status, stdout, stderr } = await doctor();
      assert.match(
        stdout,
        /\nreachable +no\nslots +16383 of 16384, on 3 masters; PROBLEM: no server has these slots: /,
      );
      assert.match(stdout, /the whole cluster refuses calls/);
      assert.match(stderr, /CLUSTERDOWN/);
      assert.equal(status, 3);
      const { checks, reachable } = JSON.parse((await doctor("--json")).stdout);
      assert.deepEqual([checks[0].name, reachable], ["slots", false]);
    });
    await eventually("no master refuses any more", () =>
      masters.every((server) => server.cli("CLUSTER", "INFO").includes("cluster_state:ok")),
    );
  });

  it("has a problem where a master is down that has no replica, by each client", async () => {
    await first.kill();
    const down = new RegExp(`${addressOf(first)} is down, and no replica has taken over its slots \\d`);
    // A client may still send to the server that is gone.
    const isKnown = ({ slots }: Record<string, unknown>) => down.test(String(slots));
    await eventually("the master is known to be down", () => problems().then(isKnown, () => false));
    for (const client of Object.values(clients)) {
      await eventually("the setup can be read", () => setupBy(client).then(Boolean, () => false));
      const { slots, eviction } = await setupBy(client);
      assert.match(slots?.problem ?? "", down);
      assert.match(slots?.value ?? "", /^10\d\d\d of 16384, on 2 masters$/);
      assert.equal(eviction?.value, "noeviction (the 2 masters that answer)");
    }
  });
});

/** Moves slots without keys. */
async function giveSlots(slots: readonly number[], to: RedisServer): Promise<void> {
  const id = to.cli("CLUSTER", "MYID");
  // Now the others believe it, and not the owner until now.
  to.cli("CLUSTER", "BUMPEPOCH");
  for (const server of [to, ...masters.filter((each) => each !== to)]) {
    const client = server.ioredis();
    await Promise.all(slots.map((slot) => client.call("CLUSTER", "SETSLOT", slot, "NODE", id)));
    client.disconnect();
  }
  const isOwner = (nodes: string) => {
    const { slots: own = [] } = mastersIn(nodes).find(({ address }) => address === addressOf(to)) ?? {};
    return slots.every((slot) => own.some(([from, until]) => slot >= from && slot <= until));
  };
  await eventually("all know who has the slots", () =>
    cluster.servers.every((server) => isOwner(server.cli("CLUSTER", "NODES"))),
  );
}

async function followerOf(master: RedisServer): Promise<RedisServer> {
  const port = Number(/^slave0:.*port=(\d+)/m.exec(master.cli("INFO", "replication"))?.[1]);
  return cluster.servers.find((server) => server.port === port) ?? assert.fail();
}

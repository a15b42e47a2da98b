// Servers of a cluster go away under load: calls of the units that they had are decided by shares, those of others stay exact, and
// afterwards each unit of the cluster has counted what was admitted. A call over several units does not change that.

import assert from "node:assert/strict";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "ioredis";
import { createLimiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { keyOnCluster, moveSlot, type RedisCluster, startCluster } from "../redis-cluster.ts";
import { ownServers, type RedisServer } from "../servers.ts";
import type { FaultProxy } from "./fault-proxy.ts";
import { areBack, type Instance, isStrict, Load, median, until } from "./outage.ts";

const FIRST_DECISION_MS = 300;
const INSTANCES = 2;
const CALLERS = 8;
const SESSIONS = ["a", "b", "c"];

const per = { quota: 1_000_000, algorithm: "fixed-window", window: "365d" } as const;
const POLICIES: Readonly<Record<string, PolicyInput>> = {
  "one unit": { version: 1, limits: [{ name: "per-session", per: ["session"], ...per }] },
  "two units": {
    version: 1,
    limits: [
      { name: "per-session", per: ["session"], ...per },
      { name: "per-tool", per: ["tool"], ...per },
    ],
  },
};

const clusters: RedisCluster[] = [];
const clients: Cluster[] = [];
after(() => {
  for (const client of clients) client.disconnect();
});

function clientOf({ addresses }: RedisCluster): Cluster {
  const client = new Cluster([...addresses], {
    retryDelayOnFailover: 0,
    clusterRetryStrategy: () => 50,
    redisOptions: { autoResendUnfulfilledCommands: false, connectTimeout: 500 },
  });
  clients.push(client);
  return client.on("error", () => {});
}

/** No proxy: servers of a cluster tell clients their own addresses. */
const noProxy = { close: async () => {} } as unknown as FaultProxy;

async function instancesOf(cluster: RedisCluster, policy: PolicyInput): Promise<Instance[]> {
  const instances: Instance[] = [];
  for (let i = 0; i < INSTANCES; i++) {
    const events: LimiterEvent[] = [];
    const eventsAtMs: number[] = [];
    const onEvent = (event: LimiterEvent) => {
      events.push(event);
      eventsAtMs.push(performance.now());
    };
    const store = redisStore(clientOf(cluster) as RedisClient);
    const limiter = createLimiter({ policy, store, failover: { instances: INSTANCES }, onEvent });
    for (const session of SESSIONS) await limiter.consume({ tool: "warm-up", session: `${session}-${i}` });
    instances.push({ limiter, proxy: noProxy, events, eventsAtMs });
  }
  return instances;
}

/** A key in the unit of a session. */
const keyOf = (session: string) => keyOnCluster(`{${session}}`);

/** A cluster, and two of its masters: of the first session's unit, and another one. They are looked up before the load, which that would stop. */
interface Scene {
  readonly cluster: RedisCluster;
  readonly slot: string;
  readonly master: RedisServer;
  readonly other: RedisServer;
}

interface Fault {
  /** Begins it, and returns what ends it. */
  begin(scene: Scene): Promise<() => unknown> | (() => unknown);
  readonly awayMs: number;
  /** Whether the servers may lose what they had acknowledged: then what was in flight may be counted twice. */
  readonly mayLose?: boolean;
  readonly settings?: readonly string[];
}

async function sceneOf(cluster: RedisCluster): Promise<Scene> {
  const key = keyOf("a");
  const master = await cluster.masterOf(key);
  const masters = cluster.servers.filter((server) => /role:master/.test(server.cli("INFO", "replication")));
  const other = masters.find((server) => server !== master) as RedisServer;
  return { cluster, slot: cluster.cli("CLUSTER", "KEYSLOT", key), master, other };
}

const KEPT = ["--appendonly", "yes", "--appendfsync", "always"];
const faults: Record<string, Fault> = {
  "one master that stands still": {
    begin: ({ master }) => {
      master.pause();
      return () => master.resume();
    },
    awayMs: 800,
    settings: ["--cluster-node-timeout", "15000"],
  },
  "one master that restarts": {
    async begin({ master }) {
      await master.kill();
      return () => master.restart();
    },
    awayMs: 800,
    settings: ["--cluster-node-timeout", "15000", ...KEPT],
  },
  "one master whose replica takes over": {
    async begin({ master }) {
      await master.kill();
      return () => {};
    },
    awayMs: 1_000,
    mayLose: true,
  },
  "all servers that restart": {
    async begin({ cluster: { servers } }) {
      await Promise.all(servers.map((server) => server.kill()));
      return () => Promise.all(servers.map((server) => server.restart()));
    },
    awayMs: 800,
    mayLose: true,
    settings: KEPT,
  },
  "all servers that restart without data": {
    async begin({ cluster: { servers } }) {
      await Promise.all(servers.map((server) => server.kill()));
      return () => Promise.all(servers.map((server) => server.restart()));
    },
    awayMs: 800,
    mayLose: true,
  },
  "a slot that moves": {
    async begin({ cluster, slot, master, other }) {
      await moveSlot(cluster, slot, master, other);
      return () => {};
    },
    awayMs: 200,
  },
};

describe("servers of a cluster go away", ownServers, () => {
  for (const [name, { begin, awayMs, mayLose = false, settings = [] }] of Object.entries(faults)) {
    for (const [which, policy] of Object.entries(POLICIES)) {
      it(`${name}, with calls over ${which}`, async (test) => {
        const cluster = await startCluster(...settings);
        clusters.push(cluster);
        const scene = await sceneOf(cluster);
        const instances = await instancesOf(cluster, policy);
        const load = new Load(instances, CALLERS, SESSIONS);
        const stalls = monitorEventLoopDelay({ resolution: 5 });
        stalls.enable();
        await sleep(300);
        const faultMs = performance.now();
        const end = await begin(scene);
        await sleep(awayMs);
        await end();
        const healedMs = performance.now();
        const backMs = await until(20_000, () => areBack(instances));
        await sleep(500);
        await until(20_000, () => areBack(instances));
        await load.stop();
        stalls.disable();
        await until(20_000, () => areBack(instances));

        const after = load.seen.filter(({ endMs }) => endMs >= faultMs);
        const times = after.map(({ startMs, endMs }) => endMs - startMs);
        const slow = times.filter((ms) => ms > FIRST_DECISION_MS).length;
        const first =
          Math.min(...after.filter(({ startMs }) => startMs >= faultMs).map(({ endMs }) => endMs)) - faultMs;
        const degraded = after.filter(({ decision }) => decision.degraded !== null).length;
        test.diagnostic(
          `first decision ${first.toFixed(0)} ms, slowest ${Math.max(...times).toFixed(0)} ms, ${slow} of ${times.length} over ` +
            `${FIRST_DECISION_MS} ms, median ${median(times).toFixed(2)} ms, ${degraded} by shares, back ${backMs.toFixed(0)} ms ` +
            `after ${(healedMs - faultMs).toFixed(0)}; the process stood still for ${(stalls.max / 1e6).toFixed(0)} ms at most`,
        );
        assert.deepEqual(load.errors, []);
        assert.ok(areBack(instances), "an instance did not come back");
        if (isStrict) assert.equal(slow, 0);
        const [{ limiter }] = instances as [Instance];
        const most = mayLose ? INSTANCES * CALLERS : 0;
        const excesses: number[] = [];
        const check = (what: string, used: number, admitted: number) => {
          excesses.push(used - admitted);
          assert.ok(used >= admitted && used <= admitted + most, `${what}: ${used} counted, ${admitted} admitted`);
        };
        for (const session of SESSIONS) {
          check(session, (await limiter.usage({ session }))[0]?.used ?? 0, load.admitted(session));
        }
        if (which === "two units") {
          const usages = await limiter.usage({ tool: "search" });
          check("search", usages.find(({ limit }) => limit === "per-tool")?.used ?? 0, load.seen.length);
        }
        test.diagnostic(`counted more than admitted: ${excesses.join(", ")}`);
        await Promise.all(instances.map((instance) => instance.limiter.close()));
        await Promise.all(cluster.servers.map((server) => server.kill()));
      });
    }
  }
});

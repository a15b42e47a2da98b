// Servers of a cluster go away under load, with each client: calls of the shards that they had are decided by shares, those of others
// stay exact, and afterwards each shard of the cluster has counted what was admitted. A call over several shards does not change that.

import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { CLUSTER_CLIENTS, type ClusterClient, connectToCluster } from "../cluster-clients.ts";
import { keyOnCluster, moveSlot, type RedisCluster, startCluster } from "../redis-cluster.ts";
import { ownServers, type RedisServer } from "../servers.ts";
import { leavesNothing, playFault } from "./fault.ts";
import type { FaultProxy } from "./fault-proxy.ts";
import { clusterWorks, mastersOf, RECONNECT_MS } from "./homes.ts";
import { type Instance, isStrict, openInstance } from "./outage.ts";

const INSTANCES = 2;
const AFTER_MS = 300;

const per = { quota: 1_000_000, algorithm: "fixed-window", window: "365d" } as const;
const POLICIES = {
  "one shard": { version: 1, limits: [{ name: "per-session", per: ["session"], ...per }] },
  "two shards": {
    version: 1,
    limits: [
      { name: "per-session", per: ["session"], ...per },
      { name: "per-tool", per: ["tool"], ...per },
    ],
  },
} as const satisfies Record<string, PolicyInput>;

type MaybePromise<Value> = Value | Promise<Value>;

/** A cluster, and two of its masters: of the first session's shard, and another one. They are looked up before the load, which that would stop. */
interface Scene {
  readonly cluster: RedisCluster;
  readonly slot: string;
  readonly master: RedisServer;
  readonly other: RedisServer;
}

interface Fault {
  /** Begins it, and returns what ends it. */
  begin(scene: Scene): MaybePromise<() => unknown>;
  readonly awayMs: number;
  readonly mayLose?: boolean;
  readonly isPartial?: boolean;
  readonly backMs?: number;
  readonly settings?: readonly string[];
}

/** A key in the shard of a session. */
const keyOf = (session: string) => keyOnCluster(`{${session}}`);

async function sceneOf(cluster: RedisCluster): Promise<Scene> {
  const key = keyOf("a");
  const master = await cluster.masterOf(key);
  const other = (await mastersOf(cluster)).find((server) => server !== master) as RedisServer;
  return { cluster, slot: cluster.cli("CLUSTER", "KEYSLOT", key), master, other };
}

/** No server is given up for dead while it is away. */
const NO_FAILOVER = ["--cluster-node-timeout", "15000"];
const KEPT = ["--appendonly", "yes", "--appendfsync", "always"];

/** Kills servers, and starts them again. */
const restarts =
  (which: (scene: Scene) => MaybePromise<readonly RedisServer[]>): Fault["begin"] =>
  async (scene) => {
    const servers = await which(scene);
    await Promise.all(servers.map((server) => server.kill()));
    return async () => {
      await Promise.all(servers.map((server) => server.restart()));
      await clusterWorks(scene.cluster);
    };
  };

const faults = {
  "one master that stands still": {
    begin: ({ master }) => {
      master.pause();
      return () => master.resume();
    },
    awayMs: 800,
    isPartial: true,
    settings: NO_FAILOVER,
  },
  "one master that restarts": {
    begin: restarts(({ master }) => [master]),
    awayMs: 800,
    isPartial: true,
    settings: [...NO_FAILOVER, ...KEPT],
  },
  "one master whose replica takes over": {
    async begin({ cluster, master }) {
      const before = (await mastersOf(cluster)).length;
      await master.kill();
      return async () => {
        while ((await mastersOf(cluster)).length < before) await sleep(50);
        await clusterWorks(cluster);
      };
    },
    awayMs: 1_000,
    // node-redis waits for the dead server, until the store connects another client.
    backMs: 4_000,
    isPartial: true,
    mayLose: true,
  },
  "all masters that restart": {
    begin: restarts(({ cluster }) => mastersOf(cluster)),
    awayMs: 800,
    settings: [...NO_FAILOVER, ...KEPT],
  },
  "all servers that restart": {
    begin: restarts(({ cluster }) => cluster.servers),
    awayMs: 800,
    settings: [...NO_FAILOVER, ...KEPT],
  },
  "all servers that restart without data": {
    begin: restarts(({ cluster }) => cluster.servers),
    awayMs: 800,
    mayLose: true,
    settings: NO_FAILOVER,
  },
  "a slot that moves": {
    async begin({ cluster, slot, master, other }) {
      await moveSlot(cluster, slot, master, other);
      return () => {};
    },
    awayMs: 200,
    isPartial: true,
  },
} satisfies Record<string, Fault>;

/** What each client plays in a run that does not judge times. */
const SHORT: Readonly<Record<ClusterClient, keyof typeof faults>> = {
  ioredis: "one master whose replica takes over",
  iovalkey: "all servers that restart without data",
  "node-redis": "all masters that restart",
  "valkey-glide": "one master that restarts",
};

/** No proxy: servers of a cluster tell clients their own addresses. */
const noProxy = { close: async () => {} } as unknown as FaultProxy;

async function play(test: TestContext, client: ClusterClient, fault: Fault, policy: PolicyInput): Promise<void> {
  await leavesNothing(test, async () => {
    const cluster = await startCluster(...(fault.settings ?? []));
    const closings: (() => unknown)[] = [];
    try {
      const instances: Instance[] = [];
      for (let i = 0; i < INSTANCES; i++) {
        const { instance, close } = await openOn(cluster, client, policy);
        closings.push(close);
        for (const session of ["a", "b", "c"]) {
          await instance.limiter.consume({ tool: "warm-up", session: `${session}-${i}` });
        }
        instances.push(instance);
      }
      const scene = await sceneOf(cluster);
      await playFault(test, instances, { ...fault, begin: () => fault.begin(scene), afterMs: AFTER_MS });
    } finally {
      await Promise.all(closings.map((close) => close()));
      await Promise.all(cluster.servers.map((server) => server.kill()));
    }
  });
}

async function openOn({ addresses }: RedisCluster, name: ClusterClient, policy: PolicyInput) {
  const { client, close } = await connectToCluster(name, { addresses, reconnectMs: RECONNECT_MS });
  const instance = openInstance(noProxy, redisStore(client), policy, { instances: INSTANCES });
  return { instance, close: () => instance.limiter.close().then(close) };
}

describe("servers of a cluster go away", ownServers, () => {
  for (const client of CLUSTER_CLIENTS) {
    for (const [name, fault] of Object.entries(faults)) {
      if (!isStrict && name !== SHORT[client]) continue;
      for (const [which, policy] of Object.entries(POLICIES)) {
        // A single shard is the simpler case: one client shows it.
        if (which === "one shard" && (client !== "ioredis" || !isStrict)) continue;
        it(`${name}, with calls over ${which}, by ${client}`, (test) => play(test, client, fault, policy));
      }
    }
  }
});

// What instances share in tests of outages: one server, or a cluster. Each instance has proxies of its own in front of all servers.

import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { Store } from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { type Address, type ClusterClient, connectToCluster } from "../cluster-clients.ts";
import { type RedisCluster, startCluster } from "../redis-cluster.ts";
import { type RedisServer, startRedis } from "../servers.ts";
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";
import { proxyGroup } from "./proxy-group.ts";

/** How an instance reaches the servers. */
export interface Access {
  readonly store: Store;
  /** What is done to it is done to the connections of this instance to all servers. */
  readonly proxy: FaultProxy;
  /** Ends the client. The proxy stays, as an instance's network does. */
  disconnect(): unknown;
}

export interface Home {
  readonly servers: readonly RedisServer[];
  /** @param turn instances have the clients by turns */
  connect(turn: number): Promise<Access>;
  /** Waits until the servers that run take calls. */
  works(): Promise<void>;
}

const HOST = "127.0.0.1";
/** How soon clients connect again. */
export const RECONNECT_MS = 50;
const WORKS_WITHIN_MS = 20_000;
/** valkey-glide cannot be told of proxies. */
const CLIENTS: readonly ClusterClient[] = ["ioredis", "node-redis", "iovalkey"];

const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings) await end();
});

/** By the name of the home; with settings of its servers. */
export const HOMES: Readonly<Record<string, (...settings: string[]) => Promise<Home>>> = {
  "one server": async (...settings) => ofServer(await startRedis(...settings)),
  // No server is given up for dead while it is away: its replica may be behind.
  "a cluster": async (...settings) => ofCluster(await startCluster("--cluster-node-timeout", "30000", ...settings)),
};

function ofServer(server: RedisServer): Home {
  return {
    servers: [server],
    async connect(turn) {
      const proxy = await startFaultProxy(server.port);
      // Every other client sends again what was not answered when its connection broke, as ioredis does by itself.
      const autoResendUnfulfilledCommands = turn % 2 === 0;
      const client = new Redis(proxy.port, HOST, { retryStrategy: () => RECONNECT_MS, autoResendUnfulfilledCommands });
      client.on("error", () => {});
      const disconnect = () => client.disconnect();
      endings.push(disconnect);
      return { store: redisStore(client), proxy, disconnect };
    },
    async works() {},
  };
}

function ofCluster(cluster: RedisCluster): Home {
  const { servers } = cluster;
  return {
    servers,
    async connect(turn) {
      const proxies = await Promise.all(servers.map(({ port }) => startFaultProxy(port)));
      const addresses = proxies.map(({ port }) => ({ host: HOST, port }));
      const natMap = Object.fromEntries(
        servers.map(({ port }, i) => [`${HOST}:${port}`, addresses[i] as Address] as const),
      );
      const name = CLIENTS[turn % CLIENTS.length] as ClusterClient;
      const { client, close } = await connectToCluster(name, { addresses, natMap, reconnectMs: RECONNECT_MS });
      let isOpen = true;
      const disconnect = () => {
        if (isOpen) close();
        isOpen = false;
      };
      endings.push(disconnect);
      return { store: redisStore(client), proxy: proxyGroup(proxies), disconnect };
    },
    works: () => clusterWorks(cluster),
  };
}

/** What a server answers; "" while it does not run. Not by redis-cli: to start a program, this process stands still. */
async function answerOf({ port }: RedisServer, command: string, ...args: string[]): Promise<string> {
  const client = new Redis(port, HOST, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 500 });
  client.on("error", () => {});
  try {
    await client.connect();
    return String(await client.call(command, ...args));
  } catch {
    return "";
  } finally {
    client.disconnect();
  }
}

/** The masters that run. */
export async function mastersOf({ servers }: RedisCluster): Promise<RedisServer[]> {
  const answers = await Promise.all(servers.map((server) => answerOf(server, "INFO", "replication")));
  return servers.filter((_, i) => answers[i]?.includes("role:master"));
}

/** Waits until the servers of a cluster that run say that it works: one that has been started does not for two seconds. */
export async function clusterWorks({ servers }: RedisCluster): Promise<void> {
  for (const endsAtMs = performance.now() + WORKS_WITHIN_MS; performance.now() < endsAtMs; await sleep(50)) {
    const answers = await Promise.all(servers.map((server) => answerOf(server, "CLUSTER", "INFO")));
    if (answers.every((answer) => answer === "" || answer.includes("cluster_state:ok"))) return;
  }
  throw new Error("the cluster does not work");
}

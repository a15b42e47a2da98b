// Each client for a Redis Cluster, connected to one of the tests' own.

import { after } from "node:test";
import { GlideClusterClient, Logger } from "@valkey/valkey-glide";
import { Cluster } from "ioredis";
import { Cluster as ValkeyCluster } from "iovalkey";
import { createCluster } from "redis";
import type { RedisClient } from "tollgate/stores/redis";

export const CLUSTER_CLIENTS = ["ioredis", "iovalkey", "node-redis", "valkey-glide"] as const;
export type ClusterClient = (typeof CLUSTER_CLIENTS)[number];

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A client that is connected, and how it is closed. */
export interface ConnectedClient {
  readonly client: RedisClient;
  close(): unknown;
}

/** How clients find a cluster. */
export interface ClusterAccess {
  readonly addresses: readonly Address[];
  /** With it, clients connect by TLS, and trust the servers' certificates that this authority has signed. */
  readonly ca?: string | undefined;
  /** Where clients connect to instead of a server's own address, `host:port`. valkey-glide cannot. */
  readonly natMap?: Readonly<Record<string, Address>>;
  /** Clients connect again within this time, in place of their defaults of up to 2 s. */
  readonly reconnectMs?: number;
}

// It writes of every connection that ends.
Logger.init("off");

const ignore = () => {};

/** How long a client that connects again quickly waits for a server that does not answer. */
const CONNECT_MS = 500;

/** None of them repeats a command whose answer was lost. */
const CONNECT: Readonly<Record<ClusterClient, (access: ClusterAccess) => Promise<ConnectedClient> | ConnectedClient>> =
  {
    ioredis: (access) => ofIoRedis(new Cluster([...access.addresses], ioRedisOptions(access))),
    iovalkey: (access) => ofIoRedis(new ValkeyCluster([...access.addresses], ioRedisOptions(access))),

    async "node-redis"({ addresses, ca, natMap, reconnectMs }) {
      const scheme = ca === undefined ? "redis" : "rediss";
      const tls = ca === undefined ? {} : { tls: true, ca };
      const quick = reconnectMs === undefined ? {} : { reconnectStrategy: reconnectMs, connectTimeout: CONNECT_MS };
      const client = createCluster({
        rootNodes: addresses.map(({ host, port }) => ({ url: `${scheme}://${host}:${port}` })),
        defaults: { socket: { ...tls, ...quick } },
        ...(natMap === undefined ? {} : { nodeAddressMap: natMap }),
      });
      await client.on("error", ignore).connect();
      return { client, close: () => client.destroy() };
    },

    async "valkey-glide"({ addresses, ca, reconnectMs }) {
      const client = await GlideClusterClient.createClient({
        addresses: [...addresses],
        // Its own deadline of 250 ms is short for a machine that is busy with other tests.
        requestTimeout: 5_000,
        ...(reconnectMs === undefined
          ? {}
          : { connectionBackoff: { numberOfRetries: 1, factor: reconnectMs, exponentBase: 1 } }),
        ...(ca === undefined
          ? {}
          : { useTLS: true, advancedConfiguration: { tlsAdvancedConfiguration: { rootCertificates: ca } } }),
      });
      return { client, close: () => client.close() };
    },
  };

function ioRedisOptions({ ca, natMap, reconnectMs }: ClusterAccess) {
  const isQuick = reconnectMs !== undefined;
  const redisOptions = {
    autoResendUnfulfilledCommands: false,
    ...(ca === undefined ? {} : { tls: { ca } }),
    ...(isQuick ? { connectTimeout: CONNECT_MS } : {}),
  };
  return {
    retryDelayOnFailover: 0,
    redisOptions,
    ...(natMap === undefined ? {} : { natMap: { ...natMap } }),
    ...(isQuick ? { clusterRetryStrategy: () => reconnectMs } : {}),
  };
}

function ofIoRedis(client: Cluster | ValkeyCluster): ConnectedClient {
  client.on("error", ignore);
  return { client: client as RedisClient, close: () => client.disconnect() };
}

/** Connects a client, which the caller closes. */
export async function connectToCluster(name: ClusterClient, access: ClusterAccess): Promise<ConnectedClient> {
  return CONNECT[name](access);
}

/** All of them, closed with the test file. */
export async function clientsOfCluster(access: ClusterAccess): Promise<Record<ClusterClient, RedisClient>> {
  const connected = await Promise.all(
    CLUSTER_CLIENTS.map(async (name) => {
      const { client, close } = await connectToCluster(name, access);
      after(close);
      return [name, client] as const;
    }),
  );
  return Object.fromEntries(connected) as Record<ClusterClient, RedisClient>;
}

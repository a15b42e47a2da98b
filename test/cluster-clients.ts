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
}

// It writes of every connection that ends.
Logger.init("off");

const ignore = () => {};

/** None of them repeats a command whose answer was lost. */
const CONNECT: Readonly<Record<ClusterClient, (access: ClusterAccess) => Promise<ConnectedClient> | ConnectedClient>> =
  {
    ioredis: (access) => ofIoRedis(new Cluster([...access.addresses], ioRedisOptions(access))),
    iovalkey: (access) => ofIoRedis(new ValkeyCluster([...access.addresses], ioRedisOptions(access))),

    async "node-redis"({ addresses, ca }) {
      const scheme = ca === undefined ? "redis" : "rediss";
      const client = createCluster({
        rootNodes: addresses.map(({ host, port }) => ({ url: `${scheme}://${host}:${port}` })),
        ...(ca === undefined ? {} : { defaults: { socket: { tls: true, ca } } }),
      });
      await client.on("error", ignore).connect();
      return { client, close: () => client.destroy() };
    },

    async "valkey-glide"({ addresses, ca }) {
      const client = await GlideClusterClient.createClient({
        addresses: [...addresses],
        // Its own deadline of 250 ms is short for a machine that is busy with other tests.
        requestTimeout: 5_000,
        ...(ca === undefined
          ? {}
          : { useTLS: true, advancedConfiguration: { tlsAdvancedConfiguration: { rootCertificates: ca } } }),
      });
      return { client, close: () => client.close() };
    },
  };

function ioRedisOptions({ ca }: ClusterAccess) {
  const redisOptions = { autoResendUnfulfilledCommands: false, ...(ca === undefined ? {} : { tls: { ca } }) };
  return { retryDelayOnFailover: 0, redisOptions };
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

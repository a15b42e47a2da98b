// One more client with the settings of the user's client: the store makes it, and ends it.

import { connectionOf, type RedisClient } from "./client.ts";

/** How long a new client may take until it has an answer, ms. */
export const OPEN_MS = 2_000;

export interface Spare {
  /** Resolves when it can send commands. */
  readonly opened: Promise<RedisClient>;
  /** Ends it, also while it connects. */
  close(): void;
}

/** A function that makes spares of a client; `null` where the client cannot be copied. */
export function spareMaker(client: RedisClient): (() => Spare) | null {
  const { kind, family } = connectionOf(client);
  // Older versions of valkey-glide do not know what they were made with.
  if (family === "glide") return "config" in client ? () => glideSpare(client as unknown as Glide) : null;
  if (!("duplicate" in client)) return null;
  if (family === "ioredis") return () => ioredisSpare(client as unknown as IoRedis);
  return () => nodeRedisSpare(client as unknown as NodeRedis, kind === "node-redis");
}

/** A spare does not reconnect: the store makes another one. */
const IOREDIS = {
  lazyConnect: true,
  connectTimeout: OPEN_MS,
  disconnectTimeout: 100,
  // Without it, the client waits for the first Sentinel that gives no answers.
  sentinelCommandTimeout: OPEN_MS / 4,
  retryStrategy: null,
  reconnectOnError: null,
};

interface IoRedis {
  readonly isCluster?: boolean;
  readonly options?: { readonly redisOptions?: object };
  duplicate(...overrides: unknown[]): IoRedis;
  on(event: "error", listener: () => void): unknown;
  connect(): Promise<unknown>;
  disconnect(): void;
}

function ioredisSpare(client: IoRedis): Spare {
  const { lazyConnect, connectTimeout, disconnectTimeout } = IOREDIS;
  const spare =
    client.isCluster === true
      ? client.duplicate([], {
          lazyConnect,
          clusterRetryStrategy: null,
          // Some versions do not merge them: the user's have the password and TLS.
          redisOptions: { ...client.options?.redisOptions, connectTimeout, disconnectTimeout },
        })
      : client.duplicate(IOREDIS);
  spare.on("error", () => {});
  return {
    opened: spare.connect().then(() => spare as unknown as RedisClient),
    close: () => spare.disconnect(),
  };
}

interface NodeRedis {
  readonly options?: { readonly socket?: object };
  duplicate(overrides?: object): NodeRedis;
  on(event: "error", listener: () => void): unknown;
  connect(): Promise<unknown>;
  destroy(): unknown;
}

/** @param isOneServer clusters and Sentinels keep their options to themselves, and connect to their nodes as they do */
function nodeRedisSpare(client: NodeRedis, isOneServer: boolean): Spare {
  const socket = { ...client.options?.socket, connectTimeout: OPEN_MS, reconnectStrategy: false };
  // A cache would be shared with the user's client, and emptied when this one ends.
  const spare = isOneServer ? client.duplicate({ socket, clientSideCache: undefined }) : client.duplicate();
  spare.on("error", () => {});
  const opened = spare.connect().then(() => spare as unknown as RedisClient);
  const end = async () => {
    try {
      await spare.destroy();
    } catch {
      // A client that is closed already throws.
    }
  };
  return {
    opened,
    close() {
      void end();
      // A client that is ended while it connects still connects.
      void opened.then(end, () => {});
    },
  };
}

interface Glide {
  /** What it was made with. */
  readonly config: object;
  readonly constructor: { createClient(config: object): Promise<RedisClient & { close(): void }> };
}

function glideSpare(client: Glide): Spare {
  // Messages of the user's subscriptions would come twice.
  const opened = client.constructor.createClient({ ...client.config, pubsubSubscriptions: undefined });
  return { opened, close: () => void opened.then((spare) => spare.close()).catch(() => {}) };
}

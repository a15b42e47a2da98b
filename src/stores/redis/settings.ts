// Settings of a user's client that do harm, or are missing. The store helps itself by a client of its own (route.ts); the rest
// of a program does not.

import type { SetupCheck } from "../../store/store.ts";
import type { IoRedisClient, RedisClient } from "./client.ts";

/** What is wrong with a client's settings. Those of valkey-glide and of node-redis' Sentinel are not visible. */
export function clientCheck(client: RedisClient): SetupCheck {
  const [value, problems] = problemsOf(client);
  return { name: "client", value, problem: problems.length === 0 ? null : problems.join("; ") };
}

function problemsOf(client: RedisClient): readonly [kind: string, problems: readonly string[]] {
  if ("customCommand" in client) return ["valkey-glide", []];
  if ("call" in client) return client.isCluster === true ? ioredisCluster(client) : ioredis(client);
  if ("masters" in client) return ["node-redis, a cluster", []];
  if ("getMasterNode" in client) return ["node-redis, by Sentinel", []];
  return ["node-redis", nodeRedis(client)];
}

const READONLY = new Error("READONLY You can't write against a read only replica.");
const NO_SOCKET_TIMEOUT = "it keeps a connection that gives no answers: set socketTimeout to 5000";

function ioredis({ options = {} }: IoRedisClient): readonly [kind: string, problems: readonly string[]] {
  const { reconnectOnError, retryStrategy, socketTimeout, sentinels, sentinelCommandTimeout } =
    options as IoRedisOptions;
  const problems = [
    leaves(reconnectOnError)
      ? null
      : 'it stays with a server that has become a replica: set reconnectOnError to (error) => error.message.startsWith("READONLY")',
    typeof socketTimeout === "number" ? null : NO_SOCKET_TIMEOUT,
    Array.isArray(sentinels) && typeof sentinelCommandTimeout !== "number"
      ? "it waits for a Sentinel that gives no answers, and asks no other: set sentinelCommandTimeout to 500"
      : null,
    typeof retryStrategy === "function" ? null : "it never connects again: leave out retryStrategy",
  ];
  return ["ioredis or iovalkey", problems.filter((problem) => problem !== null)];
}

interface IoRedisOptions {
  readonly reconnectOnError?: unknown;
  readonly retryStrategy?: unknown;
  readonly socketTimeout?: unknown;
  readonly sentinels?: unknown;
  readonly sentinelCommandTimeout?: unknown;
}

/** It may be any function, so it is asked. */
function leaves(reconnectOnError: unknown): boolean {
  try {
    return typeof reconnectOnError === "function" && Boolean(reconnectOnError(READONLY));
  } catch {
    return false;
  }
}

function ioredisCluster(client: IoRedisClient): readonly [kind: string, problems: readonly string[]] {
  const { socketTimeout } = (client.options?.redisOptions ?? {}) as IoRedisOptions;
  const problems = [
    sendsAgain(client)
      ? "a call may be charged twice when a connection breaks: set redisOptions.autoResendUnfulfilledCommands to false, and retryDelayOnFailover to 0"
      : null,
    typeof socketTimeout === "number" ? null : NO_SOCKET_TIMEOUT.replace("socketTimeout", "redisOptions.socketTimeout"),
  ];
  return ["ioredis or iovalkey, a cluster", problems.filter((problem) => problem !== null)];
}

/** Commands whose answer was lost with a connection. Elsewhere receipts see to it that they are charged once. */
function sendsAgain({ options = {} }: IoRedisClient): boolean {
  // A cluster's client has another way to do so, which it has for commands whose server is gone.
  return (
    (options.redisOptions ?? options).autoResendUnfulfilledCommands !== false || options.retryDelayOnFailover !== 0
  );
}

function nodeRedis(client: object): readonly string[] {
  const { options } = client as { readonly options?: { readonly socket?: NodeRedisSocket } };
  const { reconnectStrategy, socketTimeout } = options?.socket ?? {};
  const problems = [
    reconnectStrategy === false ? "it never connects again: leave out socket.reconnectStrategy" : null,
    reconnectStrategy === undefined && typeof socketTimeout === "number"
      ? "it ends for good when nothing is sent for socketTimeout: leave out socket.socketTimeout, or set socket.reconnectStrategy, too"
      : null,
  ];
  return problems.filter((problem) => problem !== null);
}

interface NodeRedisSocket {
  readonly reconnectStrategy?: unknown;
  readonly socketTimeout?: unknown;
}

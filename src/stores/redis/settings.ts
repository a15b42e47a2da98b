// Settings of a user's client that do harm, or are missing. The store helps itself by a client of its own (route.ts); the rest
// of a program does not.

import type { SetupCheck } from "../../store/store.ts";
import { type ClientKind, connectionOf, type IoRedisClient, type RedisClient } from "./client.ts";

/** What is wrong with a client's settings. Those of valkey-glide and of node-redis' Sentinel are not visible. */
export function clientCheck(client: RedisClient): SetupCheck {
  const { kind } = connectionOf(client);
  const problems = (PROBLEMS[kind]?.(client as IoRedisClient & NodeRedis) ?? []).filter((problem) => problem !== null);
  return { name: "client", value: kind, problem: problems.length === 0 ? null : problems.join("; ") };
}

const PROBLEMS: Partial<Record<ClientKind, (client: IoRedisClient & NodeRedis) => readonly (string | null)[]>> = {
  "ioredis or iovalkey": ioredisProblems,
  "ioredis or iovalkey, a cluster": ioredisClusterProblems,
  "node-redis": nodeRedisProblems,
};

const READONLY = new Error("READONLY You can't write against a read only replica.");

function ioredisProblems({ options = {} }: IoRedisClient): readonly (string | null)[] {
  const { reconnectOnError, retryStrategy, socketTimeout, sentinels, sentinelCommandTimeout } =
    options as IoRedisOptions;
  const problems = [
    reconnectsOnReadonly(reconnectOnError)
      ? null
      : 'it stays with a server that has become a replica: set reconnectOnError to (error) => error.message.startsWith("READONLY")',
    typeof socketTimeout === "number" ? null : "it keeps a connection that gives no answers: set socketTimeout to 5000",
    Array.isArray(sentinels) && typeof sentinelCommandTimeout !== "number"
      ? "it waits for a Sentinel that gives no answers, and asks no other: set sentinelCommandTimeout to 500"
      : null,
    typeof retryStrategy === "function" ? null : "it never connects again: leave out retryStrategy",
  ];
  return problems;
}

interface IoRedisOptions {
  readonly reconnectOnError?: unknown;
  readonly retryStrategy?: unknown;
  readonly socketTimeout?: unknown;
  readonly sentinels?: unknown;
  readonly sentinelCommandTimeout?: unknown;
}

/** It may be any function, so it is asked. */
function reconnectsOnReadonly(reconnectOnError: unknown): boolean {
  try {
    return typeof reconnectOnError === "function" && Boolean(reconnectOnError(READONLY));
  } catch {
    return false;
  }
}

function ioredisClusterProblems(client: IoRedisClient): readonly (string | null)[] {
  const { socketTimeout } = (client.options?.redisOptions ?? {}) as IoRedisOptions;
  const problems = [
    sendsAgain(client)
      ? "a call may be charged twice when a connection breaks: set redisOptions.autoResendUnfulfilledCommands to false, and retryDelayOnFailover to 0"
      : null,
    typeof socketTimeout === "number"
      ? null
      : "it keeps a connection that gives no answers: set redisOptions.socketTimeout to 5000",
  ];
  return problems;
}

/** Commands whose answer was lost with a connection. Elsewhere receipts see to it that they are charged once. */
function sendsAgain({ options = {} }: IoRedisClient): boolean {
  // A cluster's client has another way to do so, which it has for commands whose server is gone.
  return (
    (options.redisOptions ?? options).autoResendUnfulfilledCommands !== false || options.retryDelayOnFailover !== 0
  );
}

function nodeRedisProblems({ options }: NodeRedis): readonly (string | null)[] {
  const { reconnectStrategy, socketTimeout } = options?.socket ?? {};
  const problems = [
    reconnectStrategy === false ? "it never connects again: leave out socket.reconnectStrategy" : null,
    reconnectStrategy === undefined && typeof socketTimeout === "number"
      ? "it ends for good when nothing is sent for socketTimeout: leave out socket.socketTimeout, or set socket.reconnectStrategy, too"
      : null,
  ];
  return problems;
}

interface NodeRedis {
  readonly options?: { readonly socket?: { readonly reconnectStrategy?: unknown; readonly socketTimeout?: unknown } };
}

// Settings of a user's client that do harm, or are missing. The store helps itself by a client of its own (route.ts); the rest
// of a program does not.

import type { SetupCheck } from "../../store/store.ts";
import { type ClientKind, connectionOf, type RedisClient } from "./client.ts";

/** What is wrong with a client's settings. Those of valkey-glide and of node-redis' Sentinel are not visible. */
export function clientCheck(client: RedisClient): SetupCheck {
  const { kind } = connectionOf(client);
  const { options = {} } = client as { readonly options?: ClientOptions };
  const problems = (PROBLEMS[kind]?.(options) ?? []).filter((problem) => problem !== null);
  return { name: "client", value: kind, problem: problems.length === 0 ? null : problems.join("; ") };
}

/** The options of ioredis, of its clusters and of node-redis, as far as they matter here. */
interface ClientOptions {
  readonly reconnectOnError?: unknown;
  readonly retryStrategy?: unknown;
  readonly socketTimeout?: unknown;
  readonly sentinels?: unknown;
  readonly sentinelCommandTimeout?: unknown;
  readonly autoResendUnfulfilledCommands?: unknown;
  readonly retryDelayOnFailover?: unknown;
  readonly redisOptions?: ClientOptions;
  readonly socket?: { readonly reconnectStrategy?: unknown; readonly socketTimeout?: unknown };
}

type Problems = readonly (string | null)[];

const PROBLEMS: Partial<Record<ClientKind, (options: ClientOptions) => Problems>> = {
  "ioredis or iovalkey": ioredisProblems,
  "ioredis or iovalkey, a cluster": ioredisClusterProblems,
  "node-redis": nodeRedisProblems,
};

function ioredisProblems(options: ClientOptions): Problems {
  const problems = [
    reconnectsOnReadonly(options.reconnectOnError)
      ? null
      : 'it stays with a server that has become a replica: set reconnectOnError to (error) => error.message.startsWith("READONLY")',
    typeof options.socketTimeout === "number"
      ? null
      : "it keeps a connection that gives no answers: set socketTimeout to 5000",
    Array.isArray(options.sentinels) && typeof options.sentinelCommandTimeout !== "number"
      ? "it waits for a Sentinel that gives no answers, and asks no other: set sentinelCommandTimeout to 500"
      : null,
    typeof options.retryStrategy === "function" ? null : "it never connects again: leave out retryStrategy",
  ];
  return problems;
}

const READONLY = new Error("READONLY You can't write against a read only replica.");

/** It may be any function, so it is asked. */
function reconnectsOnReadonly(reconnectOnError: unknown): boolean {
  try {
    return typeof reconnectOnError === "function" && Boolean(reconnectOnError(READONLY));
  } catch {
    return false;
  }
}

function ioredisClusterProblems(options: ClientOptions): Problems {
  const problems = [
    sendsAgain(options)
      ? "with failover: false, a call may be charged or given back twice when a connection breaks: set redisOptions.autoResendUnfulfilledCommands to false, and retryDelayOnFailover to 0"
      : null,
    typeof options.redisOptions?.socketTimeout === "number"
      ? null
      : "it keeps a connection that gives no answers: set redisOptions.socketTimeout to 5000",
  ];
  return problems;
}

/** Commands whose answer was lost with a connection. Receipts see to it that charges are booked once; what is given back has none. */
function sendsAgain(options: ClientOptions): boolean {
  // A cluster's client has another way to do so, which it has for commands whose server is gone.
  return (
    (options.redisOptions ?? options).autoResendUnfulfilledCommands !== false || options.retryDelayOnFailover !== 0
  );
}

function nodeRedisProblems({ socket = {} }: ClientOptions): Problems {
  const problems = [
    socket.reconnectStrategy === false ? "it never connects again: leave out socket.reconnectStrategy" : null,
    socket.reconnectStrategy === undefined && typeof socket.socketTimeout === "number"
      ? "it ends for good when nothing is sent for socketTimeout: leave out socket.socketTimeout, or set socket.reconnectStrategy, too"
      : null,
  ];
  return problems;
}

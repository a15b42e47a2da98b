// A Redis by its URL, one server, a cluster, or one that Sentinels name: the client that the command line makes for it, and
// therefore closes. ioredis is an optional peer, so it is imported when a URL asks for it.

import type { Cluster, Redis } from "ioredis";
import { monotonicClock, pauseAfter, setTimer } from "../clock.ts";
import { within } from "../deadlines.ts";
import { redisError, saysUnfit } from "../stores/redis/errors.ts";
import { eventsOf } from "../stores/redis/client-events.ts";
import type { RedisClient } from "../stores/redis.ts";
import { emitRefusals, type Host, refusalOf } from "./redis-refusal.ts";
import { importPeer, labelledError, type OpenClient } from "./store-client.ts";

/** How long a server may take to connect and to answer for the first time. */
const CONNECT_MS = 2_000;
/** How long any later answer may take. A connection without an answer for so long is ended. */
export const ANSWER_MS = 5_000;
/** After so long without traffic the operating system asks whether a connection is still there. */
const KEEP_ALIVE_MS = 10_000;
/** How long a Sentinel may take until the next one is asked: a part of CONNECT_MS. */
const SENTINEL_MS = 500;
/** How long a server may take to answer QUIT. */
const QUIT_MS = 1_000;
/** Longest pause until a lasting client connects again. */
const RECONNECT_MS_MAX = 500;

/** What a Redis URL says. */
export interface RedisAddress {
  readonly kind: "server" | "cluster" | "sentinel";
  /** One server; some of a cluster; the Sentinels. */
  readonly hosts: readonly [Host, ...Host[]];
  /** What the Sentinels call the server; else empty. */
  readonly name: string;
  readonly username: string;
  readonly password: string;
  readonly db: number;
  readonly isTls: boolean;
  /** The URL without user and password. */
  readonly label: string;
}

/**
 * Reads `redis://[user:password@]host[:port][/db]`, `redis+cluster://[…@]host:port,…`, or
 * `redis+sentinel://[…@]host:port,…/name[/db]`, each with `rediss` for TLS; `null` when it is none of them.
 */
export function parseRedisUrl(text: string): RedisAddress | null {
  const several =
    /^(rediss?)\+(cluster|sentinel):\/\/(?:([^@/]*)@)?([^@/?#]+)(?:\/([\w.-]+))?(?:\/(\d{1,4}))?\/?$/.exec(text);
  return several === null ? parseServer(text) : parseSeveral(several);
}

/** Each host is read as that of a server is. */
function parseSeveral([, scheme, kind, user, list = "", name = "", db = ""]: RegExpExecArray): RedisAddress | null {
  const servers = list
    .split(",")
    .map((host) => (kind === "sentinel" && !/:\d+$/.test(host) ? `${host}:26379` : host))
    .map((host) => parseServer(`${scheme}://${user === undefined ? "" : `${user}@`}${host}`));
  const [server] = servers;
  const [first, ...others] = servers.flatMap((each) => each?.hosts ?? []);
  if (!server || first === undefined || others.length + 1 !== servers.length) return null;
  if ((kind === "cluster") !== (name === "") || (kind === "cluster" && db !== "")) return null;
  const path = [name, db].filter((part) => part !== "").map((part) => `/${part}`);
  const label = `${scheme}+${kind}://${list}${path.join("")}`;
  return {
    ...server,
    kind: kind === "cluster" ? "cluster" : "sentinel",
    hosts: [first, ...others],
    name,
    db: Number(db),
    label,
  };
}

function parseServer(text: string): RedisAddress | null {
  const url = URL.parse(text);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === "") return null;
  const db = /^\/?(\d{0,4})$/.exec(url.pathname)?.[1];
  if (db === undefined || url.search !== "" || url.hash !== "") return null;
  try {
    return {
      kind: "server",
      hosts: [{ host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: url.port === "" ? 6379 : Number(url.port) }],
      name: "",
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      db: Number(db),
      isTls: url.protocol === "rediss:",
      label: `${url.protocol}//${url.host}${url.pathname}`,
    };
  } catch {
    return null;
  }
}

/**
 * A client whose server has answered. It never connects again: a command whose connection is lost is to end.
 *
 * @throws StoreError when the server cannot be reached, or lets this user not in
 * @throws MisuseError when ioredis is not installed
 */
export async function connectRedis(address: RedisAddress): Promise<OpenClient<RedisClient>> {
  const client = await clientOf(address, () => null);
  const fault = eventsOf(client).lastFault;
  // The client emits the reason; its promises only reject with a closed connection.
  const reasons: Error[] = [];
  client.on("error", (error: Error) => reasons.push(error));
  // connectTimeout is for the socket alone: this one is for a server that accepts and does not answer.
  const deadline = setTimer(monotonicClock, CONNECT_MS, () => {
    reasons.push(new Error(`no answer within ${CONNECT_MS} ms`));
    client.disconnect();
  });
  try {
    await client.connect();
    await client.ping();
    // Only the event reports a database that does not exist.
    if (reasons[0] !== undefined) throw reasons[0];
  } catch (error) {
    client.disconnect();
    const refusal = address.kind === "server" ? undefined : await refusalOf(address.hosts, address.isTls);
    const reason = reasons[0] ?? error;
    throw labelledError(address.label, redisError(reason, refusal ?? fault()), reason);
  } finally {
    deadline.cancel();
  }
  return { client, close: () => quit(client) };
}

/**
 * A client that connects again and again, also when the server is not there yet. Commands fail at once meanwhile.
 *
 * @throws MisuseError when ioredis is not installed
 */
export async function keepRedis(address: RedisAddress): Promise<OpenClient<RedisClient>> {
  const client = await clientOf(address, (tries) => pauseAfter(tries - 1, 50, RECONNECT_MS_MAX));
  // The errors of calls have the same reason.
  client.on("error", () => {});
  if (address.kind !== "server") emitRefusals(client, address.hosts, address.isTls);
  client.connect().catch(() => {});
  return { client, close: () => quit(client) };
}

async function quit(client: Redis | Cluster): Promise<void> {
  await within(QUIT_MS, client.quit()).catch(() => {});
  // A server, or a proxy before it, may keep the connection although it has answered QUIT.
  client.disconnect();
}

/** @param retryMs how long after its nth failure it connects again; `null` for never */
async function clientOf(address: RedisAddress, retryMs: (tries: number) => number | null): Promise<Redis | Cluster> {
  const { kind, hosts, name, username, password, db, isTls } = address;
  const ioredis = await importPeer(() => import("ioredis"), "ioredis", "Redis");
  const options = {
    db,
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    ...(isTls ? { tls: {} } : {}),
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    commandTimeout: ANSWER_MS,
    socketTimeout: ANSWER_MS,
    keepAlive: KEEP_ALIVE_MS,
    disconnectTimeout: 100,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
  } as const;
  if (kind === "cluster") {
    return new ioredis.Cluster([...hosts], {
      redisOptions: options,
      lazyConnect: true,
      // Else it stays away from a cluster of which one slot has no server, and nothing says why.
      enableReadyCheck: false,
      // A certificate is for a name, so names are not replaced by addresses.
      ...(isTls ? { dnsLookup: (name, done) => done(null, name) } : {}),
      clusterRetryStrategy: retryMs,
      retryDelayOnFailover: 0,
    });
  }
  const single = { ...options, retryStrategy: retryMs, reconnectOnError: saysUnfit };
  return kind === "sentinel"
    ? new ioredis.Redis({
        ...single,
        sentinels: [...hosts],
        name,
        sentinelRetryStrategy: retryMs,
        sentinelCommandTimeout: SENTINEL_MS,
      })
    : new ioredis.Redis({ ...single, ...hosts[0] });
}

// Tells clients apart by their shape, so that the rest of the store just sends commands.

import { formatGot, MisuseError } from "../../kernel/errors.ts";

/** ioredis, iovalkey: one server, also one that Sentinel names, or a cluster. */
export interface IoRedisClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  readonly isCluster?: boolean;
  readonly options?: object;
}

/** node-redis: the server that Sentinel names. */
export interface NodeRedisSentinel {
  sendCommand(isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
  getMasterNode(): unknown;
}

/** node-redis: one server. */
export interface NodeRedisClient {
  sendCommand(args: string[]): Promise<unknown>;
  readonly isOpen: boolean;
}

/** node-redis: a cluster. */
export interface NodeRedisCluster {
  sendCommand(firstKey: string | undefined, isReadonly: boolean | undefined, args: string[]): Promise<unknown>;
  readonly masters: readonly unknown[];
}

/** valkey-glide: one server or a cluster. */
export interface GlideClient {
  customCommand(args: string[]): Promise<unknown>;
}

/** A client that the Redis store takes. */
export type RedisClient = IoRedisClient | NodeRedisClient | NodeRedisSentinel | NodeRedisCluster | GlideClient;

/** Sends one command: to where a key is, or to any server. */
export type Send = (key: string | undefined, command: string, ...args: (string | number)[]) => Promise<unknown>;

/** Which client it is. The names are those of the setup check. */
export type ClientKind =
  | "valkey-glide"
  | "valkey-glide, a cluster"
  | "ioredis or iovalkey"
  | "ioredis or iovalkey, a cluster"
  | "node-redis"
  | "node-redis, by Sentinel"
  | "node-redis, a cluster";

/** What the store needs of a client. */
export interface Connection {
  readonly kind: ClientKind;
  readonly family: "glide" | "ioredis" | "node-redis";
  readonly send: Send;
  readonly isCluster: boolean;
}

/**
 * How to send commands through a client.
 *
 * @throws MisuseError `unsupported-client`
 */
export function connectionOf(client: RedisClient): Connection {
  if (typeof client === "object" && client !== null) {
    if ("customCommand" in client && typeof client.customCommand === "function") {
      const isCluster = isGlideCluster(client);
      const kind = isCluster ? "valkey-glide, a cluster" : "valkey-glide";
      const turnstile = turnstileOf(client);
      const send: Send = (_, command, ...args) =>
        turnstile.pass(() => client.customCommand([command, ...args.map(String)]));
      return { kind, family: "glide", isCluster, send };
    }
    if ("call" in client && typeof client.call === "function") {
      const isCluster = client.isCluster === true;
      // iovalkey, and older versions of ioredis, find the keys of a command only if its name is in lower case. Otherwise they
      // send it to a random server, are redirected, and read all slots after each command.
      const send: Send = isCluster
        ? (_, command, ...args) => client.call(command.toLowerCase(), ...args)
        : (_, command, ...args) => client.call(command, ...args);
      const kind = isCluster ? "ioredis or iovalkey, a cluster" : "ioredis or iovalkey";
      return { kind, family: "ioredis", isCluster, send };
    }
    if ("masters" in client && typeof client.sendCommand === "function") {
      const send: Send = async (key, command, ...args) =>
        client.sendCommand(key, false, [command, ...args.map(String)]);
      return { kind: "node-redis, a cluster", family: "node-redis", isCluster: true, send };
    }
    if ("getMasterNode" in client && typeof client.sendCommand === "function") {
      const send: Send = async (_, command, ...args) => client.sendCommand(false, [command, ...args.map(String)]);
      return { kind: "node-redis, by Sentinel", family: "node-redis", isCluster: false, send };
    }
    if ("isOpen" in client && typeof client.sendCommand === "function") {
      const send: Send = async (_, command, ...args) => client.sendCommand([command, ...args.map(String)]);
      return { kind: "node-redis", family: "node-redis", isCluster: false, send };
    }
  }
  throw new MisuseError("unsupported-client", {
    path: "client",
    expected:
      "a connected client: new Redis() or new Cluster() from ioredis or iovalkey, createClient(), createSentinel() or createCluster() from redis, or one of valkey-glide",
    got: typeof client === "object" && client !== null ? "an object that is none of them" : formatGot(client),
  });
}

/** Methods that valkey-glide has for clusters alone. The name of its class changes when a program is minified. */
const GLIDE_CLUSTER_METHODS = ["pubsubShardChannels", "fcallWithRoute", "invokeScriptWithRoute"];

function isGlideCluster(client: object): boolean {
  return GLIDE_CLUSTER_METHODS.some((name) => name in client);
}

/** valkey-glide refuses commands while 1,000 are in flight, those of the program included. */
const MAX_IN_FLIGHT_GLIDE = 250;

const turnstileOf = oncePer(() => new Turnstile(MAX_IN_FLIGHT_GLIDE));

/** A function that makes a thing once for each client, so that all stores of the client share it. */
export function oncePer<Thing>(make: (client: object) => Thing): (client: object) => Thing {
  const made = new WeakMap<object, Thing>();
  return (client) => {
    const thing = made.get(client) ?? make(client);
    made.set(client, thing);
    return thing;
  };
}

/** Lets a bounded number of commands through at the same time, in the order in which they come. */
class Turnstile {
  #room: number;
  readonly #waiting: (() => void)[] = [];

  constructor(room: number) {
    this.#room = room;
  }

  async pass<Value>(run: () => Promise<Value>): Promise<Value> {
    if (this.#room > 0) this.#room--;
    else await new Promise<void>((go) => this.#waiting.push(go));
    try {
      return await run();
    } finally {
      this.#leave();
    }
  }

  /** Hands the room to the command that has waited longest. */
  #leave(): void {
    const go = this.#waiting.shift();
    if (go !== undefined) go();
    else this.#room++;
  }
}

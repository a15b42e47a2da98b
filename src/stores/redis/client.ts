// Redis clients by their shape: what is told apart here, so that the rest just sends commands.

import { formatGot, MisuseError } from "../../kernel/errors.ts";

/** ioredis, iovalkey: one server. */
export interface IoRedisClient {
  call(command: string, ...args: (string | number)[]): Promise<unknown>;
  readonly isCluster?: boolean;
  readonly options?: { readonly autoResendUnfulfilledCommands?: boolean | undefined };
}

/** node-redis: one server. */
export interface NodeRedisClient {
  sendCommand(args: string[]): Promise<unknown>;
  readonly isOpen: boolean;
}

/** A client that the Redis store takes. */
export type RedisClient = IoRedisClient | NodeRedisClient;

/** Sends one command. */
export type Send = (command: string, ...args: (string | number)[]) => Promise<unknown>;

/**
 * How to send commands through a client.
 *
 * @throws MisuseError `unknown-client`
 */
export function sendThrough(client: RedisClient): Send {
  const refuse = (got: string) =>
    new MisuseError("unknown-client", {
      path: "client",
      expected: "a connected client of one server: new Redis() from ioredis or iovalkey, or createClient() from redis",
      got,
    });
  if (typeof client !== "object" || client === null) throw refuse(formatGot(client));
  if ("isCluster" in client && client.isCluster === true) throw refuse("a client of a cluster");
  if ("masters" in client) throw refuse("a client of a cluster");
  if ("call" in client && typeof client.call === "function") return (command, ...args) => client.call(command, ...args);
  if ("sendCommand" in client && typeof client.sendCommand === "function" && "isOpen" in client) {
    return (command, ...args) => client.sendCommand([command, ...args.map(String)]);
  }
  throw refuse("an object that is neither");
}

/** Whether a client sends commands again whose answer was lost with a connection: ioredis does, unless told not to. */
export function sendsAgain(client: RedisClient): boolean {
  return "call" in client && client.options?.autoResendUnfulfilledCommands !== false;
}

// Why the servers of a cluster, or Sentinels, cannot be reached: ioredis only says that a connection to one is closed.

import type { EventEmitter } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { monotonicClock } from "../clock.ts";

/** How long a server may take to accept a connection that only asks for the reason. */
const PROBE_MS = 500;
/** How often a client that cannot connect asks for the reason. */
const REST_MS = 5_000;

/** Where a server listens. */
export interface Host {
  readonly host: string;
  readonly port: number;
}

/** The error with which the first of some servers refuses a connection; `undefined` when all accept one. */
export async function refusalOf(hosts: readonly Host[], isTls: boolean): Promise<Error | undefined> {
  for (const each of hosts) {
    const refusal = await refusalBy(each, isTls);
    if (refusal !== undefined) return refusal;
  }
  const [first] = hosts;
  return isTls || first === undefined ? undefined : tlsRefusal(first);
}

async function refusalBy(host: Host, isTls: boolean): Promise<Error | undefined> {
  const refusal = await probe(connect(host), "connect", new Error(`connect ETIMEDOUT ${host.host}:${host.port}`));
  return refusal ?? (isTls ? probe(connectTls(host), "secureConnect", noHandshake(host)) : undefined);
}

/** A server that speaks TLS closes a connection without it, and gives no reason. */
async function tlsRefusal(host: Host): Promise<Error | undefined> {
  const refusal = await probe(connectTls({ ...host, rejectUnauthorized: false }), "secureConnect", noHandshake(host));
  if (refusal !== undefined) return undefined;
  return new Error(`the server at ${host.host}:${host.port} speaks TLS: begin the URL with rediss`);
}

function noHandshake({ host, port }: Host): Error {
  return new Error(`no TLS handshake with ${host}:${port}: begin the URL with redis if the server has no TLS`);
}

function probe(socket: Socket, connected: string, late: Error): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const end = (error?: Error) => {
      socket.destroy();
      resolve(error);
    };
    socket.setTimeout(PROBE_MS, () => end(late));
    socket.once(connected, () => end());
    socket.once("error", end);
  });
}

/** Makes a client that cannot connect emit why. */
export function emitRefusals(client: EventEmitter, hosts: readonly Host[], isTls: boolean): void {
  let restsUntilMs = 0;
  client.on("error", async () => {
    if (monotonicClock.nowMs() < restsUntilMs) return;
    restsUntilMs = monotonicClock.nowMs() + REST_MS;
    const refusal = await refusalOf(hosts, isTls);
    if (refusal !== undefined) client.emit("error", refusal);
  });
}

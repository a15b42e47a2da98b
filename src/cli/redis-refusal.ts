// Why the servers of a cluster, or Sentinels, cannot be reached: ioredis only says that a connection to one is closed.

import type { EventEmitter } from "node:events";
import { connect } from "node:net";
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
export async function refusalOf(hosts: readonly Host[]): Promise<Error | undefined> {
  for (const each of hosts) {
    const refusal = await refusalBy(each);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function refusalBy({ host, port }: Host): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (error?: Error) => {
      socket.destroy();
      resolve(error);
    };
    socket.setTimeout(PROBE_MS, () => end(new Error(`connect ETIMEDOUT ${host}:${port}`)));
    socket.once("connect", () => end());
    socket.once("error", end);
    socket.unref();
  });
}

/** Makes a client that cannot connect emit why. */
export function emitRefusals(client: EventEmitter, hosts: readonly Host[]): void {
  let restsUntilMs = 0;
  client.on("error", async () => {
    if (monotonicClock.nowMs() < restsUntilMs) return;
    restsUntilMs = monotonicClock.nowMs() + REST_MS;
    const refusal = await refusalOf(hosts);
    if (refusal !== undefined) client.emit("error", refusal);
  });
}

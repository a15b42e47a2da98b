// Why a client's connection does not work now. A command fails with the message that there is no connection; clients report the
// reason only by events.

import { errorMonitor } from "node:events";
import { reasonOf } from "../../kernel/reason.ts";
import type { RedisClient } from "./client.ts";

/** The last fault of a client since it was connected; `undefined` while it is, and where its client tells no events. */
export type LastFault = () => Error | undefined;

/** A client that tells events, as ioredis and node-redis do. */
interface Emitter {
  on(event: string | symbol, listener: (fault: unknown, address?: unknown) => void): unknown;
  readonly options?: { readonly host?: unknown; readonly port?: unknown };
}

/** A client that cannot connect says so again and again. One server of a cluster may be gone while the others answer. */
const RECENT_MS = 60_000;

const known = new WeakMap<object, LastFault>();

/** Watches a client, once for all of its stores. It is no listener for errors: what they do to the process stays as it is. */
export function lastFaultOf(client: RedisClient): LastFault {
  const found = known.get(client);
  if (found !== undefined) return found;
  let fault: Error | undefined;
  let worth = 0;
  let atMs = 0;
  const isRecent = () => performance.now() - atMs < RECENT_MS;
  if ("on" in client && typeof client.on === "function") {
    const emitter = client as Emitter;
    const { host, port } = emitter.options ?? {};
    const remember = (error: unknown, address: string | undefined) => {
      // "Connection is closed." follows what closed it, and says less.
      const isCoded = Object.hasOwn(Object(error), "code");
      const now = isCoded ? 2 : address === undefined ? 0 : 1;
      if (now < worth && isRecent()) return;
      atMs = performance.now();
      worth = now;
      // ioredis' own `connect ETIMEDOUT` does not say where.
      const isPlaced = !isCoded || ["port", "hostname"].some((key) => Object.hasOwn(Object(error), key));
      const own = isPlaced || port === undefined ? undefined : `${host}:${port}`;
      fault = withAddress(error, address ?? own);
    };
    emitter.on(errorMonitor, (error) => remember(error, undefined));
    // Of ioredis: a server of a cluster, and a Sentinel, that cannot be asked.
    emitter.on("node error", (error, address) => remember(error, String(address)));
    emitter.on("sentinelError", (error) => remember(error, ""));
    emitter.on("ready", () => {
      fault = undefined;
      worth = 0;
    });
  }
  const last = () => (isRecent() ? fault : undefined);
  known.set(client, last);
  return last;
}

/** A fault whose message says where, if that is known. */
function withAddress(error: unknown, address = ""): Error {
  const reason = reasonOf(error);
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(address) ?? [];
  if (port === "" || reason.includes(`:${port}`) || reason.includes(host)) {
    return error instanceof Error ? error : new Error(reason);
  }
  return new Error(`${reason.replace(/\.$/, "")} at ${host}:${port}`, { cause: error });
}

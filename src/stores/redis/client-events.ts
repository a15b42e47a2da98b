// What a user's client reports by its events: that it has connected, that its user has closed it, and why its connection does
// not work now. A command fails with the message that there is no connection; clients report the reason only by events.

import { monotonicClock } from "../../clock.ts";
import { reasonOf } from "../../kernel/reason.ts";
import { oncePer } from "./client.ts";

/** A client with events, as ioredis and node-redis are. valkey-glide has none. */
interface Emitter {
  on?(event: string | symbol, listener: (fault: unknown, address?: unknown) => void): unknown;
  readonly options?: { readonly host?: unknown; readonly port?: unknown };
}

/** A part of a store that reacts to these events. */
export interface ClientListener {
  connected(): void;
  ended(): void;
}

/** Why a client does not work; `undefined` while it does, and when that is not known. */
export type LastFault = () => Error | undefined;

/** A client that cannot connect says so again and again. One server of a cluster may be gone while the others answer. */
const RECENT_MS = 60_000;
/** Which of two faults is kept, the higher: the client is closed, a server or Sentinel cannot be asked, the system says why. */
const DETAIL = { closed: 0, address: 1, code: 2 };

/** The events of a client, once for all of its stores, so that the client has few listeners. */
export const eventsOf = oncePer((client) => new ClientEvents(client as Emitter));

/**
 * It listens for errors by the `errorMonitor` of Node's events. So an `error` event without another listener still ends the
 * process. A runtime without that reports no errors here.
 */
class ClientEvents {
  /** Whether the client has ended and was not connected again: its user has closed it, or it has given up. */
  isEnded = false;
  readonly listeners = new Set<ClientListener>();
  readonly #options: Emitter["options"];
  #fault: { readonly error: Error; readonly detail: number; readonly atMs: number } | undefined;

  constructor(client: Emitter) {
    this.#options = client.options;
    client.on?.("ready", () => {
      this.isEnded = false;
      this.#fault = undefined;
      for (const listener of this.listeners) listener.connected();
    });
    // The clients of clusters have another name for it.
    for (const event of ["end", "disconnect"]) {
      client.on?.(event, () => {
        this.isEnded = true;
        for (const listener of this.listeners) listener.ended();
      });
    }
    const errorMonitor = globalThis.process?.getBuiltinModule?.("node:events").errorMonitor;
    if (errorMonitor !== undefined) client.on?.(errorMonitor, (error) => this.#remember(error, undefined));
    // Of ioredis: a server of a cluster, and a Sentinel, that cannot be asked.
    client.on?.("node error", (error, address) => this.#remember(error, String(address)));
    // Some address, which is not said.
    client.on?.("sentinelError", (error) => this.#remember(error, ""));
  }

  /** The last fault since the client was connected. */
  readonly lastFault: LastFault = () => {
    const fault = this.#fault;
    return fault !== undefined && monotonicClock.nowMs() - fault.atMs < RECENT_MS ? fault.error : undefined;
  };

  #remember(error: unknown, address: string | undefined): void {
    // "Connection is closed." follows what closed it, and says less.
    const isCoded = Object.hasOwn(Object(error), "code");
    const detail = isCoded ? DETAIL.code : address === undefined ? DETAIL.closed : DETAIL.address;
    if (this.#fault !== undefined && detail < this.#fault.detail && this.lastFault() !== undefined) return;
    // ioredis' own `connect ETIMEDOUT` does not say where.
    const hasAddress = !isCoded || ["port", "hostname"].some((key) => Object.hasOwn(Object(error), key));
    const { host, port } = this.#options ?? {};
    const own = hasAddress || port === undefined ? undefined : `${host}:${port}`;
    this.#fault = { error: withAddress(error, address ?? own), detail, atMs: monotonicClock.nowMs() };
  }
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

// A TCP proxy on loopback, between clients and one server, that does what networks do when they fail. It knows no protocol:
// a reply is what the server sends at once. It must be closed; fault-proxy.ts sees to that in tests.

import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../free-port.ts";
import { type Faults, Lane } from "./fault-proxy-lane.ts";

/** What stands between clients and their server. Faults add up until `heal`. */
export interface FaultProxy {
  /** Where clients connect to instead. It stays the same. */
  readonly port: number;
  /** From now on connections are refused, as by a port without a listener, and the present ones are closed. */
  refuse(): void;
  /**
   * Bytes of this direction, and the ends of connections, are kept from now on; connections stay, and new ones are
   * accepted and silent. Beyond 8 MiB a connection and direction the sender has to wait.
   */
  blackHole(direction: "both" | "replies"): void;
  /**
   * The present connections die silently: nothing passes on them any more, not even their end, and no `heal` changes that.
   * New ones pass.
   */
  freeze(): void;
  /** New connections go to this port of loopback from now on, as after a name has moved. The present ones stay. */
  moveTo(targetPort: number): void;
  /** Each chunk of both directions is late by so much, in its order. */
  delay(ms: number): void;
  /** The next reply of so many connections passes by half, and then the connection is reset on both sides. */
  resetInReply(times?: number): void;
  /** Refuses for so long, heals for so long, and so on until `heal`. */
  flap(periodMs: number): void;
  /** Everything passes again, what was kept or late at once. Resolves when connections are accepted again. */
  heal(): Promise<void>;
  /** Ends it with all connections. */
  close(): Promise<void>;
}

/** How often, and each how many ms, a port that another process took meanwhile is tried again. */
const LISTEN = { tries: 100, eachMs: 20 };

/** Starts one in front of a port of loopback, on a free port. */
export async function openFaultProxy(targetPort: number): Promise<FaultProxy> {
  const proxy = new LoopbackProxy(await freePort(), targetPort);
  await proxy.heal();
  return proxy;
}

/** Some sockets are closed, and never say so: those that were reset amid an error. */
const CLOSED_WITHIN_MS = 500;

class Connection {
  readonly closed: Promise<unknown>;
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #lanes: readonly Lane[];

  constructor(client: Socket, targetPort: number, faults: Faults) {
    this.#client = client;
    this.#server = createConnection({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    this.closed = Promise.all(
      [client, this.#server].map((socket) => new Promise((done) => socket.once("close", done))),
    );
    void this.closed.then(() => this.end());
    const reset = () => this.#reset();
    this.#lanes = [
      new Lane("requests", client, this.#server, faults, reset),
      new Lane("replies", this.#server, client, faults, reset),
    ];
  }

  pass(): void {
    for (const lane of this.#lanes) lane.pass();
  }

  freeze(): void {
    for (const lane of this.#lanes) lane.clear();
  }

  end(): void {
    for (const lane of this.#lanes) lane.clear();
    this.#client.destroy();
    this.#server.destroy();
  }

  #reset(): void {
    for (const lane of this.#lanes) lane.clear();
    resetOrEnd(this.#client);
    resetOrEnd(this.#server);
  }
}

/** One that is still connecting, or is ending, cannot be reset: its handle would never close, and Node never end. */
function resetOrEnd(socket: Socket): void {
  if (socket.connecting || socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

class LoopbackProxy implements FaultProxy {
  readonly port: number;
  #targetPort: number;
  readonly #connections = new Set<Connection>();
  readonly #faults = { held: new Set<string>(), delayMs: 0, resets: 0 };
  #listener: Server | null = null;
  #opening = Promise.resolve();
  #isOpen = false;
  #isClosed = false;
  #flapping: ReturnType<typeof setInterval> | undefined;

  constructor(port: number, targetPort: number) {
    this.port = port;
    this.#targetPort = targetPort;
  }

  refuse(): void {
    clearInterval(this.#flapping);
    this.#shut();
  }

  blackHole(direction: "both" | "replies"): void {
    this.#faults.held.add("replies");
    if (direction === "both") this.#faults.held.add("requests");
  }

  freeze(): void {
    for (const connection of this.#connections) connection.freeze();
  }

  moveTo(targetPort: number): void {
    this.#targetPort = targetPort;
  }

  delay(ms: number): void {
    this.#faults.delayMs = ms;
  }

  resetInReply(times = 1): void {
    this.#faults.resets = times;
  }

  flap(periodMs: number): void {
    this.refuse();
    this.#flapping = setInterval(() => {
      if (this.#isOpen) this.#shut();
      else void this.#open();
    }, periodMs);
  }

  async heal(): Promise<void> {
    clearInterval(this.#flapping);
    this.#faults.held.clear();
    this.#faults.delayMs = 0;
    this.#faults.resets = 0;
    for (const connection of this.#connections) connection.pass();
    await this.#open();
    if (this.#listener === null && this.#isOpen) throw new Error(`port ${this.port} was taken meanwhile`);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#flapping);
    const closed = [...this.#connections].map((connection) => connection.closed);
    this.#shut();
    await Promise.race([Promise.all([this.#opening, ...closed]), sleep(CLOSED_WITHIN_MS, null, { ref: false })]);
  }

  #shut(): void {
    this.#isOpen = false;
    this.#listener?.close();
    this.#listener = null;
    for (const connection of this.#connections) connection.end();
  }

  #open(): Promise<void> {
    if (this.#isClosed) return this.#opening;
    this.#isOpen = true;
    this.#opening = this.#opening.then(() => this.#listen());
    return this.#opening;
  }

  /** Another process may take the port while nothing listens on it, so it is tried again. */
  async #listen(): Promise<void> {
    for (let tries = 0; tries < LISTEN.tries && this.#isOpen && this.#listener === null; tries++) {
      const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
      try {
        await once(listener.listen(this.port, "127.0.0.1"), "listening");
        listener.on("error", () => {});
        if (this.#isOpen) this.#listener = listener;
        else listener.close();
      } catch {
        await sleep(LISTEN.eachMs);
      }
    }
  }

  #accept(client: Socket): void {
    // Accepted while it was shut, or before a client knew that it listens.
    if (!this.#isOpen) return void client.destroy();
    const connection = new Connection(client, this.#targetPort, this.#sight());
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
  }

  #sight(): Faults {
    const faults = this.#faults;
    return {
      isHeld: (direction) => faults.held.has(direction),
      delayMs: () => faults.delayMs,
      takeReset: () => faults.resets > 0 && faults.resets-- > 0,
    };
  }
}

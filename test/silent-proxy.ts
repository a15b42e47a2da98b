// A TCP proxy on loopback that does to connections what firewalls, load balancers and DNS do: those that are open fall silent
// for good, and new ones pass, or go to another server.

import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { after } from "node:test";

const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

export class SilentProxy {
  readonly port: number;
  /** Where new connections go. Those that are open stay where they are. */
  targetPort: number;
  /** Whether new connections are accepted, and nothing of them passes, ever. */
  isDeaf = false;
  readonly #listener: Server;
  readonly #pairs = new Set<readonly [client: Socket, server: Socket | null]>();

  private constructor(listener: Server, targetPort: number) {
    this.#listener = listener;
    this.port = (listener.address() as { port: number }).port;
    this.targetPort = targetPort;
    listener.on("connection", (client) => this.#accept(client));
  }

  /** Starts one in front of a port of loopback, on a free port. It is closed with the test file. */
  static async start(targetPort: number): Promise<SilentProxy> {
    const listener = createServer({ noDelay: true });
    await once(listener.listen(0, "127.0.0.1"), "listening");
    const proxy = new SilentProxy(listener, targetPort);
    endings.push(() => proxy.close());
    return proxy;
  }

  /** How many connections clients have not ended. */
  get open(): number {
    return this.#pairs.size;
  }

  /** From now on nothing passes through the connections that are open: no bytes, no end. */
  silence(): void {
    for (const [client, server] of this.#pairs) {
      if (server === null) continue;
      client.unpipe(server);
      server.unpipe(client);
      client.resume();
      server.resume();
    }
  }

  close(): void {
    this.#listener.close();
    for (const [client, server] of this.#pairs) {
      client.destroy();
      server?.destroy();
    }
  }

  #accept(client: Socket): void {
    const server = this.isDeaf ? null : createConnection({ port: this.targetPort, host: "127.0.0.1", noDelay: true });
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server?.destroy();
    };
    client.on("error", end).on("close", end);
    server?.on("error", end);
    if (server === null) client.resume();
    else client.pipe(server).pipe(client);
  }
}

// The faults of Redis, or of the connections to it.

import type { FaultProxy } from "../../test/chaos/fault-proxy-server.ts";
import type { RedisServer } from "../servers.ts";

/** A Redis, and a proxy to it for each instance. */
export interface Site {
  readonly server: RedisServer;
  readonly proxies: readonly FaultProxy[];
}

export interface Fault {
  readonly name: string;
  /** From its start to its end, under load. */
  readonly lastsMs: number;
  begin(site: Site): unknown;
  end(site: Site): Promise<unknown>;
}

const heal = ({ proxies }: Site) => Promise.all(proxies.map((proxy) => proxy.heal()));
const inProxies = (name: string, lastsMs: number, begin: (proxy: FaultProxy) => void): Fault => {
  return { name, lastsMs, begin: ({ proxies }) => proxies.forEach(begin), end: heal };
};

export const FAULTS: readonly Fault[] = [
  {
    name: "kill -9, restarted empty after 1 s",
    lastsMs: 1_000,
    // A client that connects to a dead server is refused. A proxy alone would accept it first.
    async begin({ server, proxies }) {
      await server.kill();
      for (const proxy of proxies) proxy.refuse();
    },
    async end(site) {
      await site.server.start();
      await heal(site);
    },
  },
  {
    name: "SIGSTOP for 2 s",
    lastsMs: 2_000,
    begin: ({ server }) => server.pause(),
    end: async ({ server }) => server.resume(),
  },
  inProxies("connections refused for 2 s", 2_000, (proxy) => proxy.refuse()),
  inProxies("black hole both ways for 2 s", 2_000, (proxy) => proxy.blackHole("both")),
  inProxies("black hole of replies for 2 s", 2_000, (proxy) => proxy.blackHole("replies")),
  inProxies("2 s a round trip, for 2 s", 2_000, (proxy) => proxy.delay(1_000)),
  inProxies("reset in the middle of a reply", 500, (proxy) => proxy.resetInReply()),
  inProxies("flapping each 200 ms for 2 s", 2_000, (proxy) => proxy.flap(200)),
  { name: "FLUSHALL", lastsMs: 500, begin: ({ server }) => server.control.flushall("SYNC"), end: async () => {} },
];

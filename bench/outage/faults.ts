// What happens to Redis, or to the way to it.

import type { FaultProxy } from "../../test/chaos/fault-proxy-server.ts";
import type { MortalRedis } from "./redis-server.ts";

/** A Redis, and the way of each instance to it. */
export interface Place {
  readonly server: MortalRedis;
  readonly proxies: readonly FaultProxy[];
}

export interface Fault {
  readonly name: string;
  /** From its begin to its end, under load. */
  readonly lastsMs: number;
  begin(place: Place): unknown;
  end(place: Place): Promise<unknown>;
}

const heal = ({ proxies }: Place) => Promise.all(proxies.map((proxy) => proxy.heal()));
const onTheWay = (name: string, lastsMs: number, begin: (proxy: FaultProxy) => void): Fault => {
  return { name, lastsMs, begin: ({ proxies }) => proxies.forEach(begin), end: heal };
};

export const FAULTS: readonly Fault[] = [
  {
    name: "kill -9, restarted empty after 1 s",
    lastsMs: 1_000,
    // A client that connects to a dead server is refused; a proxy would accept it first.
    async begin({ server, proxies }) {
      await server.kill();
      for (const proxy of proxies) proxy.refuse();
    },
    async end(place) {
      await place.server.start();
      await heal(place);
    },
  },
  {
    name: "SIGSTOP for 2 s",
    lastsMs: 2_000,
    begin: ({ server }) => server.pause(),
    end: async ({ server }) => server.resume(),
  },
  onTheWay("connections refused for 2 s", 2_000, (proxy) => proxy.refuse()),
  onTheWay("black hole both ways for 2 s", 2_000, (proxy) => proxy.blackHole("both")),
  onTheWay("black hole of replies for 2 s", 2_000, (proxy) => proxy.blackHole("replies")),
  onTheWay("2 s a round trip, for 2 s", 2_000, (proxy) => proxy.delay(1_000)),
  onTheWay("reset in the midst of a reply", 500, (proxy) => proxy.resetInReply()),
  onTheWay("flapping each 200 ms for 2 s", 2_000, (proxy) => proxy.flap(200)),
  {
    name: "FLUSHALL",
    lastsMs: 500,
    begin: ({ server }) => server.control.flushall("SYNC"),
    end: async () => {},
  },
];

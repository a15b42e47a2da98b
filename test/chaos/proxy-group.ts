// Several fault proxies as one: a network that fails does so on the way to all servers.

import type { FaultProxy } from "./fault-proxy.ts";

/** What is done to it is done to each of some proxies. Its port is that of the first. */
export function proxyGroup(proxies: readonly FaultProxy[]): FaultProxy {
  const each = (act: (proxy: FaultProxy) => void) => {
    for (const proxy of proxies) act(proxy);
  };
  const all = async (act: (proxy: FaultProxy) => Promise<void>) => {
    await Promise.all(proxies.map(act));
  };
  return {
    port: proxies[0]?.port ?? 0,
    refuse: () => each((proxy) => proxy.refuse()),
    blackHole: (direction) => each((proxy) => proxy.blackHole(direction)),
    freeze: () => each((proxy) => proxy.freeze()),
    moveTo: () => {
      throw new Error("its servers differ");
    },
    delay: (ms) => each((proxy) => proxy.delay(ms)),
    resetInReply: (times) => each((proxy) => proxy.resetInReply(times)),
    flap: (periodMs) => each((proxy) => proxy.flap(periodMs)),
    heal: () => all((proxy) => proxy.heal()),
    close: () => all((proxy) => proxy.close()),
  };
}

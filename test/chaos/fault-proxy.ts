// Fault proxies for tests, closed with the test file that started them.

import { after } from "node:test";
import { type FaultProxy, openFaultProxy } from "./fault-proxy-server.ts";

export type { FaultProxy } from "./fault-proxy-server.ts";

const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

/** Starts one in front of a port of loopback, on a free port. */
export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  const proxy = await openFaultProxy(targetPort);
  endings.push(() => proxy.close());
  return proxy;
}

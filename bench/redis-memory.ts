// How many bytes a Redis takes for what is put into it.

import { setTimeout as sleep } from "node:timers/promises";
import type { RedisServer } from "./redis-server.ts";

/** How much memory an empty server takes more once `fill` has run. `open` runs before that is first looked at. */
export async function growth<Opened extends { close(): Promise<void> }>(
  server: RedisServer,
  open: () => Promise<Opened>,
  fill: (opened: Opened) => Promise<unknown>,
): Promise<number> {
  await server.control.flushall("SYNC");
  const opened = await open();
  try {
    const before = await settledMemory(server);
    await fill(opened);
    return (await settledMemory(server)) - before;
  } finally {
    await opened.close();
  }
}

/** The memory used, once the tables have been rehashed and the clients' buffers given back. */
async function settledMemory(server: RedisServer): Promise<number> {
  const used = async () => Number((await server.info("memory")).get("used_memory"));
  let last = await used();
  let same = 0;
  while (same < 5) {
    await sleep(100);
    const now = await used();
    same = Math.abs(now - last) < 1_024 ? same + 1 : 0;
    last = now;
  }
  return last;
}

// Redis with a million live sessions, beside one with a thousand, and beside bare commands on as many keys.

import { Redis } from "ioredis";
import { redisStore } from "tollgate/stores/redis";
import { BUCKET, endOfWindowMs, keysOf, LIMIT, liveSection } from "../live-sessions.ts";
import { bareScripts } from "../redis-bare.ts";
import { startRedis } from "../servers.ts";

const AT_ONCE = 10_000;

export const section = liveSection({
  name: "Redis",
  needs: ["redis"],
  note: `Each number of sessions has a Redis of its own, and another one for the bare commands. These are those of Tollgate's script
(MGET, PEXPIRETIME and INCRBY), on the same keys, in scripts of 256 calls, two at a time, and without a policy, checks, verdicts or
receipts.`,
  isToFew: true,
  start: async (stack) => {
    const fill = async (sessions: number) => {
      const { port, control } = stack.use(await startRedis({ ownCore: true }));
      const endMs = endOfWindowMs();
      for (let first = 0; first < sessions; first += AT_ONCE) {
        const pipeline = control.pipeline();
        for (const key of keysOf(first, Math.min(AT_ONCE, sessions - first))) pipeline.set(key, BUCKET, "PXAT", endMs);
        await pipeline.exec();
      }
      return port;
    };
    return {
      async store(sessions) {
        const port = await fill(sessions);
        return {
          async open() {
            const client = new Redis(port);
            return { store: redisStore(client), close: async () => client.disconnect() };
          },
        };
      },
      async bare(sessions) {
        const port = await fill(sessions);
        return async () => bareScripts(LIMIT, new Redis(port));
      },
    };
  },
});

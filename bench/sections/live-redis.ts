// Redis with a million live sessions, beside one with a thousand.

import { Redis } from "ioredis";
import { redisStore } from "tollgate/stores/redis";
import { BUCKET, endOfWindowMs, keysOf, liveSection } from "../live-sessions.ts";
import { startRedis } from "../servers.ts";

const AT_ONCE = 10_000;

export const section = liveSection({
  name: "Redis",
  needs: ["redis"],
  note: "Each number of sessions has a Redis of its own.",
  start: async (stack) => ({
    async store(sessions) {
      const { port, control } = stack.use(await startRedis());
      const endMs = endOfWindowMs();
      for (let first = 0; first < sessions; first += AT_ONCE) {
        const pipeline = control.pipeline();
        for (const key of keysOf(first, Math.min(AT_ONCE, sessions - first))) pipeline.set(key, BUCKET, "PXAT", endMs);
        await pipeline.exec();
      }
      return {
        async open() {
          const client = new Redis(port);
          return { store: redisStore(client), close: async () => client.disconnect() };
        },
      };
    },
  }),
});

// Redis with a million live sessions, against one with a thousand.

import { Redis } from "ioredis";
import { redisStore } from "tollgate/stores/redis";
import { sessionName } from "../calls.ts";
import { progress } from "../harness.ts";
import { endOfWindowMs, KEY, MEANING, measureLive, SPENT_TEXT } from "../live-sessions.ts";
import { type RedisServer, startRedis } from "../redis-server.ts";
import type { Section } from "../section.ts";

const AT_ONCE = 10_000;

export const section: Section = {
  title: "Redis, a million live sessions",
  needs: "redis",
  meaning: `${MEANING} Each number of sessions has a Redis of its own.`,

  async measure(isShort) {
    const servers: RedisServer[] = [];
    try {
      return await measureLive("Redis", isShort, async (sessions) => {
        const server = await startRedis();
        servers.push(server);
        await fill(server, sessions);
        return {
          async open() {
            const client = new Redis(server.port);
            return { store: redisStore(client), close: async () => client.disconnect() };
          },
        };
      });
    } finally {
      for (const server of servers) await server.stop();
    }
  },
};

async function fill({ control }: RedisServer, sessions: number): Promise<void> {
  progress(`filling Redis with ${sessions} sessions`);
  const endMs = endOfWindowMs();
  for (let from = 0; from < sessions; from += AT_ONCE) {
    const pipeline = control.pipeline();
    for (let i = from; i < Math.min(from + AT_ONCE, sessions); i++) {
      pipeline.set(`${KEY.before}${sessionName(i)}${KEY.after}`, SPENT_TEXT, "PXAT", endMs);
    }
    await pipeline.exec();
  }
}

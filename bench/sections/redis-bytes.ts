// Bytes inside Redis: of a counter, beside the plainest key there is, and of a call that is held.

import { Redis } from "ioredis";
import type { Limiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { type Limit, ONE, sessionName, THREE, WINDOW_SECONDS } from "../calls.ts";
import { number, progress } from "../harness.ts";
import { growth } from "../redis-memory.ts";
import { type RedisServer, startRedis } from "../redis-server.ts";
import type { Section } from "../section.ts";
import { limiterOf } from "../tollgate.ts";

const FULL = { counters: 100_000, holds: 20_000 };
const SHORT = { counters: 2_000, holds: 500 };
const AT_ONCE = 512;
const TIMES_SET = 1.3;
const BYTES_A_HOLD = 500;

export const section: Section = {
  title: "Bytes inside Redis",
  needs: "redis",
  meaning: `How much \`INFO memory\` grows, by key or by call. Tollgate's counters are plain integers with an expiry, so
they should take what \`SET key 1 EX\` of the very same key takes. A hold is one over three limits; its bytes are those
beyond the counters, and lie in the same keys. Under an idempotency key it also keeps its answer, in a key of its own.`,

  async measure(isShort) {
    const { counters, holds } = isShort ? SHORT : FULL;
    const server = await startRedis();
    try {
      progress("bytes per counter");
      const byTollgate = await bytesOf(server, ONE, (limiter) => each(counters, (i) => limiter.consume(callOf(i))));
      const names = (await server.control.keys("rate:*")).filter((name) => !name.includes(callOf("warm-up").session));
      if (names.length !== counters) throw new Error(`there are ${names.length} keys, must be ${counters}`);
      const byHand = await growth(
        server,
        () => connected(server),
        ({ client }) => setAll(client, names),
      );
      progress("bytes per hold");
      const consume = (limiter: Limiter) => each(holds, (i) => limiter.consume(callOf(i)));
      const twice = await bytesOf(server, THREE, (limiter) => consume(limiter).then(() => consume(limiter)));
      const held = await bytesOf(server, THREE, (limiter) =>
        consume(limiter).then(() => each(holds, (i) => limiter.reserve(callOf(i)))),
      );
      const keyed = await bytesOf(server, THREE, (limiter) =>
        consume(limiter).then(() =>
          each(holds, (i) => limiter.reserve({ ...callOf(i), idempotencyKey: `job-${sessionName(i)}` })),
        ),
      );
      const [own, plain, hold, keyedHold] = [
        byTollgate / counters,
        byHand / counters,
        (held - twice) / holds,
        (keyed - twice) / holds,
      ];
      return {
        work: `${number(counters)} counters, ${number(holds)} holds`,
        goals: [
          { what: "bytes of a counter, to SET key 1 EX", bound: "at most", wanted: TIMES_SET, measured: own / plain },
          { what: "bytes of a live hold over three limits", bound: "at most", wanted: BYTES_A_HOLD, measured: hold },
        ],
        tables: [
          {
            head: [`${number(counters)} counters of one limit`, "bytes per counter", "to Tollgate"],
            rows: [
              ["Tollgate", number(own), "1.00"],
              ["SET key 1 EX, the same keys", number(plain), (plain / own).toFixed(2)],
            ],
          },
          {
            head: [`${number(holds)} calls that have not ended`, "bytes per call, beyond its counters"],
            rows: [
              ["held", number(hold)],
              ["held, under an idempotency key", number(keyedHold)],
            ],
          },
        ],
        panel: {
          title: "bytes, shorter is better",
          bars: [
            { name: "Tollgate, a counter", kind: "tollgate", value: own },
            { name: "SET key 1 EX", kind: "floor", value: plain },
            { name: "Tollgate, a hold over three limits", kind: "tollgate", value: hold },
            { name: "Tollgate, the same under a key", kind: "tollgate", value: keyedHold },
          ],
        },
        rounds: { byTollgate, byHand, twice, held, keyed },
      };
    } finally {
      await server.stop();
    }
  },
};

const callOf = (i: number | string) => {
  const session = typeof i === "number" ? sessionName(i) : i;
  return { tool: "search", session, user: `user-${session}` };
};

async function each(count: number, act: (i: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => act(from + i)));
  }
}

/** With a limiter of its own, which has decided once: its script and what it keeps for itself are no bucket's. */
function bytesOf(server: RedisServer, limits: readonly Limit[], fill: (limiter: Limiter) => Promise<unknown>) {
  const open = async () => {
    const { client, close } = await connected(server);
    const limiter = limiterOf(limits, redisStore(client));
    await limiter.consume(callOf("warm-up"));
    return { limiter, close: () => limiter.close().then(close) };
  };
  return growth(server, open, ({ limiter }) => fill(limiter));
}

async function connected({ port }: RedisServer) {
  const client = new Redis(port, { lazyConnect: true });
  await client.connect();
  return { client, close: async () => client.disconnect() };
}

async function setAll(client: Redis, names: readonly string[]): Promise<void> {
  for (let from = 0; from < names.length; from += AT_ONCE) {
    const pipeline = client.pipeline();
    for (const name of names.slice(from, from + AT_ONCE)) pipeline.set(name, 1, "EX", WINDOW_SECONDS);
    await pipeline.exec();
  }
}

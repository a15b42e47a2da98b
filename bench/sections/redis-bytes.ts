// Bytes inside Redis: of a counter, beside the smallest key with an expiry, and of a call that is held.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import type { Limiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { type Limit, ONE, sessionName, THREE, WINDOW_SECONDS } from "../calls.ts";
import { number, progress } from "../harness.ts";
import { atMost, type Section } from "../section.ts";
import { type RedisServer, startRedis } from "../servers.ts";
import { limiterOf } from "../tollgate.ts";

const FULL = { counters: 100_000, holds: 20_000 };
const SHORT = { counters: 2_000, holds: 500 };
const AT_ONCE = 512;
const TIMES_SET = 1.3;
const BYTES_A_HOLD = 500;

export const section: Section = {
  title: "Bytes inside Redis",
  needs: ["redis"],
  meaning: `How much \`used_memory\` of \`INFO memory\` grows for each key or call. Tollgate's counters are integers with an
expiry, so they should take what \`SET key 1 EX\` of the same key takes. A hold is over three limits. Its bytes are those
beyond its counters, in the same keys. Under an idempotency key Redis also keeps its answer, in a key of its own.`,

  async measure(isShort) {
    const { counters, holds } = isShort ? SHORT : FULL;
    await using server = await startRedis();
    const byTollgate = await growth(server, ONE, (limiter) => each(counters, (i) => limiter.consume(callOf(i))));
    const names = (await server.control.keys("rate:*")).filter((name) => !name.includes(WARM_UP.session));
    if (names.length !== counters) throw new Error(`there are ${names.length} keys, must be ${counters}`);
    const byHand = await growth(server, ONE, (_, client) =>
      each(names.length, (i) => client.set(names[i] ?? "", 1, "EX", WINDOW_SECONDS)),
    );
    const consume = (limiter: Limiter) => each(holds, (i) => limiter.consume(callOf(i)));
    const afterConsume = (act: (limiter: Limiter, i: number) => Promise<unknown>) =>
      growth(server, THREE, (limiter) => consume(limiter).then(() => each(holds, (i) => act(limiter, i))));
    const twice = await afterConsume((limiter, i) => limiter.consume(callOf(i)));
    const held = await afterConsume((limiter, i) => limiter.reserve(callOf(i)));
    const keyed = await afterConsume((limiter, i) => {
      return limiter.reserve({ ...callOf(i), idempotencyKey: `job-${sessionName(i)}` });
    });
    const [own, bare] = [byTollgate / counters, byHand / counters];
    const [hold, keyedHold] = [(held - twice) / holds, (keyed - twice) / holds];
    return {
      work: `${number(counters)} counters, ${number(holds)} holds`,
      goals: [
        atMost("bytes of a counter, to SET key 1 EX", TIMES_SET, own / bare),
        atMost("bytes of a live hold over three limits", BYTES_A_HOLD, hold),
      ],
      tables: [
        {
          head: [`${number(counters)} counters of one limit`, "bytes per counter", "to Tollgate"],
          rows: [
            ["Tollgate", number(own), "1.00"],
            ["SET key 1 EX, the same keys", number(bare), (bare / own).toFixed(2)],
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
    };
  },
};

const callOf = (i: number) => ({ tool: "search", session: sessionName(i), user: `user-${sessionName(i)}` });
const WARM_UP = { tool: "search", session: "warm-up", user: "user-warm-up" };

async function each(count: number, act: (i: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => act(from + i)));
  }
}

/** How much memory an empty server takes for what `fill` does. The limiter's script and own keys are there before. */
async function growth(
  server: RedisServer,
  limits: readonly Limit[],
  fill: (limiter: Limiter, client: Redis) => Promise<unknown>,
): Promise<number> {
  progress("filling Redis");
  await server.control.flushall("SYNC");
  const client = new Redis(server.port);
  const limiter = limiterOf(limits, redisStore(client));
  await limiter.consume(WARM_UP);
  const before = await memoryAtRest(server);
  await fill(limiter, client);
  const after = await memoryAtRest(server);
  await limiter.close();
  client.disconnect();
  return after - before;
}

/** The memory used, after Redis has rehashed its tables and freed the buffers of clients. */
async function memoryAtRest(server: RedisServer): Promise<number> {
  const used = async () => Number((await server.info("memory")).get("used_memory"));
  let [last, same] = [await used(), 0];
  while (same < 5) {
    await sleep(100);
    const now = await used();
    same = Math.abs(now - last) < 1_024 ? same + 1 : 0;
    last = now;
  }
  return last;
}

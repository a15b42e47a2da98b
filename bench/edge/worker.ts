// The Worker of the edge benchmark: calls through a limiter on Durable Objects, beside a bare counter object.

import { DurableObject, env } from "cloudflare:workers";
import { durableObjectStore, type ObjectNamespace } from "../../src/edge/edge.ts";
import { createLimiter } from "../../src/limiter.ts";

export { TollgateObject as TestObject } from "../../src/edge/edge.ts";

const { TOLLGATE, COUNTER } = env as Record<"TOLLGATE" | "COUNTER", ObjectNamespace>;

/** What one call costs at least: one message and one statement. */
export class CounterObject extends DurableObject {
  #isReady = false;

  take(): boolean {
    const { sql } = this.ctx.storage;
    if (!this.#isReady) {
      sql.exec("CREATE TABLE IF NOT EXISTS counter (key TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID");
      sql.exec("INSERT OR IGNORE INTO counter VALUES ('a', 0)");
      this.#isReady = true;
    }
    const [row] = sql.exec("UPDATE counter SET n = n + 1 WHERE key = 'a' RETURNING n").raw();
    return Number(row?.[0]) <= 1e9;
  }
}

const limiter = createLimiter({
  policy: {
    version: 1,
    limits: [
      { name: "per-session", per: ["session"], quota: 1_000_000_000 },
      { name: "tool-rate", per: ["session", "tool"], algorithm: "token-bucket", window: "1s", quota: 1_000_000 },
    ],
  },
  store: durableObjectStore({ namespace: TOLLGATE, deadlineMs: 60_000 }),
});
const one = createLimiter({
  policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1_000_000_000 }] },
  store: durableObjectStore({ namespace: TOLLGATE, deadlineMs: 60_000 }),
});

/** What a Worker sends for one call of `one`, made once: what an object does with it, without the Worker's part. */
const MESSAGE = JSON.stringify({
  protocol: 1,
  requests: [
    {
      mode: "judge",
      steps: [
        {
          bucket: "rate:1:{a}:per-session",
          limit: { algorithm: "budget", quota: 1e9, ttlMs: 86_400_000, ttlFrom: "last" },
          event: { type: "charge", cost: 1 },
        },
      ],
    },
  ],
});

const calls: Record<string, (object: string) => Promise<boolean>> = {
  counter: (object) => (COUNTER.get(COUNTER.idFromName(object)) as { take(): Promise<boolean> }).take(),
  async object(name) {
    const stub = TOLLGATE.get(TOLLGATE.idFromName(`alone-${name}`)) as { decide(batch: string): Promise<string> };
    return (await stub.decide(MESSAGE)).includes('"allowed":true');
  },
  "one limit": async (session) => (await one.consume({ tool: "search", session: `one-${session}` })).allowed,
  "two limits": async (session) => (await limiter.consume({ tool: "search", session: `two-${session}` })).allowed,
};

interface Load {
  readonly kind: string;
  readonly objects: number;
  readonly lanes: number;
  readonly calls: number;
}

/** Makes calls in lanes, and returns how long each took, in ms. */
async function load({ kind, objects, lanes, calls: count }: Load): Promise<number[]> {
  const call = calls[kind] as (object: string) => Promise<boolean>;
  const took: number[] = [];
  let made = 0;
  const lane = async () => {
    while (made < count) {
      const object = `o${made++ % objects}`;
      const begunMs = performance.now();
      if (!(await call(object))) throw new Error("a call was denied");
      took.push(performance.now() - begunMs);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return took;
}

// biome-ignore lint/style/noDefaultExport: the runtime wants it
export default {
  fetch: async (request: Request): Promise<Response> => Response.json(await load((await request.json()) as Load)),
};

// The Worker of the tests: each route runs something inside workerd, and answers with JSON.

import { DurableObject, env } from "cloudflare:workers";
import fc from "fast-check";
import { durableObjectStore, type ObjectNamespace, ownObjectStore, thinkGuard } from "../../src/edge/edge.ts";
import type { StoreRequest } from "../../src/kernel/request.ts";
import { networkLayers } from "../../src/layers/network.ts";
import { createLimiter } from "../../src/limiter.ts";
import { StoreError } from "../../src/store/error.ts";
import type { Store } from "../../src/store/store.ts";
import { fakeClock } from "../../src/testing/fake-clock.ts";
import { storeCases } from "../../src/testing/store-cases.ts";
import { play } from "../properties/play.ts";
import { createTallies, renamed, rowSchedule, schedule } from "../properties/schedule.ts";
import { inPartition } from "../stores/in-partition.ts";
import { answerOf, type Routes } from "./routes.ts";
import { scenarios } from "./scenarios.ts";

export { TestObject } from "./test-object.ts";

const { TOLLGATE: namespace, COUNTER } = env as Record<"TOLLGATE" | "COUNTER", ObjectNamespace>;
const LANES = 16;

const sleep = (ms: number) => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), ms));

const LIMIT = { algorithm: "budget", quota: 1, ttlMs: 1_000, ttlFrom: "first" } as const;

/** Another class than the store wants: an object that has limits of its own, as an agent does. */
export class CounterObject extends DurableObject {
  readonly #limiter = createLimiter({
    policy: { version: 1, limits: [{ name: "per-turn", per: ["session", "turn"], quota: 3 }] },
    store: ownObjectStore(this.ctx.storage),
  });

  /** The store contract's cases, on the object's own SQLite. */
  cases(): Promise<Record<string, string>> {
    return failuresOf(casesOn((clock) => ownObjectStore(this.ctx.storage, { clock })));
  }

  /** Calls of tools, as a Think harness gives them to its hook: `null` where the tool may run. */
  async think(
    toolCallIds: readonly string[],
    turn: object = { session: "s1", operationId: "t1" },
  ): Promise<readonly unknown[]> {
    const { beforeToolCall } = thinkGuard(this.#limiter);
    const hooked = toolCallIds.map(async (toolCallId) => {
      const input = { q: toolCallId };
      return (await beforeToolCall({ ...turn, toolCallId, toolName: "search", input })) ?? null;
    });
    return Promise.all(hooked);
  }

  tables(): unknown[] {
    return [...this.ctx.storage.sql.exec("SELECT name FROM sqlite_master WHERE name LIKE 'tollgate%'").raw()];
  }

  evict(): void {
    (this.ctx as unknown as { abort(reason: string): void }).abort("evicted");
  }
}

// Made in the global scope, as programs do.
const limiter = createLimiter({
  policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1_000 }] },
  store: durableObjectStore({ namespace }),
  onEvent: () => {},
});
const store = durableObjectStore({ namespace });
const slots = createLimiter({
  policy: { version: 1, limits: [{ name: "slots", per: ["session"], algorithm: "concurrency", quota: 1 }] },
  // Its setup is read by a timer, of which the global scope has none.
  store: { ...store, layers: networkLayers, setup: async () => [] },
  onEvent: () => {},
});

const customers = createLimiter({
  policy: {
    version: 1,
    limits: [{ name: "quota", per: ["session"], quota: { from: "call", default: 5, max: 100 } }],
  },
  store,
  onEvent: () => {},
  async quotas() {
    await sleep(300);
    return 3;
  },
});

/** A call that was begun where nothing may be sent. */
const outside = store
  .apply([{ mode: "peek", steps: [{ bucket: "rate:1:{outside}:a", limit: LIMIT, event: { type: "read" } }] }])
  .then(([answer]) => JSON.stringify(shown(answer)), String);

/** An answer as JSON: a `StoreError` would lose its message. */
function shown(answer: unknown): unknown {
  if (!StoreError.isInstance(answer)) return answer;
  const { code, message, transient } = answer;
  return { error: { code, message, transient } };
}

async function inLanes<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const lane = async () => {
    for (const item of waiting) await run(item);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** Runs each, and returns what went wrong by name. */
async function failuresOf(
  cases: readonly { readonly name: string; run(): Promise<void> }[],
): Promise<Record<string, string>> {
  const failures: Record<string, string> = {};
  await inLanes(cases, async ({ name, run }) => {
    await run().catch((error: Error) => {
      failures[name] = error.stack ?? String(error);
    });
  });
  return failures;
}

/** Limiters that decide without objects that are away, as programs have them: for all requests. Each is an isolate's. */
const withFailover = new Map<string, ReturnType<typeof createLimiter>>();

interface Isolate {
  readonly onStoreError?: "share" | "local" | "deny" | "allow";
  readonly isolates?: number;
  /** Which of them it is. */
  readonly isolate?: number;
}

function limiterOf({ onStoreError = "share", isolates = 2, isolate = 1 }: Isolate) {
  const name = `${onStoreError} ${isolate} of ${isolates}`;
  const limiter =
    withFailover.get(name) ??
    createLimiter({
      policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 10, onStoreError }] },
      store: durableObjectStore({ namespace, deadlineMs: 300, failover: { isolates } }),
    });
  withFailover.set(name, limiter);
  return limiter;
}

/** The store contract's cases, each in a partition of its own. */
function casesOn(openStore: (clock: ReturnType<typeof fakeClock>) => Store) {
  return storeCases.map(({ name, run }) => ({
    name,
    async run() {
      const clock = fakeClock();
      const partition = crypto.randomUUID();
      const open = () => inPartition(openStore(clock), partition);
      const own = open();
      await run({ store: own, advance: clock.advance, another: open });
      await own.close();
    },
  }));
}

const routes: Routes = {
  cases: () => failuresOf(casesOn((clock) => durableObjectStore({ namespace, clock, deadlineMs: 10_000 }))),

  /** Calls a method of an object that has limits of its own. */
  async agent({ name, method, args = [] }: { name: string; method: string; args?: unknown[] }) {
    const stub = COUNTER.get(COUNTER.idFromName(name)) as Record<string, (...args: unknown[]) => Promise<unknown>>;
    return stub[method]?.(...args);
  },

  scenarios: () =>
    failuresOf(
      Object.entries(scenarios).map(([name, run]) => ({
        name,
        run: () => run((options = {}): Store => durableObjectStore({ namespace, ...options })),
      })),
    ),

  async agree({ schedules, seed, isRow }: { schedules: number; seed: number; isRow: boolean }) {
    const tallies = createTallies();
    const turns = isRow ? rowSchedule : schedule;
    let played = 0;
    await inLanes(fc.sample(turns, { numRuns: schedules, seed }), async (each) => {
      const clock = fakeClock(Date.now() + 365 * 86_400_000);
      const own = durableObjectStore({ namespace, clock, deadlineMs: 60_000 });
      const name = `${seed}-${isRow}-${played++}-`;
      await play(renamed(each, name), inPartition(own, name), tallies, clock);
    });
    return tallies;
  },

  /** Calls of one session: how many were allowed. */
  async consume({ session, calls = 1 }: { session: string; calls?: number }) {
    const made = Array.from({ length: calls }, () => limiter.consume({ tool: "search", session }));
    return (await Promise.all(made)).filter(({ allowed }) => allowed).length;
  },

  /** Calls of one session, one after the other, by an isolate with failover. */
  async away({ session, calls, ...isolate }: Isolate & { session: string; calls: number }) {
    const decisions = [];
    for (let i = 0; i < calls; i++) {
      const decision = await limiterOf(isolate).consume({ tool: "search", session });
      decisions.push({ allowed: decision.allowed, degraded: decision.degraded });
    }
    return decisions;
  },

  outside: () => outside,

  /** Holds a slot for so long, or waits for one: how long it took to get it. */
  async slot({ session, heldMs }: { session: string; heldMs: number }) {
    const begunMs = Date.now();
    const reserved = await slots.reserve({ tool: "search", session }, { maxWaitMs: 10_000 });
    const tookMs = Date.now() - begunMs;
    if (!reserved.allowed) return null;
    await sleep(heldMs);
    await reserved.hold.release();
    return tookMs;
  },

  /** The quota of each session, as far as it is known within the time: else the request ends without it. */
  async quota({ sessions, withinMs }: { sessions: string[]; withinMs: number }) {
    const ofEach = sessions.map(async (session) => (await customers.usage({ session }))[0]?.quota);
    return Promise.race([Promise.all(ofEach), sleep(withinMs)]);
  },

  used: async (session: string) => (await limiter.usage({ session }))[0]?.used,

  async apply(requests: readonly StoreRequest[]) {
    try {
      return (await store.apply(requests)).map(shown);
    } catch (error) {
      return shown(error);
    }
  },

  /** Sends requests to a binding of another class. */
  async misbound(requests: readonly StoreRequest[]) {
    return (await durableObjectStore({ namespace: COUNTER }).apply(requests)).map(shown);
  },

  /** Calls a method of the object of a partition. */
  async object({ partition, method, args = [] }: { partition: string; method: string; args?: unknown[] }) {
    const stub = namespace.get(namespace.idFromName(`rate:1:{${partition}}`)) as Record<
      string,
      (...args: unknown[]) => Promise<unknown>
    >;
    return stub[method]?.(...args);
  },
};

// biome-ignore lint/style/noDefaultExport: the runtime wants it
export default { fetch: (request: Request) => answerOf(routes, request) };

// The Worker of the tests: each route runs something inside workerd, and answers with JSON.

import { DurableObject, env } from "cloudflare:workers";
import fc from "fast-check";
import { durableObjectStore, type ObjectNamespace, TollgateObject } from "../../src/edge/edge.ts";
import { BOUNDS } from "../../src/edge/object.ts";
import type { StoreRequest } from "../../src/kernel/request.ts";
import { createLimiter } from "../../src/limiter.ts";
import { StoreError } from "../../src/store/error.ts";
import type { Store } from "../../src/store/store.ts";
import { fakeClock } from "../../src/testing/fake-clock.ts";
import { storeCases } from "../../src/testing/store-cases.ts";
import { play } from "../properties/play.ts";
import { createTallies, renamed, rowSchedule, schedule } from "../properties/schedule.ts";
import { inPartition } from "../stores/in-partition.ts";
import { scenarios } from "./scenarios.ts";

const { TOLLGATE: namespace, COUNTER } = env as Record<"TOLLGATE" | "COUNTER", ObjectNamespace>;
const LANES = 16;

const sleep = (ms: number) => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), ms));

interface Cursor {
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/** What ran since the rows were counted last; `null`: nothing is counted. */
let statements: Cursor[] | null = null;

const LIMIT = { algorithm: "budget", quota: 1, ttlMs: 1_000, ttlFrom: "first" } as const;

/** An object that a test can look into. */
export class TestObject extends TollgateObject {
  override bounds = { ...BOUNDS };

  /** The rows that statements have read and written, which are counted from the first call on. */
  rowsCounted(): readonly [read: number, written: number] {
    const sum = (of: keyof Cursor) => (statements ?? []).reduce((count, each) => count + each[of], 0);
    const counted = [sum("rowsRead"), sum("rowsWritten")] as const;
    if (statements === null) countStatements(Object.getPrototypeOf(this.ctx.storage.sql));
    statements = [];
    return counted;
  }

  setBounds(bounds: object): void {
    Object.assign(this.bounds, bounds);
  }

  rows(statement: string): unknown[] {
    return [...this.ctx.storage.sql.exec(statement).raw()];
  }

  alarmAtMs(): Promise<number | null> {
    return this.ctx.storage.getAlarm();
  }

  async runAlarm(): Promise<void> {
    await this.alarm();
  }

  /** Ends the object at once, as the runtime does; the next call starts another on the same data. */
  evict(): void {
    (this.ctx as unknown as { abort(reason: string): void }).abort("evicted");
  }
}

function countStatements(sql: { exec(...args: unknown[]): Cursor }): void {
  const { exec } = sql;
  sql.exec = function (...args) {
    const cursor = exec.apply(this, args);
    statements?.push(cursor);
    return cursor;
  };
}

/** Another class than the store wants. */
export class CounterObject extends DurableObject {}

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
  store: { ...store, setup: async () => [] },
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

const routes: Record<string, (body: never) => unknown> = {
  cases: () =>
    failuresOf(
      storeCases.map(({ name, run }) => ({
        name,
        async run() {
          const clock = fakeClock();
          const partition = crypto.randomUUID();
          const open = () => inPartition(durableObjectStore({ namespace, clock, deadlineMs: 10_000 }), partition);
          const own = open();
          await run({ store: own, advance: clock.advance, another: open });
          await own.close();
        },
      })),
    ),

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
export default {
  async fetch(request: Request): Promise<Response> {
    const route = routes[new URL(request.url).pathname.slice(1)];
    if (route === undefined) return new Response("There is no such route.", { status: 404 });
    try {
      return Response.json((await route((await request.json()) as never)) ?? null);
    } catch (error) {
      return new Response(error instanceof Error ? error.stack : String(error), { status: 500 });
    }
  },
};

// The contenders in memory: each gets one call after the other, as from a caller that awaits each answer.

import { MemoryStore, type Options } from "express-rate-limit";
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { memoryStore } from "tollgate/stores/memory";
import { askAll, type Call, type Decider, type Limit, mustAdmit, PEER, type Rule, WINDOW_SECONDS } from "./calls.ts";
import { bareForm, leanMap } from "./floors.ts";
import type { Contender, Kind } from "./race.ts";
import { allows, limiterOf } from "./tollgate.ts";

const MOST_BUCKETS = 2_000_000;

const closesNothing = async () => {};

/** An empty limiter, which may be asked more than once. */
export interface Runner {
  run(calls: readonly Call[]): Promise<number>;
  close(): Promise<void>;
}

const inMemory = <Answer>(decider: Decider<Answer>, close = closesNothing): Runner => ({
  run: (calls) => askAll(calls, 1, decider),
  close,
});

/** How each is made. */
export const WAYS = {
  tollgate(limits: readonly Limit[]) {
    const limiter = limiterOf(limits, memoryStore({ maxBuckets: MOST_BUCKETS }));
    return inMemory({ decide: (call) => limiter.consume(call), allows }, () => limiter.close());
  },

  flexible(limits: readonly Limit[], rule: Rule) {
    // An empty prefix is its documented way to spare a concatenation; each limiter has a storage of its own anyway.
    const parts = limits.map(({ quota, key }) => {
      return { limiter: new RateLimiterMemory({ keyPrefix: "", points: quota, duration: WINDOW_SECONDS }), key };
    });
    const isDenial = (error: unknown) => error instanceof RateLimiterRes;
    return inMemory({ decide: flexibly(parts, rule), allows: () => true, isDenial }, async () => {
      // It keeps a timer a key: left behind, they would slow the next contender down.
      for (const { limiter } of parts) for (const { key } of limiter.dump().storage) await limiter.delete(key);
    });
  },

  /** As the middleware asks its store; it then compares the hits with the limit. */
  express({ quota, key }: Limit) {
    const store = new MemoryStore();
    store.init({ windowMs: WINDOW_SECONDS * 1_000 } as Options);
    return inMemory(
      { decide: (call) => store.increment(key(call)), allows: ({ totalHits }) => totalHits <= quota },
      async () => store.shutdown(),
    );
  },

  bareForm: (limit: Limit) => inMemory({ decide: bareForm(limit), allows }),

  leanMap: (limits: readonly Limit[]) => inMemory({ decide: leanMap(limits), allows: ({ allowed }) => allowed }),
};

/** How rate-limiter-flexible is asked about one limit, or several: one after the other, or all at once. */
export function flexibly(
  parts: readonly { readonly limiter: RateLimiterAbstract; readonly key: Limit["key"] }[],
  rule: Rule,
): (call: Call) => Promise<unknown> {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return (call) => only.limiter.consume(only.key(call));
  if (rule === "all at once") return (call) => Promise.all(parts.map(({ limiter, key }) => limiter.consume(key(call))));
  return async (call) => {
    for (const { limiter, key } of parts) await limiter.consume(key(call));
  };
}

/**
 * All of them under one limit.
 *
 * @param live sessions that have called once before the round begins
 */
export function contendersOnOne(group: string, limit: Limit, live: readonly string[]): Contender[] {
  const first = live.map((session): Call => ({ tool: "search", session, user: "user-0" }));
  const one = (name: string, kind: Kind, make: () => Runner) =>
    contender(
      { group, name, kind },
      (calls) => mustAdmit(calls, [limit], "all or none", Math.min(1, live.length)),
      make,
      first,
    );
  return [
    one("Tollgate", "tollgate", () => WAYS.tollgate([limit])),
    one(PEER, "peer", () => WAYS.flexible([limit], "all at once")),
    one("express-rate-limit, its MemoryStore", "peer", () => WAYS.express(limit)),
    one("bare form, with the whole decision", "floor", () => WAYS.bareForm(limit)),
    one("bare Map, a yes or no", "floor", () => WAYS.leanMap([limit])),
  ];
}

/** Those that have a way to ask for several. */
export function contendersOnSeveral(group: string, limits: readonly Limit[]): Contender[] {
  const several = (name: string, kind: Kind, rule: Rule, make: () => Runner) =>
    contender({ group, name, kind }, (calls) => mustAdmit(calls, limits, rule), make, []);
  return [
    several("Tollgate", "tollgate", "all or none", () => WAYS.tollgate(limits)),
    several(`${PEER}, in turn`, "peer", "one after the other", () => WAYS.flexible(limits, "one after the other")),
    several(`${PEER}, Promise.all`, "peer", "all at once", () => WAYS.flexible(limits, "all at once")),
    several("bare Map, a yes or no", "floor", "all or none", () => WAYS.leanMap(limits)),
  ];
}

function contender(
  named: Pick<Contender, "group" | "name" | "kind">,
  mustAdmit: Contender["mustAdmit"],
  make: () => Runner,
  first: readonly Call[],
): Contender {
  return {
    ...named,
    mustAdmit,
    async open(calls) {
      const { run, close } = make();
      await run(first);
      return { run: () => run(calls), close };
    },
  };
}

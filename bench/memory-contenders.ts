// The contenders in memory. Each gets one call after the other, as from a caller that awaits each answer.

import { MemoryStore, type Options } from "express-rate-limit";
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { memoryStore } from "tollgate/stores/memory";
import { askAll, type Call, type Decider, type Limit, mustAdmit, PEER, type Rule, WINDOW_SECONDS } from "./calls.ts";
import { bareForm, leanMap } from "./floors.ts";
import type { Contender, Kind } from "./race.ts";
import { allows, limiterOf, tollgateDecider } from "./tollgate.ts";

const MAX_BUCKETS = 2_000_000;

/** An empty limiter. It may be asked more than once. */
export interface Runner {
  run(calls: readonly Call[]): Promise<number>;
  close(): Promise<void>;
}

const inMemory = <Answer>(decider: Decider<Answer>, close = async () => {}): Runner => ({
  run: (calls) => askAll(calls, 1, decider),
  close,
});

/** How each contender is made. */
export const WAYS = {
  tollgate(limits: readonly Limit[]) {
    const limiter = limiterOf(limits, memoryStore({ maxBuckets: MAX_BUCKETS }));
    return inMemory(tollgateDecider(limiter), () => limiter.close());
  },

  flexible(limits: readonly Limit[], rule: Rule) {
    // Its documentation names an empty prefix to save a concatenation. Each limiter has a storage of its own anyway.
    const parts = limits.map(({ quota, key }) => {
      return { limiter: new RateLimiterMemory({ keyPrefix: "", points: quota, duration: WINDOW_SECONDS }), key };
    });
    const isDenial = (error: unknown) => error instanceof RateLimiterRes;
    return inMemory({ decide: askingAll(parts, rule), allows: () => true, isDenial }, async () => {
      // It keeps a timer for each key, which would slow the next contender down.
      for (const { limiter } of parts) for (const { key } of limiter.dump().storage) await limiter.delete(key);
    });
  },

  /** As the middleware asks its store; the middleware compares the hits with the limit. */
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

/** How rate-limiter-flexible is asked about one limit or several: one after the other, or all at once. */
export function askingAll(
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

const NAMES_OF_RULES = { "one after the other": "in turn", "all at once": "Promise.all" } as const;

/**
 * All contenders under one limit.
 *
 * @param live sessions that have called once before the round begins
 */
export function contendersOnOne(group: string, limit: Limit, live: readonly string[]): Contender[] {
  const first = live.map((session): Call => ({ tool: "search", session, user: "user-0" }));
  const one = (name: string, kind: Kind, make: () => Runner): Contender => ({
    group,
    name,
    kind,
    mustAdmit: (calls) => mustAdmit(calls, [limit], "all or none", Math.min(1, live.length)),
    open: (calls) => opened(make(), calls, first),
  });
  return [
    one("Tollgate", "tollgate", () => WAYS.tollgate([limit])),
    one(PEER, "peer", () => WAYS.flexible([limit], "all at once")),
    one("express-rate-limit, its MemoryStore", "peer", () => WAYS.express(limit)),
    one("bare form, with the whole decision", "floor", () => WAYS.bareForm(limit)),
    one("bare Map, a yes or no", "floor", () => WAYS.leanMap([limit])),
  ];
}

/** The contenders that can be asked about several limits. */
export function contendersOnSeveral(group: string, limits: readonly Limit[]): Contender[] {
  const several = (name: string, kind: Kind, rule: Rule, make: () => Runner): Contender => ({
    group,
    name,
    kind,
    mustAdmit: (calls) => mustAdmit(calls, limits, rule),
    open: (calls) => opened(make(), calls, []),
  });
  const peer = (rule: keyof typeof NAMES_OF_RULES) =>
    several(`${PEER}, ${NAMES_OF_RULES[rule]}`, "peer", rule, () => WAYS.flexible(limits, rule));
  return [
    several("Tollgate", "tollgate", "all or none", () => WAYS.tollgate(limits)),
    peer("one after the other"),
    peer("all at once"),
    several("bare Map, a yes or no", "floor", "all or none", () => WAYS.leanMap(limits)),
  ];
}

async function opened({ run, close }: Runner, calls: readonly Call[], first: readonly Call[]) {
  await run(first);
  return { run: () => run(calls), close };
}

// The contenders in memory. Each gets one call after the other, as from a caller that awaits each answer.

import { MemoryStore, type Options } from "express-rate-limit";
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { memoryStore } from "tollgate/stores/memory";
import { askAll, type Call, type Limit, PEER, type Rule, WINDOW_SECONDS } from "./calls.ts";
import { bareForm, leanMap } from "./floors.ts";
import type { Contender, Opened } from "./race.ts";
import { allows, tollgate } from "./tollgate.ts";

const MAX_BUCKETS = 2_000_000;

/** How each contender is made, empty. */
export const WAYS = {
  tollgate: (limits: readonly Limit[]) => tollgate(limits, memoryStore({ maxBuckets: MAX_BUCKETS })),

  flexible(limits: readonly Limit[], rule: Rule) {
    // Its documentation names an empty prefix to save a concatenation. Each limiter has a storage of its own anyway.
    const parts = limits.map(({ quota, key }) => {
      return { limiter: new RateLimiterMemory({ keyPrefix: "", points: quota, duration: WINDOW_SECONDS }), key };
    });
    const isDenial = (error: unknown) => error instanceof RateLimiterRes;
    const close = async () => {
      // It keeps a timer for each key, which would slow the next contender down.
      for (const { limiter } of parts) for (const { key } of limiter.dump().storage) await limiter.delete(key);
    };
    return { decide: askingAll(parts, rule), allows: () => true, isDenial, close };
  },

  /** As the middleware asks its store; the middleware compares the hits with the limit. */
  express({ quota, key }: Limit) {
    const store = new MemoryStore();
    store.init({ windowMs: WINDOW_SECONDS * 1_000 } as Options);
    return {
      decide: (call: Call) => store.increment(key(call)),
      allows: ({ totalHits }: { readonly totalHits: number }) => totalHits <= quota,
      close: async () => store.shutdown(),
    };
  },

  bareForm: (limit: Limit) => ({ decide: bareForm(limit), allows }),

  leanMap: (limits: readonly Limit[]) => ({
    decide: leanMap(limits),
    allows: ({ allowed }: { readonly allowed: boolean }) => allowed,
  }),
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

/**
 * All contenders under one limit.
 *
 * @param live sessions that have called once before the round begins
 */
export function contendersOnOne(group: string, limit: Limit, live: readonly string[]): Contender[] {
  const first = live.map((session): Call => ({ tool: "search", session, user: "user-0" }));
  const about = { group, limits: [limit], rule: "all or none", inFlight: 1, spentBefore: 1 } as const;
  const one = (name: string, make: () => Opened): Contender => ({
    ...about,
    name,
    async open() {
      const opened = make();
      await askAll(first, 1, opened);
      return opened;
    },
  });
  return [
    one("Tollgate", () => WAYS.tollgate([limit])),
    one(PEER, () => WAYS.flexible([limit], "all at once")),
    one("express-rate-limit, its MemoryStore", () => WAYS.express(limit)),
    one("bare form, with the whole decision", () => WAYS.bareForm(limit)),
    one("bare Map, a yes or no", () => WAYS.leanMap([limit])),
  ];
}

/** The contenders that can be asked about several limits. */
export function contendersOnSeveral(group: string, limits: readonly Limit[]): Contender[] {
  const about = { group, limits, inFlight: 1 };
  const peer = (name: string, rule: Rule): Contender => {
    return { ...about, name: `${PEER}, ${name}`, rule, open: async () => WAYS.flexible(limits, rule) };
  };
  const rule = "all or none";
  return [
    { ...about, name: "Tollgate", rule, open: async () => WAYS.tollgate(limits) },
    peer("in turn", "one after the other"),
    peer("Promise.all", "all at once"),
    { ...about, name: "bare Map, a yes or no", rule, open: async () => WAYS.leanMap(limits) },
  ];
}

// Instances that share one limit under a given load, in simulated time: how many calls each of them makes in each
// millisecond is given, and how much of the limit had been used when the first call was denied is measured.

import { mock } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { slowStore } from "./slow-store.ts";

type LimitInput = PolicyInput["limits"][number];

/** Which limit lends, and how often each instance calls. */
export interface Scenario {
  readonly limit: LimitInput & { readonly quota: number };
  readonly instances: number;
  /** How many calls an instance makes in one millisecond. */
  calls(instance: number, ms: number): number;
  /** How long the load lasts, ms. */
  readonly lastsMs: number;
}

/** What came of it. */
export interface Played {
  readonly admitted: number;
  /** How many units calls had used when the first one was denied; `null` when none was. */
  readonly usedAtFirstDenial: number | null;
  /** The most units that all instances together held without using them. */
  readonly mostUnused: number;
  /** How many requests the store was asked. */
  readonly asked: number;
  /** The longest `retryAfterMs` of a denied call while instances held unused units. */
  readonly longestRetryMs: number;
}

const CALL = { tool: "search" };

/** Plays a load. */
export async function play({ limit, instances, calls, lastsMs }: Scenario): Promise<Played> {
  const ticking = mock.timers;
  ticking.enable({ apis: ["setInterval"] });
  try {
    const { store, clock, asked } = slowStore();
    const reader = createLimiter({ policy: { version: 1, limits: [limit] }, store, denyCacheMs: 0 });
    const limiters = Array.from({ length: instances }, () =>
      createLimiter({ policy: { version: 1, limits: [limit] }, store, denyCacheMs: 0 }),
    );
    let admitted = 0;
    let usedAtFirstDenial: number | null = null;
    let mostUnused = 0;
    let longestRetryMs = 0;
    for (let ms = 0; ms < lastsMs; ms++) {
      const retries: number[] = [];
      const made = limiters.flatMap((limiter, i) =>
        Array.from({ length: calls(i, ms) }, async () => {
          const { allowed, retryAfterMs } = await limiter.consume(CALL);
          if (allowed) admitted++;
          else {
            usedAtFirstDenial ??= admitted;
            retries.push(retryAfterMs ?? Number.POSITIVE_INFINITY);
          }
        }),
      );
      await Promise.all(made);
      await settled();
      const unused = ((await reader.usage(CALL))[0]?.used ?? 0) - admitted;
      mostUnused = Math.max(mostUnused, unused);
      if (unused > 0) longestRetryMs = Math.max(longestRetryMs, ...retries);
      clock.advance(1);
      ticking.tick(1);
    }
    return { admitted, usedAtFirstDenial, mostUnused, asked: asked.requests.length, longestRetryMs };
  } finally {
    ticking.reset();
  }
}

/** Lets what goes on beside calls come to its end. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await new Promise(setImmediate);
}

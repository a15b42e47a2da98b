// Callers that never stop, and what they saw: for tests that disturb a server in the middle of it.

import { setTimeout as sleep } from "node:timers/promises";
import { type BucketDimensions, type Limiter, StoreError } from "tollgate";

/** What callers saw so far. */
export interface Seen {
  acknowledged: number;
  denied: number;
  /** How many of the acknowledged ones were decided by shares. */
  byShares: number;
  /** The least bound that any of those stated; `Infinity` where there were none. */
  statedOvershoot: number;
  /** Calls that failed, which may nevertheless be booked. */
  failed: number;
  readonly codes: Set<string>;
  /** Errors that are not the store's. */
  readonly others: unknown[];
}

/** Calls that go on until `end`, each caller's one after the other. */
export interface Load {
  readonly seen: Readonly<Seen>;
  end(): Promise<Readonly<Seen>>;
}

/** @param pauseMs between the calls of one caller */
export function startLoad(
  limiters: readonly Limiter[],
  callers: number,
  nextCall: () => BucketDimensions & { tool: string },
  pauseMs = 0,
): Load {
  const seen: Seen = {
    acknowledged: 0,
    denied: 0,
    byShares: 0,
    statedOvershoot: Number.POSITIVE_INFINITY,
    failed: 0,
    codes: new Set(),
    others: [],
  };
  let isOver = false;
  const callAgainAndAgain = async (limiter: Limiter) => {
    while (!isOver) {
      try {
        const { allowed, degraded } = await limiter.consume(nextCall());
        if (allowed) seen.acknowledged++;
        else seen.denied++;
        if (allowed && degraded !== null) seen.byShares++;
        seen.statedOvershoot = Math.min(seen.statedOvershoot, degraded?.maxOvershoot ?? Number.POSITIVE_INFINITY);
        if (pauseMs > 0) await sleep(pauseMs);
      } catch (error) {
        seen.failed++;
        if (StoreError.isInstance(error)) seen.codes.add(error.code);
        else seen.others.push(error);
        await sleep(5);
      }
    }
  };
  const ends = limiters.flatMap((limiter) => Array.from({ length: callers }, () => callAgainAndAgain(limiter)));
  return {
    seen,
    async end() {
      isOver = true;
      await Promise.all(ends);
      return seen;
    },
  };
}

/** Waits until something holds; what it waits for is in the error of a wait that is too long. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  for (const endMs = Date.now() + withinMs; !(await holds()); await sleep(10)) {
    if (Date.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
  }
}

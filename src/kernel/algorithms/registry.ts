// Which algorithm judges which limit, and which one reads which stored text.

import type { Algorithm } from "./algorithm.ts";
import type { CounterState } from "./counter.ts";
import { type FixedWindowLimit, fixedWindow } from "./fixed-window.ts";
import { type GcraLimit, type GcraState, gcra } from "./gcra.ts";
import { type QuotaLimit, quota } from "./quota.ts";
import { type SlidingWindowLimit, type SlidingWindowState, slidingWindow } from "./sliding-window.ts";

/** A limit as an algorithm takes it: numbers alone, resolved for one call. */
export type LimitSpec = QuotaLimit | FixedWindowLimit | SlidingWindowLimit | GcraLimit;

/** What a store keeps for one bucket. */
export type BucketState = CounterState | SlidingWindowState | GcraState;

const algorithms: Record<LimitSpec["algorithm"], Algorithm<LimitSpec, BucketState>> = {
  quota,
  "fixed-window": fixedWindow,
  "sliding-window": slidingWindow,
  gcra,
};

/** The algorithm of a limit. It must be given only its own limits and, by `kind`, its own states. */
export function algorithmOf(limit: LimitSpec): Algorithm<LimitSpec, BucketState> {
  return algorithms[limit.algorithm];
}

/** A state as text, for stores that keep text: a plain integer, or `<tag><version> <numbers>`. */
export function encodeState(state: BucketState): string {
  switch (state.kind) {
    case "counter":
      return quota.encode(state);
    case "sliding-window":
      return slidingWindow.encode(state);
    case "gcra":
      return gcra.encode(state);
  }
}

/** The state that `encodeState` wrote, or `null` when the text is damaged. */
export function decodeState(text: string, expiresAtMs: number): BucketState | null {
  if (text.startsWith("s")) return slidingWindow.decode(text, expiresAtMs);
  if (text.startsWith("g")) return gcra.decode(text, expiresAtMs);
  return quota.decode(text, expiresAtMs);
}

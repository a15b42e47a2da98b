// What a store remembers of its shards: buckets of many callers that are nearly full. A call takes units there only when its
// narrower shards have allowed it, because what it takes and gives back could be the last units that another call needs.

import { type Clock, monotonicClock } from "../../clock.ts";
import { algorithmOf } from "../../kernel/algorithms/registry.ts";
import { tagOf } from "../../kernel/key.ts";
import type { Step, StepReply } from "../../kernel/request.ts";

/** Most buckets that are remembered. One more, and all are forgotten. */
const MAX_BUCKETS = 10_000;
/** For how long one is remembered that no call has asked since. */
const KEPT_MS = 1_000;
/** Fewer free units than this part of the capacity are few, and also fewer than so many, unless they are half of all. */
const FEW_PART = 1 / 32;
const FEW_UNITS = 256;

export class ShardMemory {
  /** Requests that give units back, and have no answer yet. */
  givingBack = 0;
  readonly #clock: Clock;
  /** When each bucket is forgotten. */
  readonly #endsAtMs = new Map<string, number>();

  /** @param clock the clock by which it forgets */
  constructor(clock: Clock = monotonicClock) {
    this.#clock = clock;
  }

  isTight(bucket: string): boolean {
    return this.#clock.nowMs() < (this.#endsAtMs.get(bucket) ?? 0);
  }

  learn({ bucket, limit }: Step, { used, granted = 0 }: StepReply): void {
    const capacity = algorithmOf(limit).capacity(limit) + granted;
    if (capacity - used >= Math.max(capacity * FEW_PART, Math.min(FEW_UNITS, capacity / 2))) {
      this.#endsAtMs.delete(bucket);
      return;
    }
    if (this.#endsAtMs.size >= MAX_BUCKETS) this.#endsAtMs.clear();
    this.#endsAtMs.set(bucket, this.#clock.nowMs() + KEPT_MS);
  }
}

/**
 * How many calls share the shard of a bucket: 0, those of one value of the partition; 1, those of one value of another
 * dimension; 2, all. A value that looks like another kind changes only the order.
 */
export function widthOf(bucket: string): number {
  const tag = tagOf(bucket);
  if (bucket.endsWith(`}:${tag}`)) return 2;
  return tag.includes("=") ? 1 : 0;
}

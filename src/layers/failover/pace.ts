// How often an instance asks the store without a call. The interval grows with the number of instances, so that all of them
// together do not overload the store; and it is random, so that they do not ask at the same instant.

import { type Clock, monotonicClock, pauseAfter, setTimer, type Timer } from "../../clock.ts";

/** Up to 6,000 instances together beat at most about 70 times a second. */
const BEAT_MS_PER_INSTANCE = 20;
const LEAST_BEAT_MS = 2_000;
const MOST_BEAT_MS = 120_000;
/** For how many intervals after its last beat an instance counts as alive. */
const INTERVALS_ALIVE = 5;

/** Shards that do not count the instances get a beat less often: 61 of them together at most 760 times a second. */
const LEAST_SHARD_MS = 10_000;
const SHARD_MS_PER_INSTANCE = 4 * BEAT_MS_PER_INSTANCE;

/** While the store is away, all instances together look for it at most about 270 times a second. */
const PROBE_MS_PER_INSTANCE = 5;
const LEAST_PROBE_MS = 250;
/** The first pause is this part of the longest one, and at most `MOST_FIRST_MS`. */
const FIRST_PART = 1 / 5;
const MOST_FIRST_MS = 1_000;

/** The longest time between two beats of one of so many instances, at least `leastMs`, ms. */
export function beatEachMs(instances: number, leastMs = LEAST_BEAT_MS): number {
  return Math.min(MOST_BEAT_MS, Math.max(leastMs, instances * BEAT_MS_PER_INSTANCE));
}

/** The longest time between two beats of one of so many instances to a shard that does not count them, ms. */
export function shardBeatEachMs(instances: number): number {
  return Math.min(MOST_BEAT_MS, Math.max(LEAST_SHARD_MS, instances * SHARD_MS_PER_INSTANCE));
}

/** How long the store counts one of so many instances after its beat, ms. */
export function livesMs(instances: number): number {
  return INTERVALS_ALIVE * beatEachMs(instances);
}

/** How long one of so many instances pauses before it looks for the store again, ms, after so many failures. */
export function probeAfterMs(failures: number, instances: number): number {
  const mostMs = longestProbeMs(instances);
  return pauseAfter(failures, Math.min(MOST_FIRST_MS, mostMs * FIRST_PART), mostMs);
}

/** How long one of so many instances pauses between two probes at most, however long the store is away, ms. */
export function longestProbeMs(instances: number): number {
  return Math.max(LEAST_PROBE_MS, instances * PROBE_MS_PER_INSTANCE);
}

/** A pause that can be made shorter. It keeps no process alive. */
export class Pause {
  readonly #clock: Clock;
  #endsAtMs = 0;
  #timer: Timer | undefined;
  #resolve: () => void = () => {};

  constructor(clock: Clock = monotonicClock) {
    this.#clock = clock;
  }

  of(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#set(ms);
    });
  }

  /** Ends a pause within so many ms from now. */
  shorten(ms: number): void {
    if (this.#clock.nowMs() + ms < this.#endsAtMs) this.#set(ms);
  }

  end(): void {
    this.#timer?.cancel();
    this.#resolve();
  }

  #set(ms: number): void {
    this.#timer?.cancel();
    this.#endsAtMs = this.#clock.nowMs() + ms;
    this.#timer = setTimer(this.#clock, ms, this.#resolve);
    this.#timer.unref?.();
  }
}

// How often an instance asks the store without a call. The interval grows with the number of instances, so that all of them
// together ask a store no more often than it can well bear; and it is random, so that they do not ask at the same instant.

import { pauseAfter } from "../../clock.ts";

/** All instances together beat some 70 times a second at most, up to 6,000 of them. */
const BEAT_MS_PER_INSTANCE = 20;
const LEAST_BEAT_MS = 2_000;
const MOST_BEAT_MS = 120_000;
/** An instance counts as alive for so many intervals after its last beat. */
const INTERVALS_ALIVE = 5;

/** While the store is away, each of them looks for it at least so often, and all together some 270 times a second at most. */
const PROBE_MS_PER_INSTANCE = 5;
const LEAST_PROBE_MS = 1_000;
/** The first pause is such a part of the longest, and no longer than the other. */
const FIRST_PART = 1 / 5;
const FIRST_MS_MAX = 1_000;

/** The longest time between two beats of one of so many instances, ms. */
export function beatEachMs(instances: number, leastMs = LEAST_BEAT_MS): number {
  return Math.min(MOST_BEAT_MS, Math.max(leastMs, instances * BEAT_MS_PER_INSTANCE));
}

/** How long the store counts one of so many instances after its beat, ms. */
export function livesMs(instances: number): number {
  return INTERVALS_ALIVE * beatEachMs(instances);
}

/** How long one of so many instances pauses before it looks for the store again, ms, after so many failures. */
export function probeAfterMs(failures: number, instances: number): number {
  const mostMs = longestProbeMs(instances);
  return pauseAfter(failures, Math.min(FIRST_MS_MAX, mostMs * FIRST_PART), mostMs);
}

/** How long one of so many instances pauses between two probes at most, however long the store is away, ms. */
export function longestProbeMs(instances: number): number {
  return Math.max(LEAST_PROBE_MS, instances * PROBE_MS_PER_INSTANCE);
}

/** A pause that can be made shorter. It keeps no process alive. */
export class Pause {
  #endsAtMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #resolve: () => void = () => {};

  /** Resolves after so many ms. */
  of(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#set(ms);
    });
  }

  /** Ends a pause within so many ms from now. */
  shorten(ms: number): void {
    if (performance.now() + ms < this.#endsAtMs) this.#set(ms);
  }

  /** Ends a pause now. */
  end(): void {
    clearTimeout(this.#timer);
    this.#resolve();
  }

  #set(ms: number): void {
    clearTimeout(this.#timer);
    this.#endsAtMs = performance.now() + ms;
    this.#timer = setTimeout(this.#resolve, ms);
    // In Node it would keep the process alive.
    (this.#timer as { unref?: () => void }).unref?.();
  }
}

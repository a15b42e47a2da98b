// Units of one bucket that an instance has borrowed: spent in the store, and free to be taken here until they end. How much
// is borrowed next follows from how fast the last units went, and from what is left for all.

import { algorithmOf, type LimitSpec } from "../../kernel/algorithms/registry.ts";
import type { StepReply, StoreReply } from "../../store.ts";

/** Most units that are borrowed at once. */
const MAX_UNITS = 100_000;
/** Of what is free at most this part is borrowed, so that near the end each call asks the store. */
const PART = 8;
/** Borrowed again sooner than this, ms: four times as many. */
const SOON_MS = 250;
/** Borrowed again later than this, ms: a quarter. */
const LATE_MS = 1_000;
/** After so long without a call units are given back, ms. */
export const IDLE_MS = 1_000;
/** How long units are kept at most until the store is asked how the bucket stands, ms. */
const MAX_KEPT_MS = 60_000;

/** What one bucket has lent to this instance. Times are of the layer's clock, but for `borrowedAtMs`. */
export class Account {
  readonly limit: LimitSpec;
  /** Units that may be taken. */
  left = 0;
  isBorrowing = false;
  /** The store's time of the last loan. */
  borrowedAtMs = 0;
  /** Set when the last loan was made while the store was away. */
  degraded: StoreReply["degraded"];
  #takenMs: number;
  #endsAtMs = 0;
  #life = 0;
  #size = 1;
  #sizedMs = Number.NEGATIVE_INFINITY;
  /** How the bucket stood when units were borrowed last, and when that was. */
  #step: StepReply = { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 };
  #seenMs = 0;

  constructor(limit: LimitSpec, nowMs: number) {
    this.limit = limit;
    this.#takenMs = nowMs;
  }

  /** Whether units are there for a cost. One that is not known takes none, and needs one. */
  has(cost: number, nowMs: number): boolean {
    return nowMs < this.#endsAtMs && this.left >= Math.max(1, cost);
  }

  /** Takes units. Returns the life of the account that they are of: with another window another one begins. */
  take(cost: number, nowMs: number): number {
    this.left -= cost;
    this.#takenMs = nowMs;
    return this.#life;
  }

  /** Puts units back that were taken for a call which others denied. Those of a window that is over are gone with it. */
  putBack(cost: number, life: number, nowMs: number): void {
    if (life === this.#life && nowMs < this.#endsAtMs) this.left += cost;
  }

  isIdle(nowMs: number): boolean {
    return nowMs - this.#takenMs >= IDLE_MS || (this.left > 0 && nowMs >= this.#endsAtMs);
  }

  /** Units to borrow now, after a call of this process was charged; 0 where each call should ask the store by itself. */
  wanted({ used, granted = 0 }: StepReply, nowMs: number): number {
    const sinceMs = nowMs - this.#sizedMs;
    if (sinceMs < SOON_MS) this.#size = Math.min(MAX_UNITS, this.#size * 4);
    else if (sinceMs > LATE_MS) this.#size = Math.max(1, Math.floor(this.#size / 4));
    this.#sizedMs = nowMs;
    this.#takenMs = nowMs;
    const free = algorithmOf(this.limit).capacity(this.limit) - used;
    const units = Math.min(this.#size, Math.floor(free / PART));
    // What is granted ends at an instant that only the store knows.
    return granted > 0 || units < 2 ? 0 : units;
  }

  /** Whether it is time to borrow, before nothing is left. */
  get isLow(): boolean {
    return this.left * 2 < this.#size;
  }

  /** Takes a loan, of which the store said how the bucket stands. */
  borrowed(
    units: number,
    step: StepReply,
    { nowMs: storeMs, degraded }: StoreReply,
    sentMs: number,
    nowMs: number,
  ): void {
    if (nowMs >= this.#endsAtMs) {
      this.left = 0;
      this.#life++;
    }
    this.left += units;
    this.borrowedAtMs = storeMs;
    // From before it was sent: the bucket's window is not over before.
    this.#endsAtMs = sentMs + Math.min(step.resetAfterMs, MAX_KEPT_MS);
    this.#step = step;
    this.#seenMs = nowMs;
    this.degraded = degraded;
  }

  /** Learns how the bucket stood when it was asked for something else. */
  sees({ used }: StepReply): void {
    this.#step = { ...this.#step, used };
  }

  /** How the bucket stands, as far as it is known here. */
  shown(nowMs: number): StepReply {
    const { used, resetAfterMs } = this.#step;
    const ageMs = Math.floor(nowMs - this.#seenMs);
    return {
      allowed: true,
      used: Math.max(0, used - this.left),
      resetAfterMs: Math.max(0, resetAfterMs - ageMs),
      retryAfterMs: 0,
    };
  }

  /** The store's time, as far as it is known here. */
  storeMsAt(nowMs: number): number {
    return this.borrowedAtMs + Math.floor(nowMs - this.#seenMs);
  }

  /** How the last view of it stood. */
  get seen(): StepReply {
    return this.#step;
  }
}

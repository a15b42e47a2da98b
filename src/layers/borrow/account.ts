// Units of one bucket that this instance has borrowed: the store counts them as used, and calls of this process may take
// them until they end. How many are borrowed next follows from how fast calls took the last ones, and from how many are
// left. It knows no store: the layer (../borrow.ts) asks.

import { algorithmOf, type LimitSpec } from "../../kernel/algorithms/registry.ts";
import type { Step, StepHints, StepReply, StoreReply } from "../../kernel/request.ts";

/** Most units in one loan. */
const MAX_UNITS = 100_000;
/** All instances together hold at most a 32nd of the free units without using them. */
const FREE_PER_BORROWED = 32;
/** A loan lasts about this long at the rate of the last calls, ms, plus twice the time that the last one took to arrive. */
const LASTS_MS = 100;
/** Of that time at most this much counts, ms. */
const MAX_TRIP_MS = 450;
/** A loan is at most this many times as large as the one before. */
const GROWTH = 4;
/** Calls that are further apart than this say nothing about a rate, ms. */
const RATE_MS = 1_000;
/** Work that takes longer than this was cut off, ms. */
const BUSY_MS = 10_000;
/** How long it is assumed that other instances hold as many units as the store last said, ms. */
const OTHERS_MS = 50;

/** One loan. The store counts it as unused until it is settled. */
export interface Loan {
  readonly id: string;
  readonly units: number;
}

/** Units that go back to the store, and loans that are over. */
export interface Returned {
  readonly bucket: string;
  readonly limit: LimitSpec;
  readonly units: number;
  /** When the units were borrowed, in the store's time. */
  readonly atMs: number;
  /** When the units end, by the layer's clock. */
  readonly endsAtMs: number;
  readonly loans: readonly string[];
}

/** What this instance has borrowed of one bucket under one limit. Times are of the layer's clock, except the store's. */
export class Account {
  readonly bucket: string;
  /** Units that calls may take. */
  left = 0;
  /** Set while units are on their way here, or back to the store. */
  busy: Promise<void> | null = null;
  #busyUntilMs = 0;
  /** Units that are on their way back to the store. */
  returning = 0;
  /** When units were last back in the store. */
  returnedMs = Number.NEGATIVE_INFINITY;
  /** Whether the bucket was reset: units that arrive later may have been wiped out with it. */
  isReset = false;
  /** Set when the last loan was decided without the store. It stays as long as the units: `#isAway` changes with each answer. */
  degraded: StoreReply["degraded"];
  /** Whether the last answer came without the store. */
  #isAway = false;
  #limit: LimitSpec;
  readonly #onStoreError: StepHints["onStoreError"];
  /** Loans that were not settled, the oldest first. Calls use up the oldest first. */
  #loans: Loan[] = [];
  /** Loans that were used up, and not settled. */
  #spentLoans: string[] = [];
  /** Units that calls have taken whose other limits have not answered yet. */
  #pending = 0;
  #borrowedAtMs = 0;
  #endsAtMs = 0;
  /** Which window the units are of. */
  #window = 0;
  /** Units that calls took, from here and from the store, since the account was opened. */
  #used = 0;
  #usedAtTick = 0;
  /** How many units the last loan brought, and how long it took to arrive. */
  #lastLoan = 1;
  #tripMs = 0;
  /** When the rate of calls was measured last. */
  #ratedAtMs = Number.NEGATIVE_INFINITY;
  #usedAtRating = 0;
  /** Units that other instances hold, and until when that is assumed. */
  #others = 0;
  #othersUntilMs = Number.NEGATIVE_INFINITY;
  /** How the bucket stood when the store last said so, and when that was. */
  #seen: StepReply = { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 };
  #seenMs = 0;
  #storeMs = 0;

  constructor({ bucket, limit, hints }: Step) {
    this.bucket = bucket;
    this.#limit = limit;
    this.#onStoreError = hints?.onStoreError;
  }

  /** Whether it lends to a step: a reload makes new limits, and an unchanged one has the same numbers. */
  isFor({ limit, hints }: Step): boolean {
    if (hints?.onStoreError !== this.#onStoreError) return false;
    if (limit === this.#limit) return true;
    // One parser makes both: their keys have one order.
    if (JSON.stringify(limit) !== JSON.stringify(this.#limit)) return false;
    this.#limit = limit;
    return true;
  }

  /** Whether units are on their way. In a Worker that may end without notice, with its request. */
  isBusy(nowMs: number): boolean {
    return this.busy !== null && nowMs < this.#busyUntilMs;
  }

  occupy(work: Promise<void>, nowMs: number): void {
    this.busy = work;
    this.#busyUntilMs = nowMs + BUSY_MS;
  }

  /** The work that occupied it has ended. */
  freed(work: Promise<void>): void {
    if (this.busy !== work) return;
    this.busy = null;
    this.returning = 0;
  }

  /** Whether the units suffice for a cost. An unknown cost (0) takes none and needs one. */
  has(cost: number, nowMs: number): boolean {
    if (this.#isAway && this.#onStoreError === "deny") return false;
    return nowMs < this.#endsAtMs && this.left >= Math.max(1, cost);
  }

  take(cost: number): void {
    this.left -= cost;
    this.#used += cost;
  }

  /** Takes units for a call that other limits may still deny. Returns the window that they are of. */
  takePending(cost: number): number {
    this.take(cost);
    this.#pending += cost;
    return this.#window;
  }

  /** The other limits of a call have answered. Units of a window that is over are not put back. */
  answered(cost: number, window: number, isAllowed: boolean, nowMs: number): void {
    if (window !== this.#window) return;
    this.#pending -= cost;
    if (isAllowed) return;
    this.#used -= cost;
    if (nowMs < this.#endsAtMs) this.left += cost;
  }

  /** The store has charged a call that found too few units here. */
  charged(cost: number): void {
    this.#used += cost;
  }

  /** Whether it is time to borrow, before nothing is left. */
  get isLow(): boolean {
    return this.left * 2 < this.#lastLoan;
  }

  /** Units that all instances together may hold unused now. */
  get lendable(): number {
    const { used, granted = 0 } = this.#seen;
    // Only the store knows when a grant ends.
    if (granted > 0) return 0;
    return Math.max(0, Math.floor((algorithmOf(this.#limit).capacity(this.#limit) - used) / FREE_PER_BORROWED));
  }

  /**
   * Begins a new measurement of the rate. Returns the units to borrow now: as many as calls take while it lasts, or 0 where each
   * call should ask the store by itself.
   */
  nextLoan(nowMs: number): number {
    if (this.#isAway || this.lendable < 2) return 0;
    this.#moveSpent();
    const sinceMs = nowMs - this.#ratedAtMs;
    const rate = (this.#used - this.#usedAtRating) / Math.max(1, sinceMs);
    this.#ratedAtMs = nowMs;
    this.#usedAtRating = this.#used;
    if (sinceMs > RATE_MS) {
      this.#lastLoan = 1;
      return 0;
    }
    const most = Math.min(MAX_UNITS, this.#lastLoan * GROWTH);
    const units = Math.min(most, Math.floor(rate * this.#lastsMs), this.#room(nowMs));
    return units < 2 ? 0 : units;
  }

  /** Takes a loan, of which the store said how the bucket stands and what all instances hold. */
  borrowed(loan: Loan, charged: StepReply, held: StepReply, reply: StoreReply, sentMs: number, nowMs: number): void {
    if (this.isReset) return;
    if (sentMs >= this.#endsAtMs) this.#end();
    this.left += loan.units;
    this.#loans.push(loan);
    this.#lastLoan = loan.units;
    this.#tripMs = Math.min(MAX_TRIP_MS, nowMs - sentMs);
    this.#borrowedAtMs = reply.nowMs;
    this.degraded = reply.degraded;
    // Counted from before the loan was asked for, so that it ends before the bucket's window does.
    this.#endsAtMs = sentMs + charged.resetAfterMs;
    this.heldByAll(held, nowMs);
  }

  get #lastsMs(): number {
    return LASTS_MS + 2 * this.#tripMs;
  }

  /** Learns how many units all instances hold. Without an answer nothing is borrowed for a while. */
  heldByAll(held: StepReply | undefined, nowMs: number): void {
    this.#others = (held?.used ?? Number.POSITIVE_INFINITY) - this.#own;
    this.#othersUntilMs = nowMs + OTHERS_MS;
  }

  /** Units of loans that the store counts as unused. */
  get #own(): number {
    return this.#loans.reduce((sum, { units }) => sum + units, 0);
  }

  /** What may still be lent, and for one loan half of it all, so that there is a next one before the last is used up. */
  #room(nowMs: number): number {
    const others = nowMs < this.#othersUntilMs ? this.#others : 0;
    return Math.min(this.lendable - this.#own - others, Math.floor(this.lendable / 2));
  }

  /** Learns how the bucket stands. */
  sees(found: StepReply, { nowMs: storeMs, degraded }: StoreReply, nowMs: number): void {
    this.#seen = found;
    this.#seenMs = nowMs;
    this.#storeMs = storeMs;
    this.#isAway = degraded !== undefined;
  }

  /** How the bucket stands, as far as it is known here. */
  shown(nowMs: number): StepReply {
    const { used, resetAfterMs } = this.#seen;
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
    return this.#storeMs + Math.floor(nowMs - this.#seenMs);
  }

  /** Loans of which nothing is left: the caller settles them. */
  spentLoans(): string[] {
    this.#moveSpent();
    return this.#spentLoans.splice(0);
  }

  #moveSpent(): void {
    let unused = this.left + this.#pending;
    let kept = this.#loans.length;
    while (kept > 0 && unused > 0) unused -= this.#loans[--kept]?.units ?? 0;
    for (const { id } of this.#loans.splice(0, kept)) this.#spentLoans.push(id);
  }

  /** What is more than the calls since the last time need: all of it when there were none. */
  surplus(nowMs: number): Returned | null {
    if (nowMs >= this.#endsAtMs) this.#end();
    const used = Math.max(0, this.#used - this.#usedAtTick);
    const needed = Math.ceil((used * this.#lastsMs) / LASTS_MS);
    this.#usedAtTick = this.#used;
    // Up to twice as much stays: under a rate that varies, units would be borrowed and returned in turns.
    return this.#give(this.left > 2 * needed ? this.left - needed : 0);
  }

  everything(): Returned | null {
    return this.#give(this.left);
  }

  /** Whether nothing would be lost if it were forgotten, and no call has used it since the last time. */
  get isIdle(): boolean {
    const isEmpty = this.left === 0 && this.#pending === 0 && this.#loans.length === 0 && this.#spentLoans.length === 0;
    return isEmpty && this.#used === this.#usedAtTick;
  }

  #give(units: number): Returned | null {
    this.left -= units;
    this.returning += units;
    const loans = this.spentLoans();
    if (units === 0 && loans.length === 0) return null;
    const { bucket } = this;
    return { bucket, limit: this.#limit, units, atMs: this.#borrowedAtMs, endsAtMs: this.#endsAtMs, loans };
  }

  /** The window is over, and its units with it. */
  #end(): void {
    this.left = 0;
    this.#pending = 0;
    this.#window++;
  }
}

// States in this process's memory, bounded: for the memory store, and for an instance whose store is unreachable.

import { algorithmOfKind, type SpentState } from "../kernel/algorithms/registry.ts";
import { replyPlain } from "../kernel/decide.ts";
import { isSettledKey } from "../kernel/key.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { States, StoredState } from "../kernel/state.ts";
import { KEPT_ENDS, newIn, roomFor, SWEPT_PER_NEW } from "./room.ts";

// Buckets looked at before a new one is refused for want of room: a bound on how long that may take.
const SWEPT_AT_CAPACITY = 1_000;

export class BoundedStates {
  /** Most buckets, and answers for idempotency keys. */
  max: number;
  readonly #buckets = new Map<string, StoredState>();
  /** Up to where buckets were looked at for expiry. */
  #hand = this.#buckets.entries();
  /** Kept answers of ended holds. They take the room that buckets leave, and the oldest are forgotten first. */
  readonly #ends = new Map<string, StoredState>();
  /** Kept between calls: a new iterator would step over all that was deleted since the map was last rehashed. */
  #ageing = this.#ends.entries();
  /** The answer that `#ageing` has reached: looked at, and too young to be forgotten. */
  #oldest: readonly [key: string, state: StoredState] | null = null;

  /** What `decidePlain` finds and what it makes of that, in lists that it need not make for each call. */
  readonly #before: (StoredState | undefined)[] = [];
  readonly #after: (StoredState | undefined)[] = [];

  constructor(max: number) {
    this.max = max;
  }

  /** What is kept for each key of a request, in the order of `keysOf`. */
  read({ mode, steps, once }: StoreRequest): (StoredState | undefined)[] {
    const states = new Array<StoredState | undefined>(steps.length);
    for (let i = 0; i < steps.length; i++) states[i] = this.#buckets.get((steps[i] as Step).bucket);
    if (once !== undefined && mode !== "peek") states.push(this.#mapOf(once.key).get(once.key));
    return states;
  }

  /** How many buckets there are, and answers for idempotency keys but those of ended holds. */
  get size(): number {
    return this.#buckets.size;
  }

  get(bucket: string): StoredState | undefined {
    return this.#buckets.get(bucket);
  }

  clear(): void {
    this.#buckets.clear();
    this.#ends.clear();
    this.#oldest = null;
  }

  /**
   * Keeps what a request made of its states, all or nothing.
   *
   * @returns whether there was room
   */
  write(request: StoreRequest, before: States, next: States, reply: StoreReply, nowMs: number): boolean {
    const { steps, once } = request;
    const added = addedIn(before, next, next.length);
    if (added > 0 && !this.#makeRoom(added, request, next, reply, nowMs)) return false;
    this.#keep(steps, before, next, nowMs);
    if (once === undefined || next.length === steps.length) return true;
    if (this.#oldest?.[0] === once.key) this.#oldest = null;
    const answer = next[steps.length];
    if (answer === undefined) this.#mapOf(once.key).delete(once.key);
    else this.#mapOf(once.key).set(once.key, answer);
    this.#forgetEnds(nowMs);
    return true;
  }

  /**
   * The reply to a request of charges alone, which is booked as well; `null` where `read` and `write` have to do it: the request
   * is another one, or there may be no room for its buckets.
   */
  decidePlain(request: StoreRequest, nowMs: number): StoreReply | null {
    const { steps } = request;
    if (!this.#hasRoomFor(steps.length)) return null;
    const before = this.#before;
    const after = this.#after;
    for (let i = 0; i < steps.length; i++) before[i] = after[i] = this.#buckets.get((steps[i] as Step).bucket);
    const reply = replyPlain(request, after, nowMs, true);
    if (reply === null || !reply.allowed || isSame(before, after, steps.length)) return reply;
    const added = addedIn(before, after, steps.length);
    if (added > 0) this.#sweep(added * SWEPT_PER_NEW, nowMs);
    this.#keep(steps, before, after, nowMs);
    return reply;
  }

  #keep(steps: readonly Step[], before: States, after: States, nowMs: number): void {
    for (let i = 0; i < steps.length; i++) {
      const { bucket } = steps[i] as Step;
      const state = after[i];
      if (state === undefined) this.#buckets.delete(bucket);
      else if (!updateInPlace(before[i], state, nowMs)) this.#buckets.set(bucket, state);
    }
  }

  #mapOf(key: string): Map<string, StoredState> {
    return isSettledKey(key) ? this.#ends : this.#buckets;
  }

  /** Whether there is room for so many buckets more, without looking for expired ones. */
  #hasRoomFor(count: number): boolean {
    return this.#buckets.size + count <= this.max;
  }

  #makeRoom(added: number, request: StoreRequest, next: States, reply: StoreReply, nowMs: number): boolean {
    this.#sweep(added * SWEPT_PER_NEW, nowMs);
    if (this.#hasRoomFor(next.length)) return true;
    const most = roomFor(request, reply, this.max);
    const isThere = (key: string) => this.#buckets.has(key);
    const hasRoom = () => this.#buckets.size + newIn(request, (i) => next[i] !== undefined, isThere) <= most;
    if (hasRoom()) return true;
    this.#sweep(SWEPT_AT_CAPACITY, nowMs);
    return hasRoom();
  }

  /** Moves the hand over `count` buckets and drops those that have expired. */
  #sweep(count: number, nowMs: number): void {
    for (let looked = 0; looked < count && this.#buckets.size > 0; looked++) {
      const { done, value } = this.#hand.next();
      if (done === true) this.#hand = this.#buckets.entries();
      else if (nowMs >= value[1].expiresAtMs) this.#buckets.delete(value[0]);
    }
  }

  /** Drops the oldest answers of ended holds: those for which there is no room, and some that have expired. */
  #forgetEnds(nowMs: number): void {
    const most = Math.max(KEPT_ENDS, this.max - this.#buckets.size);
    for (let dropped = 0; this.#ends.size > 0; ) {
      if (this.#oldest === null) {
        const { done, value } = this.#ageing.next();
        if (done === true) this.#ageing = this.#ends.entries();
        else this.#oldest = value;
        continue;
      }
      const [key, { expiresAtMs }] = this.#oldest;
      const isOver = nowMs >= expiresAtMs && dropped < SWEPT_PER_NEW;
      if (this.#ends.size <= most && !isOver) return;
      this.#ends.delete(key);
      this.#oldest = null;
      dropped++;
    }
  }
}

/**
 * Counts in place where only the count has changed: a new object in an old map would be the collector's work, at each call.
 * What refers to the old object means the bucket (such as the bases of the failover's local decisions).
 *
 * @returns whether it could; states without an algorithm of their kind, such as one with holds, are always replaced
 */
function updateInPlace(before: StoredState | undefined, after: StoredState, nowMs: number): boolean {
  if (before === after) return true;
  // One that has ended may have been swept away by now.
  if (before === undefined || nowMs >= before.expiresAtMs || before.kind !== after.kind) return false;
  return algorithmOfKind(before.kind as string)?.overwrite?.(before as SpentState, after as SpentState) ?? false;
}

/** Whether the first `count` keys hold the same objects; the counts in them may have changed. */
function isSame(before: States, after: States, count: number): boolean {
  for (let i = 0; i < count; i++) if (before[i] !== after[i]) return false;
  return true;
}

/** How many of the first `count` keys hold something now that held nothing. */
function addedIn(before: States, after: States, count: number): number {
  let added = 0;
  for (let i = 0; i < count; i++) if (before[i] === undefined && after[i] !== undefined) added++;
  return added;
}

// Tells the store again and again that this instance lives, and learns from the answers how many instances there are and
// whether the store still has what it held. What follows from that is for the failover layer to decide.

import { inBackground, monotonicClock, spread, type Timer } from "../../clock.ts";
import { within } from "../../deadlines.ts";
import type { Beat, Member } from "../../store/shared-store.ts";
import type { InstanceNames, Members } from "./members.ts";
import { beatEachMs, shardBeatEachMs, livesMs } from "./pace.ts";
import type { StoreLink } from "./store-link.ts";

/** When an instance beats again after its first beat: those that started with it have come by then. */
const SECOND_BEAT_MS = 250;
/** A client may lose a command and never answer it: after this, an answer is not waited for. */
export const FORGOTTEN_AFTER_MS = 10_000;
/** How many buckets a beat names, so that the store can tell whether it has lost them. */
const SEEN_BUCKETS = 64;

export interface BeatListener {
  /** It is time for a beat. The layer sends it, unless its state needs none. */
  due(): Promise<void>;
  /** The store's time is known from now on. */
  dated(): void;
  /** The store has counted more instances than before. */
  grown(instances: number): void;
  /** A beat was answered after its deadline. */
  late(): void;
}

export class Heartbeat {
  readonly #link: StoreLink;
  readonly #members: Members;
  readonly #names: InstanceNames;
  readonly #listener: BeatListener;
  /** Whether the store counts the instances. Else beats only ask whether it still has what it held. */
  readonly #counts: boolean;
  #timer: Timer | undefined;
  #isEnded = false;

  constructor(link: StoreLink, members: Members, names: InstanceNames, listener: BeatListener, counts = true) {
    this.#link = link;
    this.#members = members;
    this.#names = names;
    this.#listener = listener;
    this.#counts = counts;
  }

  /**
   * Beats once; no process lives for it, unless a call waits for it. Throws a `StoreError` also after the deadline; a later
   * answer is still learnt from.
   */
  async beat({ isAwaited = false } = {}): Promise<Beat> {
    const { store, deadlineMs } = this.#link;
    const sentMs = monotonicClock.nowMs();
    const asked = within(FORGOTTEN_AFTER_MS, store.beat(this.#member()), { isAwaited: false }).then((beat) => {
      if (!this.#isEnded) this.#learn(beat, sentMs);
      return beat;
    });
    try {
      return await within(deadlineMs, asked, { isAwaited });
    } catch (error) {
      throw this.#link.failureOf(error);
    }
  }

  start(): void {
    if (this.#timer === undefined) this.#next(livesMs(1), SECOND_BEAT_MS);
  }

  end(): void {
    this.#isEnded = true;
    this.#timer?.cancel();
  }

  /** Tells the store that this instance leaves, if the store answers in time. */
  async leave(): Promise<void> {
    if (!this.#counts) return;
    const { store, deadlineMs } = this.#link;
    await within(deadlineMs, store.beat({ ...this.#member(), livesMs: 0 })).catch(() => {});
  }

  #next(aliveMs: number, leastMs?: number): void {
    const { count } = this.#members;
    // The last beat is good for `aliveMs`: the next one comes at half of that, however many instances have come since.
    const ms = this.#counts ? Math.min(beatEachMs(count, leastMs), aliveMs / 2) : shardBeatEachMs(count);
    const beat = async () => {
      const nextLivesMs = livesMs(this.#members.count);
      await this.#listener.due();
      if (!this.#isEnded) this.#next(nextLivesMs);
    };
    this.#timer = inBackground(spread(ms), beat);
  }

  #learn(beat: Beat, sentMs: number): void {
    const { time } = this.#link;
    const isFirst = !time.isKnown;
    time.learn(beat.nowMs, sentMs);
    if (isFirst) this.#listener.dated();
    if (this.#counts && this.#members.learn(beat)) this.#listener.grown(beat.instances);
    if (monotonicClock.nowMs() - sentMs >= this.#link.deadlineMs) this.#listener.late();
  }

  #member(): Member {
    const { views, time } = this.#link;
    const seen: string[] = [];
    for (const [bucket] of views.live(time.nowMs())) {
      if (seen.length === SEEN_BUCKETS) break;
      seen.push(bucket);
    }
    return { ...this.#names, livesMs: livesMs(this.#members.count), seen };
  }
}

// Tells the store again and again that this instance lives, and learns from the answers how many instances there are and
// whether the store still has what it held. What follows from that is for the failover layer to decide.

import { spread, within } from "../../clock.ts";
import type { Beat, Member } from "../../store/shared-store.ts";
import type { Members } from "./members.ts";
import { beatEachMs, livesMs } from "./pace.ts";
import type { Sender } from "./sender.ts";

/** When an instance beats again after its first beat: those that started with it have come by then. */
const SECOND_BEAT_MS = 250;
/** Clients forget commands for good: an answer is not waited for any longer than this. */
const FORGOTTEN_AFTER_MS = 10_000;
/** How many buckets a beat names, so that the store can tell whether it has lost them. */
const SEEN_BUCKETS = 64;

/** What hears of beats. */
export interface BeatListener {
  /** It is time for another beat. */
  due(): Promise<void>;
  /** The store has counted more instances than before. */
  grown(instances: number): void;
  /** A beat was answered after its deadline. */
  late(): void;
}

/** The beats of one instance. */
export class Heartbeat {
  readonly #sender: Sender;
  readonly #members: Members;
  readonly #names: Pick<Member, "group" | "instance">;
  readonly #listener: BeatListener;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isEnded = false;

  constructor(sender: Sender, members: Members, names: Pick<Member, "group" | "instance">, listener: BeatListener) {
    this.#sender = sender;
    this.#members = members;
    this.#names = names;
    this.#listener = listener;
  }

  /**
   * Beats once.
   *
   * @param isAwaited whether a call waits for it; else it keeps no process alive
   * @throws StoreError also after the deadline; a later answer is still learnt from
   */
  async beat(isAwaited = false): Promise<Beat> {
    const { store, deadlineMs } = this.#sender;
    const sentMs = performance.now();
    const asked = within(FORGOTTEN_AFTER_MS, store.beat(this.#member()), { isAwaited: false }).then((beat) => {
      if (!this.#isEnded) this.#learn(beat, sentMs);
      return beat;
    });
    try {
      return await within(deadlineMs, asked, { isAwaited });
    } catch (error) {
      throw this.#sender.failureOf(error);
    }
  }

  /** Beats from now on. */
  start(): void {
    if (this.#timer === undefined) this.#next(livesMs(1), SECOND_BEAT_MS);
  }

  /** Beats no more. */
  end(): void {
    this.#isEnded = true;
    clearTimeout(this.#timer);
  }

  /** Tells the store that this instance leaves, if the store answers in time. */
  async leave(): Promise<void> {
    const { store, deadlineMs } = this.#sender;
    await within(deadlineMs, store.beat({ ...this.#member(), livesMs: 0 })).catch(() => {});
  }

  #next(livedMs: number, leastMs?: number): void {
    // There may be many more now than when it said how long it lives.
    const ms = Math.min(beatEachMs(this.#members.count, leastMs), livedMs / 2);
    this.#timer = setTimeout(async () => {
      const nextLivesMs = livesMs(this.#members.count);
      await this.#listener.due();
      if (!this.#isEnded) this.#next(nextLivesMs);
    }, spread(ms)).unref();
  }

  #learn(beat: Beat, sentMs: number): void {
    this.#sender.time.learn(beat.nowMs, sentMs);
    if (this.#members.learn(beat)) this.#listener.grown(beat.instances);
    if (performance.now() - sentMs >= this.#sender.deadlineMs) this.#listener.late();
  }

  #member(): Member {
    const { views, time } = this.#sender;
    const seen: string[] = [];
    for (const [bucket] of views.live(time.nowMs())) {
      if (seen.length === SEEN_BUCKETS) break;
      seen.push(bucket);
    }
    return { ...this.#names, livesMs: livesMs(this.#members.count), seen };
  }
}

// A remote store without a network: its state is a map, its time is given, and each request to it can be lost on the way
// there, on the way back, or come late.

import { networkLayers } from "../../src/layers/network.ts";
import {
  type Beat,
  bookBatch,
  LONGEST_LIFE_MS,
  MARK_KEY,
  type Member,
  type ReadState,
  type SharedStore,
  type StoredState,
  StoreError,
  type StoreReply,
  type StoreRequest,
  type Terms,
} from "../../src/store/api.ts";
import { type Clock, fakeClock } from "../../src/testing/testing.ts";

/**
 * What becomes of a request. `answer`: nothing bad. `lose-request`: it never arrives, and rejects. `lose-reply`: it is
 * carried out, and rejects. `refuse`: the store answers that it will never book it. `hang`: it never arrives, and never settles. `late`: it rejects, and arrives by `deliver`.
 */
export type Fault = "answer" | "lose-request" | "lose-reply" | "refuse" | "hang" | "late";

type Replies = readonly (StoreReply | StoreError)[];

/** A remote store for tests. */
export class RemoteStore implements SharedStore {
  readonly layers = networkLayers;
  readonly batching = { size: 64, underWay: 4 };
  /** Of the next batches, one after the other. */
  readonly faults: Fault[] = [];
  /** Of each batch after those, and of each beat: `late` is as `lose-request` there. */
  fault: Fault = "answer";
  /** A bucket that it finds damaged. */
  damaged: string | undefined;
  /** What is on its way, the first one first. */
  readonly late: (() => Replies)[] = [];
  /** What it holds: buckets, answers, receipts, the mark. */
  readonly states = new Map<string, StoredState>();
  readonly #clock: Clock;
  /** For each group, until when each instance lives. */
  readonly #groups = new Map<string, Map<string, number>>();
  #marks = 0;
  #closed = false;

  constructor(clock: Clock = fakeClock()) {
    this.#clock = clock;
  }

  /** Loses everything, the mark too. */
  flush(): void {
    this.states.clear();
    this.#groups.clear();
  }

  /** What it holds, for `restore`. */
  snapshot(): ReadonlyMap<string, StoredState> {
    return new Map(this.states);
  }

  /** Starts again from a snapshot, and knows that it may have lost some of what it held. */
  restore(snapshot: ReadonlyMap<string, StoredState>): void {
    this.flush();
    for (const [key, state] of snapshot) if (key !== MARK_KEY) this.states.set(key, state);
  }

  /** Lets the first batch arrive that is late. Only the test gets the answer; what refuses it is thrown. */
  deliver(): Replies {
    const arrive = this.late.shift();
    if (arrive === undefined) throw new Error("nothing is late");
    return arrive();
  }

  apply(requests: readonly StoreRequest[]): Promise<Replies> {
    return this.book(requests, {});
  }

  async book(requests: readonly StoreRequest[], terms: Terms): Promise<Replies> {
    const fault = this.faults.shift() ?? this.fault;
    const arrive = () => this.#arrive(requests, terms);
    if (fault === "late") this.late.push(arrive);
    return this.#through(fault, arrive);
  }

  async beat(member: Member): Promise<Beat> {
    return this.#through(this.fault, () => this.#beat(member));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #through<Answer>(fault: Fault, arrive: () => Answer): Answer | Promise<never> {
    if (this.#closed) throw new StoreError("closed", "the remote store was closed", { transient: false });
    if (fault === "hang") return new Promise(() => {});
    if (fault === "answer") return arrive();
    if (fault === "refuse") throw new StoreError("unavailable", "the remote store: refuse", { transient: false });
    try {
      if (fault === "lose-reply") arrive();
    } catch {
      // A refusal is lost, too.
    }
    throw new StoreError("unavailable", `the remote store: ${fault}`, { transient: true });
  }

  #arrive(requests: readonly StoreRequest[], terms: Terms): Replies {
    const { replies, changed } = bookBatch(requests, (key) => this.#read(key), this.#clock.nowMs(), terms);
    for (const [key, state] of changed) {
      if (state === undefined) this.states.delete(key);
      else this.states.set(key, state);
    }
    return replies;
  }

  #read(key: string): ReadState {
    return key === this.damaged ? null : this.states.get(key);
  }

  #beat({ group, instance, livesMs, seen }: Member): Beat {
    const nowMs = this.#clock.nowMs();
    const mark = this.states.get(MARK_KEY) ?? this.#newMark(seen);
    if (mark.kind !== "mark") throw new Error("the mark is none");
    const lives = this.#groups.get(group) ?? new Map<string, number>();
    this.#groups.set(group, lives);
    for (const [name, untilMs] of lives) lives.set(name, Math.min(untilMs, nowMs + LONGEST_LIFE_MS));
    lives.set(instance, nowMs + livesMs);
    const living = [...lives].filter(([, untilMs]) => nowMs < untilMs).map(([name]) => name);
    const rank = living.filter((name) => name < instance).length;
    return { incarnation: mark.incarnation, lost: mark.lost, instances: living.length, rank, nowMs };
  }

  #newMark(seen: readonly string[]): StoredState {
    const isThere = seen.length === 0 ? this.states.size > 0 : seen.some((key) => this.states.has(key));
    const lost = isThere ? "some" : "all";
    const mark = {
      kind: "mark",
      expiresAtMs: Number.MAX_SAFE_INTEGER,
      incarnation: `m${++this.#marks}`,
      lost,
    } as const;
    this.states.set(MARK_KEY, mark);
    return mark;
  }
}

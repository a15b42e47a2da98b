// The store's server: a store in memory that decides by the kernel, as the script of Redis does. It can restart with less than it
// held, refuse what it is asked, and hold damaged values.

import {
  type Beat,
  bookBatch,
  LONGEST_LIFE_MS,
  MARK_KEY,
  type Member,
  type ReadState,
  type StoreAnswer,
  type StoredState,
  StoreError,
  type StoreErrorCode,
  type StoreRequest,
  type Terms,
} from "../../src/store/api.ts";
import type { Act } from "./acts.ts";
import type { Machine } from "./machine.ts";
import type { Fault } from "./schedule.ts";

/** What a server answers that cannot do what it is asked, and whether it may later. */
export const REFUSALS = {
  "read-only": true,
  loading: true,
  "out-of-memory": true,
  unauthorized: false,
} as const satisfies Partial<Record<StoreErrorCode, boolean>>;
export type Refusal = keyof typeof REFUSALS;

/** Whether the server refuses what it is asked for a reason that is not an outage. */
export function isRefusal(fault: Fault): boolean {
  return fault.type === "refuse" && !REFUSALS[fault.refusal];
}

/** What an instance takes back after an outage it does by itself: no caller waits for that. */
const NO_CALLER = "";

/** In the keys of buckets that count what instances have borrowed. */
const BORROWED = ":$borrowed:";

/** One change of what it holds: the snapshots and the replica are made of them. */
interface Change {
  readonly atMs: number;
  readonly key: string;
  readonly state: StoredState | undefined;
}

export class StoreServer {
  readonly machine: Machine;
  /** What it holds: buckets, answers, receipts, the mark. */
  readonly states = new Map<string, StoredState>();
  /** Keys whose values nothing can read. */
  readonly damaged = new Set<string>();
  /** How many of its restarts have begun and not ended. */
  #restarting = 0;
  refusal: Refusal | null = null;
  /** By key, when it was last changed, in the world's time. */
  readonly changedAtMs = new Map<string, number>();
  /** By key, when each instance last freed units, in the world's time: by a grant, a reset, or a call that it took back. */
  readonly #freedAtMs = new Map<string, Map<string, number>>();
  /** How many requests came at once at most. */
  largestBatch = 0;
  /** By the bucket that counts them, how many borrowed units instances held unused at most when the store lent some. */
  readonly lent = new Map<string, number>();
  readonly #changes: Change[] = [];
  readonly #groups = new Map<string, Map<string, number>>();
  #marks = 0;
  /** Whether it began with a mark of an earlier server: then it has lost no more than its last writes. */
  #hadMark = false;
  readonly #onAct: (act: Act) => void;

  constructor(machine: Machine, onAct: (act: Act) => void) {
    this.machine = machine;
    this.#onAct = onAct;
  }

  /** Whether it answers. */
  get isUp(): boolean {
    return this.#restarting === 0;
  }

  nowMs(): number {
    return this.machine.wallMs();
  }

  /** @param by the instance that asks */
  book(requests: readonly StoreRequest[], terms: Terms, by: string): readonly StoreAnswer[] {
    this.largestBatch = Math.max(this.largestBatch, requests.length);
    this.#refuse();
    const act = { type: "book", nowMs: this.nowMs(), requests, terms } as const;
    try {
      const { replies, changed } = bookBatch(requests, (key) => this.read(key), act.nowMs, terms);
      for (const [key, state] of changed) this.#write(key, state);
      for (const [i, request] of requests.entries()) {
        this.#seeLoan(request, replies[i]);
        this.#seeFreed(request, by);
      }
      this.#onAct({ ...act, answers: replies });
      return replies;
    } catch (error) {
      this.#onAct({ ...act, answers: error as Error });
      throw error;
    }
  }

  #seeLoan({ mode, steps }: StoreRequest, reply: StoreAnswer | undefined): void {
    if (mode !== "judge" || reply === undefined || StoreError.isInstance(reply) || !reply.allowed) return;
    for (const [i, { bucket, event }] of steps.entries()) {
      if (event.type !== "hold" || !bucket.includes(BORROWED)) continue;
      this.lent.set(bucket, Math.max(this.lent.get(bucket) ?? 0, reply.steps[i]?.used ?? 0));
    }
  }

  #seeFreed({ mode, steps }: StoreRequest, by: string): void {
    for (const { bucket, event } of steps) {
      if (mode !== "undo" && event.type !== "grant" && event.type !== "reset") continue;
      const times = this.#freedAtMs.get(bucket) ?? new Map<string, number>();
      this.#freedAtMs.set(bucket, times);
      times.set(mode === "undo" ? NO_CALLER : by, this.machine.world.nowMs);
    }
  }

  /** Whether units of a bucket were freed after an instant, but for those that an instance has freed itself, as it knows. */
  isFreedSince(key: string, sinceMs: number, butBy: string | null): boolean {
    const times = [...(this.#freedAtMs.get(key) ?? [])];
    return times.some(([by, atMs]) => atMs > sinceMs && by !== butBy);
  }

  read(key: string): ReadState {
    return this.damaged.has(key) ? null : this.states.get(key);
  }

  beat(member: Member): Beat {
    this.#refuse();
    const beat = this.#beat(member);
    this.#onAct({ type: "beat", nowMs: beat.nowMs, member, beat });
    return beat;
  }

  #beat({ group, instance, livesMs, seen }: Member): Beat {
    const nowMs = this.nowMs();
    const mark = this.states.get(MARK_KEY) ?? this.#newMark(seen);
    if (mark.kind !== "mark") throw new Error("the mark is none");
    const lives = this.#groups.get(group) ?? new Map<string, number>();
    this.#groups.set(group, lives);
    for (const [name, untilMs] of lives) {
      if (untilMs <= nowMs) lives.delete(name);
      else lives.set(name, Math.min(untilMs, nowMs + LONGEST_LIFE_MS));
    }
    if (livesMs === 0) lives.delete(instance);
    else lives.set(instance, nowMs + livesMs);
    const rank = livesMs === 0 ? 0 : [...lives.keys()].filter((name) => name < instance).length;
    return { incarnation: mark.incarnation, lost: mark.lost, instances: lives.size, rank, nowMs };
  }

  end(): void {
    this.#restarting++;
  }

  /**
   * Starts again with what it held so many ms ago: from a snapshot, as a replica that lagged, or (0) with everything. `null`: with
   * nothing. A server that starts again makes a new mark, because it may have lost its last writes.
   */
  restart(agoMs: number | null): void {
    const sinceMs = agoMs === null ? 0 : this.machine.world.nowMs - agoMs;
    const kept = agoMs === null ? [] : this.#changes.filter(({ atMs }) => atMs <= sinceMs);
    this.states.clear();
    if (agoMs === null) this.damaged.clear();
    this.#groups.clear();
    this.#changes.splice(0);
    const damaged = [...this.damaged];
    // It may have started again since, and made no mark by then: the one before is still there.
    this.#hadMark = kept.some(({ key }) => key === MARK_KEY) || (this.#hadMark && kept.length > 0);
    for (const { key, state } of kept) if (key !== MARK_KEY) this.#write(key, state);
    for (const key of damaged) this.damaged.add(key);
    this.#restarting--;
    this.#onAct({ type: "restart", states: new Map(this.states), damaged, hasMark: this.#hadMark });
  }

  damage(key: string): void {
    this.damaged.add(key);
    this.changedAtMs.set(key, this.machine.world.nowMs);
    this.#onAct({ type: "damage", key });
  }

  #refuse(): void {
    const { refusal } = this;
    if (refusal === null) return;
    throw new StoreError(refusal, `the server says ${refusal}`, { transient: REFUSALS[refusal] });
  }

  #write(key: string, state: StoredState | undefined): void {
    if (state === undefined) this.states.delete(key);
    else this.states.set(key, state);
    this.damaged.delete(key);
    this.changedAtMs.set(key, this.machine.world.nowMs);
    this.#changes.push({ atMs: this.machine.world.nowMs, key, state });
  }

  #newMark(seen: readonly string[]): StoredState {
    const held = new Set([...this.states.keys(), ...this.damaged]);
    const isThere = this.#hadMark || (seen.length === 0 ? held.size > 0 : seen.some((key) => held.has(key)));
    const mark: StoredState = {
      kind: "mark",
      expiresAtMs: Number.MAX_SAFE_INTEGER,
      incarnation: `m${++this.#marks}`,
      lost: isThere ? "some" : "all",
    };
    this.#write(MARK_KEY, mark);
    return mark;
  }
}

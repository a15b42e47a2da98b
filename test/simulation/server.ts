// The store's server, or a shard of a cluster: a store in memory that decides by the kernel, as the script of Redis does. It can restart
// with less than it held, refuse what it is asked, and hold damaged values.

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
  type StoreRequest,
  type Terms,
} from "../../src/store/api.ts";
import type { MarkState } from "../../src/kernel/state.ts";
import type { Act } from "./acts.ts";
import type { ServerProcess, StoreNode } from "./node.ts";

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
  /** Where it is: a shard may move. */
  node: StoreNode;
  /** Whether it moves to another one, and what waits meanwhile. */
  moving: { readonly answers: boolean; readonly waiting: (() => void)[] } | null = null;
  /** What it holds: buckets, answers, receipts, the mark. */
  readonly states = new Map<string, StoredState>();
  /** Keys whose values nothing can read. */
  readonly damaged = new Set<string>();
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
  /** When the mark was made, in the world's time. */
  markedAtMs = 0;
  /** By incarnation, the id of the process in which its mark was made. */
  readonly #madeBy = new Map<string, string>();
  /** Whether it began with a mark of an earlier server: then it has lost no more than its last writes. */
  #hadMark = false;
  readonly #onAct: (act: Act) => void;

  constructor(node: StoreNode, onAct: (act: Act) => void) {
    this.node = node;
    this.#onAct = onAct;
  }

  nowMs(): number {
    return this.node.machine.wallMs();
  }

  get #worldMs(): number {
    return this.node.machine.world.nowMs;
  }

  /** @param by the instance that asks */
  book(requests: readonly StoreRequest[], terms: Terms, by: string): readonly StoreAnswer[] {
    this.largestBatch = Math.max(this.largestBatch, requests.length);
    this.node.refuse();
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
      times.set(mode === "undo" ? NO_CALLER : by, this.#worldMs);
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
    this.node.refuse();
    const mark = this.#mark ?? this.#newMark(this.#lostFor(member.seen));
    const beat = this.count(member, mark);
    this.#onAct({ type: "beat", nowMs: beat.nowMs, member, beat });
    return beat;
  }

  /**
   * The mark of a shard. A new one where there is none, and where another process has made it; `null` where the instance has to name its
   * buckets for that.
   */
  markIn({ id }: ServerProcess, hasSeen: boolean, seen: readonly string[]): MarkState | null {
    const known = this.#mark;
    if (known !== undefined && this.#madeBy.get(known.incarnation) === id) return known;
    if (known === undefined && hasSeen && seen.length === 0) return null;
    const mark = this.#newMark(known === undefined ? this.#lostFor(seen) : "some");
    this.#madeBy.set(mark.incarnation, id);
    return mark;
  }

  get #mark(): MarkState | undefined {
    return this.states.get(MARK_KEY) as MarkState | undefined;
  }

  /** Counts the instances of a group, with one that beats. */
  count({ group, instance, livesMs }: Omit<Member, "seen">, mark: MarkState): Beat {
    const nowMs = this.nowMs();
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

  /**
   * Starts again with what it held so many ms ago: from a snapshot, as a replica that lagged, or (0) with everything. `null`: with
   * nothing. A server that starts again makes a new mark, because it may have lost its last writes.
   *
   * @param keepsMark a shard of a cluster has its mark also then, and another process sees that it did not make it
   */
  restart(agoMs: number | null, keepsMark = false): void {
    const sinceMs = agoMs === null ? 0 : this.#worldMs - agoMs;
    const kept = agoMs === null ? [] : this.#changes.filter(({ atMs }) => atMs <= sinceMs);
    this.states.clear();
    if (agoMs === null) this.damaged.clear();
    this.#groups.clear();
    this.#changes.splice(0);
    const damaged = [...this.damaged];
    // It may have started again since, and made no mark by then: the one before is still there.
    const hadMark = kept.some(({ key }) => key === MARK_KEY) || (this.#hadMark && kept.length > 0);
    this.#hadMark = !keepsMark && hadMark;
    for (const { key, state } of kept) {
      // What a shard's replica had heard of, the next one has, too.
      if (keepsMark) this.#write(key, state, sinceMs);
      else if (key !== MARK_KEY) this.#write(key, state);
    }
    for (const key of damaged) this.damaged.add(key);
    this.#onAct({ type: "restart", states: new Map(this.states), damaged, hasMark: this.#hadMark });
  }

  damage(key: string): void {
    this.damaged.add(key);
    this.changedAtMs.set(key, this.#worldMs);
    this.#onAct({ type: "damage", key });
  }

  #write(key: string, state: StoredState | undefined, atMs = this.#worldMs): void {
    if (state === undefined) this.states.delete(key);
    else this.states.set(key, state);
    this.damaged.delete(key);
    this.changedAtMs.set(key, this.#worldMs);
    this.#changes.push({ atMs, key, state });
  }

  /** What was lost before a mark is made, as an instance sees it. */
  #lostFor(seen: readonly string[]): "all" | "some" {
    const held = new Set([...this.states.keys(), ...this.damaged]);
    const isThere = this.#hadMark || (seen.length === 0 ? held.size > 0 : seen.some((key) => held.has(key)));
    return isThere ? "some" : "all";
  }

  #newMark(lost: "all" | "some"): MarkState {
    const incarnation = `m${++this.#marks}`;
    const mark = { kind: "mark", expiresAtMs: Number.MAX_SAFE_INTEGER, incarnation, lost } as const;
    this.#write(MARK_KEY, mark);
    this.markedAtMs = this.#worldMs;
    return mark;
  }
}

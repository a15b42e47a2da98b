// The Durable Object: one partition's buckets, decided by the kernel in the object's own SQLite, at the object's time. The
// runtime holds an answer back until what it says is stored (the output gate).

import { DurableObject } from "cloudflare:workers";
import { systemClock } from "../clock.ts";
import { keysOf } from "../kernel/decide.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { StoredState } from "../kernel/state.ts";
import { decideBatch } from "../store/batch.ts";
import { StoreError } from "../store/error.ts";
import { endsCall, newIn, SWEPT_PER_NEW } from "../store/room.ts";
import type { StoreAnswer } from "../store/store.ts";
import { fullObject, storageError } from "./errors.ts";
import { type BatchMessage, encodeAnswers, encodeError, PROTOCOL } from "./message.ts";
import { StatesTable } from "./table.ts";

/** @internal */
export const BOUNDS = {
  /** An object may have 10 GB. What ends a call has the rest. */
  bytes: 9_000_000_000,
  /** Rows that are written between two sweeps, and between two looks at the size. */
  writtenPerSweep: 64,
  /** Rows that a batch of a full object looks at. */
  sweptWhenFull: 1_000,
  /** Rows that one alarm looks at. */
  rowsPerAlarm: 10_000,
  /** The pause before the next alarm of one pass, ms. The runtime forgets an alarm for the instant of the one that runs. */
  pauseMs: 100,
  /** An alarm costs a request: an expired row may stay for so long, ms. */
  alarmEachMs: 600_000,
  /** The runtime takes no alarm of any distance, ms. */
  farthestAlarmMs: 365 * 86_400_000,
};

/**
 * Keeps the buckets of one partition. Export it from your Worker, bind it as a class with SQLite, and give the binding to
 * `durableObjectStore`. Keep nothing else in it: when its last bucket has ended, it deletes everything that it has.
 */
export class TollgateObject extends DurableObject {
  /** @internal For tests. */
  protected readonly bounds = BOUNDS;
  readonly #table = new StatesTable(this.ctx.storage);
  /** When the alarm goes off, epoch ms; `null`: none is set; `undefined`: not known yet. */
  #alarmAtMs: number | null | undefined;
  /** The first end of a row, among those that the alarms of this pass have seen and those that were written since. */
  #earliestMs = Number.POSITIVE_INFINITY;
  /** Up to which key alarms have looked at rows. */
  #alarmHand = "";
  /** The same for batches. */
  #batchHand = "";
  #written = 0;
  #isFull = false;

  /**
   * Decides a batch.
   *
   * @internal Only `durableObjectStore` calls it.
   */
  async decide(batch: string): Promise<string> {
    let reply: string;
    try {
      const { protocol, requests, nowMs = systemClock.nowMs() }: BatchMessage = JSON.parse(batch);
      if (protocol !== PROTOCOL) throw otherProtocol(protocol);
      if (this.#isFull) this.#sweep(this.bounds.sweptWhenFull, nowMs);
      else if (this.#written >= this.bounds.writtenPerSweep) this.#sweep(this.#written * SWEPT_PER_NEW, nowMs);
      reply = encodeAnswers(this.#isFull ? this.#decideInRoom(requests, nowMs) : this.#decideAll(requests, nowMs));
    } catch (error) {
      reply = encodeError(this.#failed(error));
    }
    if (this.#mustSetAlarm()) await this.#setAlarm();
    return reply;
  }

  /** Removes rows that have expired. The runtime calls it. */
  async alarm(): Promise<void> {
    this.#alarmAtMs = null;
    const nowMs = systemClock.nowMs();
    const from = this.#alarmHand;
    if (from === "") this.#earliestMs = Number.POSITIVE_INFINITY;
    this.#alarmHand = this.#table.sweep(from, this.bounds.rowsPerAlarm, nowMs);
    this.#earliestMs = Math.min(this.#earliestMs, this.#table.earliestMs(from, this.#alarmHand));
    if (this.#alarmHand !== "") return this.#setAlarm(nowMs + this.bounds.pauseMs);
    if (this.#mustSetAlarm()) return this.#setAlarm();
    this.#table.forget();
    await this.ctx.storage.deleteAll();
  }

  #decideAll(requests: readonly StoreRequest[], nowMs: number): readonly StoreAnswer[] {
    const states = this.#table.read([...new Set(requests.flatMap(keysOf))], nowMs);
    const { replies, changed } = decideBatch(requests, (key) => states.get(key), nowMs);
    this.#write(changed);
    return replies;
  }

  /** One by one: a call for which there is no room fails alone, and what ends a call never does. */
  #decideInRoom(requests: readonly StoreRequest[], nowMs: number): readonly StoreAnswer[] {
    return requests.map((request) => {
      try {
        const keys = keysOf(request);
        const states = this.#table.read(keys, nowMs);
        const { replies, changed } = decideBatch([request], (key) => states.get(key), nowMs);
        const isWritten = (i: number) => changed.get(keys[i] ?? "") !== undefined;
        const isAdding = newIn(request, isWritten, (key) => states.get(key) !== undefined) > 0;
        if (changed.size > 0 && isAdding && !endsCall(request)) return fullObject();
        this.#write(changed);
        return replies[0] as StoreAnswer;
      } catch (error) {
        return this.#failed(error);
      }
    });
  }

  /** The last that a batch does with the storage, so that it is written as a whole or not at all. */
  #write(changed: ReadonlyMap<string, StoredState | undefined>): void {
    if (changed.size === 0) return;
    this.#table.write(changed);
    this.#written += changed.size;
    for (const state of changed.values()) {
      if (state !== undefined && state.expiresAtMs < this.#earliestMs) this.#earliestMs = state.expiresAtMs;
    }
  }

  #failed(error: unknown): StoreError {
    this.#table.forget();
    return storageError(error);
  }

  #sweep(count: number, nowMs: number): void {
    this.#written = 0;
    this.#batchHand = this.#table.sweep(this.#batchHand, count, nowMs);
    this.#isFull = this.#table.size >= this.bounds.bytes;
  }

  /** Whether rows end, and no alarm that is known of goes off in time. */
  #mustSetAlarm(): boolean {
    if (this.#earliestMs === Number.POSITIVE_INFINITY) return false;
    const atMs = this.#alarmAtMs ?? Number.POSITIVE_INFINITY;
    return atMs > this.#nextAlarmMs();
  }

  /** When the first row ends, but not at once. */
  #nextAlarmMs(): number {
    const nowMs = systemClock.nowMs();
    const atMs = Math.max(this.#earliestMs, nowMs + this.bounds.alarmEachMs);
    return Math.min(atMs, nowMs + this.bounds.farthestAlarmMs);
  }

  /** Sets the alarm, unless one goes off before. */
  async #setAlarm(atMs = this.#nextAlarmMs()): Promise<void> {
    const setMs = this.#alarmAtMs === undefined ? await this.ctx.storage.getAlarm() : this.#alarmAtMs;
    this.#alarmAtMs = setMs;
    if (setMs !== null && setMs <= atMs) return;
    this.#alarmAtMs = atMs;
    try {
      await this.ctx.storage.setAlarm(atMs);
    } catch (error) {
      this.#alarmAtMs = undefined;
      throw error;
    }
  }
}

function otherProtocol(protocol: number): StoreError {
  const message = `the Worker sends messages of version ${protocol}, and the object reads version ${PROTOCOL}: deploy one version of Tollgate to both`;
  return new StoreError("schema-version", message, { transient: true });
}

// A Redis store and the kernel on a map of texts, which have to agree after each batch: in every reply, in every text that
// is stored and in when it expires.

import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import {
  bookBatch,
  decodeState,
  encodeState,
  keysOf,
  MARK_KEY,
  receiptsKey,
  type SharedStore,
  type StoreAnswer,
  type StoredState,
  StoreError,
  type StoreReply,
  type StoreRequest,
  type Terms,
  TermsError,
} from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { type FakeClock, fakeClock } from "tollgate/testing";
import { asShared } from "./store-suite.ts";

/** Where the time begins: so far ahead that Redis lets go of nothing by itself. */
export const NOW_MS = Date.UTC(2040, 0, 1) + 12_345;

/** What a store that keeps text holds under a key. */
interface Kept {
  readonly text: string;
  readonly expiresAtMs: number;
}

/** The kernel on a map of texts, which it reads and writes once a batch. */
class Model {
  readonly kept = new Map<string, Kept>();

  apply(requests: readonly StoreRequest[], nowMs: number): (StoreReply | string)[] {
    const replies = this.applyOn({}, requests, nowMs);
    return typeof replies === "string" ? assert.fail(replies) : replies;
  }

  /** The same on terms, as stores do it that run the kernel. Returns why all of it is refused, if it is. */
  applyOn(terms: Terms, requests: readonly StoreRequest[], nowMs: number): (StoreReply | string)[] | string {
    try {
      const { replies, changed } = bookBatch(requests, (key) => this.#read(key), nowMs, terms);
      this.#write(changed);
      return withCodes(replies);
    } catch (error) {
      if (!StoreError.isInstance(error)) throw error;
      return said(error);
    }
  }

  #write(changed: Iterable<readonly [string, StoredState | undefined]>): void {
    for (const [key, state] of changed) {
      if (state) this.kept.set(key, { text: encodeState(state), expiresAtMs: state.expiresAtMs });
      else this.kept.delete(key);
    }
  }

  #read(key: string): StoredState | undefined | null {
    const kept = this.kept.get(key);
    return kept === undefined ? undefined : decodeState(kept.text, kept.expiresAtMs);
  }
}

/** A store and its model, which have to agree after each batch. */
export class Pair {
  readonly clock: FakeClock = fakeClock(NOW_MS);
  readonly model = new Model();
  readonly #io: Redis;
  readonly #store: SharedStore;
  readonly #keys = new Set<string>();
  /** What was kept after the last batch. */
  #before: ReadonlyMap<string, unknown> = new Map();

  /** A client whose server knows the script: what is sent behind a batch runs behind it. */
  constructor(io: Redis) {
    this.#io = io;
    // A busy machine may take long for a large value.
    this.#store = asShared(redisStore(io, { clock: this.clock, deadlineMs: 60_000 }));
  }

  /** Writes a text as another program may. */
  async write(key: string, text: string, expiresAtMs: number): Promise<void> {
    this.#keys.add(key);
    this.model.kept.set(key, { text, expiresAtMs });
    this.#before = new Map(this.model.kept);
    await this.#io.call("SET", key, text, "PXAT", expiresAtMs);
  }

  /** Leaves the keys that it has come across as they are, and looks at them no more. */
  forget(): void {
    this.#keys.clear();
    this.model.kept.clear();
  }

  async apply(requests: readonly StoreRequest[]): Promise<(StoreReply | string)[]> {
    const expected = this.model.apply(requests, this.clock.nowMs());
    await this.#agrees(expected, requests, this.#store.apply(requests));
    return expected;
  }

  /** Returns what all of it is refused with, if it is. */
  async applyOn(terms: Terms, requests: readonly StoreRequest[]): Promise<(StoreReply | string)[] | string> {
    const expected = this.model.applyOn(terms, requests, this.clock.nowMs());
    if (terms.receipt !== undefined) this.#keys.add(receiptsKey(terms.receipt.instance));
    if (terms.incarnation !== undefined) this.#keys.add(MARK_KEY);
    await this.#agrees(expected, requests, this.#store.book(requests, terms), terms);
    return expected;
  }

  async #agrees(
    expected: (StoreReply | string)[] | string,
    requests: readonly StoreRequest[],
    asked: Promise<readonly (StoreReply | StoreError)[]>,
    terms?: Terms,
  ): Promise<void> {
    const before = Object.fromEntries(this.#before);
    for (const request of requests) for (const key of keysOf(request)) this.#keys.add(key);
    const keys = [...this.#keys];
    const pipeline = this.#io.pipeline();
    for (const key of keys) pipeline.get(key).pexpiretime(key);
    // Sent at once, and run one after the other.
    const [replies, values = []] = await Promise.all([asked.catch(said), pipeline.exec()]);
    const found = keys.map((key, i) => [key, values?.[2 * i]?.[1], values?.[2 * i + 1]?.[1]]);
    const kept = keys.map((key) => [
      key,
      this.model.kept.get(key)?.text ?? null,
      this.model.kept.get(key)?.expiresAtMs ?? -2,
    ]);
    const on = terms === undefined ? "" : ` on ${JSON.stringify(terms)}`;
    const what = `at ${this.clock.nowMs()} after ${JSON.stringify(before)}: ${JSON.stringify(requests)}${on}`;
    assert.deepEqual(typeof replies === "string" ? replies : withCodes(replies), expected, what);
    assert.deepEqual(found, kept, what);
    this.#before = new Map(this.model.kept);
  }
}

/** The answers to a batch, with the codes of errors. */
export function withCodes(answers: readonly StoreAnswer[]): (StoreReply | string)[] {
  return answers.map((answer) => (StoreError.isInstance(answer) ? answer.code : answer));
}

/** All of a batch's refusal. */
export function said(error: unknown): string {
  if (!StoreError.isInstance(error)) throw error;
  return `${TermsError.refusalOf(error) ?? error.code}, ${error.transient ? "for now" : "for good"}: ${error.message}`;
}

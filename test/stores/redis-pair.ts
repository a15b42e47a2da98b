// A Redis store and the kernel on a map of texts, which have to agree after each batch: in every reply, in every text that
// is stored and in when it expires.

import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import {
  decide,
  decodeState,
  encodeState,
  keysOf,
  type StoredState,
  StoreError,
  type StoreReply,
  type StoreRequest,
} from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { type FakeClock, fakeClock } from "tollgate/testing";

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
    const known = new Map<string, StoredState | undefined | null>();
    const changed = new Set<string>();
    const replies = requests.map((request) => {
      const keys = keysOf(request);
      for (const key of keys) if (!known.has(key)) known.set(key, this.#read(key));
      const answer = keys.length > request.steps.length ? known.get(keys.at(-1) ?? "") : undefined;
      const isAnswered = answer?.kind === "once" && nowMs < answer.expiresAtMs;
      for (const [i, key] of keys.entries()) {
        const empties = request.mode !== "peek" && request.steps[i]?.event.type === "reset";
        if (known.get(key) !== null || isAnswered || !empties) continue;
        known.set(key, undefined);
        changed.add(key);
      }
      // An answer is given again whatever its buckets have come to.
      const states = keys.map((key) => known.get(key));
      if (!isAnswered && states.includes(null)) return "damaged-bucket";
      const { reply, next } = decide(
        request,
        states.map((state) => state ?? undefined),
        nowMs,
      );
      for (const [i, key] of keys.entries()) {
        if (next === null || next[i] === states[i]) continue;
        known.set(key, next[i]);
        changed.add(key);
      }
      return reply ?? "too-many-holds";
    });
    for (const key of changed) {
      const state = known.get(key);
      if (state) this.kept.set(key, { text: encodeState(state), expiresAtMs: state.expiresAtMs });
      else this.kept.delete(key);
    }
    return replies;
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
  readonly #store;
  readonly #keys = new Set<string>();

  /** A client whose server knows the script: what is sent behind a batch runs behind it. */
  constructor(io: Redis) {
    this.#io = io;
    this.#store = redisStore(io, { clock: this.clock });
  }

  /** Writes a text as somebody may by hand. */
  async write(key: string, text: string, expiresAtMs: number): Promise<void> {
    this.#keys.add(key);
    this.model.kept.set(key, { text, expiresAtMs });
    await this.#io.call("SET", key, text, "PXAT", expiresAtMs);
  }

  async apply(requests: readonly StoreRequest[]): Promise<(StoreReply | string)[]> {
    const nowMs = this.clock.nowMs();
    const before = Object.fromEntries(this.model.kept);
    const expected = this.model.apply(requests, nowMs);
    const asked = this.#store.apply(requests);
    for (const request of requests) for (const key of keysOf(request)) this.#keys.add(key);
    const keys = [...this.#keys];
    const pipeline = this.#io.pipeline();
    for (const key of keys) pipeline.get(key).pexpiretime(key);
    // Sent at once, and run one after the other.
    const [replies, values = []] = await Promise.all([asked, pipeline.exec()]);
    const found = keys.map((key, i) => [key, values?.[2 * i]?.[1], values?.[2 * i + 1]?.[1]]);
    const kept = keys.map((key) => [
      key,
      this.model.kept.get(key)?.text ?? null,
      this.model.kept.get(key)?.expiresAtMs ?? -2,
    ]);
    const what = `at ${nowMs} on ${JSON.stringify(before)}: ${JSON.stringify(requests)}`;
    assert.deepEqual(
      replies.map((reply) => (StoreError.isInstance(reply) ? reply.code : reply)),
      expected,
      what,
    );
    assert.deepEqual(found, kept, what);
    return expected;
  }
}

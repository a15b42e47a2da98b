// Asks a real Redis what a simulated server was asked, at the same times: the script has to answer the same, and hold the same.

import assert from "node:assert/strict";
import type { Redis } from "ioredis";
import {
  type Beat,
  encodeState,
  MARK_KEY,
  type SharedStore,
  type StoreAnswer,
  type StoredState,
  type StoreReply,
  type Terms,
} from "../../src/store/api.ts";
import { redisStore } from "../../src/stores/redis.ts";
import { fakeClock } from "../../src/testing/fake-clock.ts";
import { said, withCodes } from "../stores/redis-pair.ts";
import { asShared } from "../stores/store-suite.ts";
import type { Act } from "./acts.ts";
import { BEGIN_MS } from "./machine.ts";

/** What no version writes. */
const DAMAGED = "not a bucket";
/** The mark of a server that ran before, and where the script keeps which server that was. */
const EARLIER: StoredState = {
  kind: "mark",
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  incarnation: "earlier",
  lost: "all",
};
const SERVER_KEY = "tollgate:1:$server";

export class RealRedis {
  readonly #io: Redis;
  readonly #clock = fakeClock(BEGIN_MS);
  readonly #store: SharedStore;
  /** What it calls the incarnations of the simulated server. */
  readonly #incarnations = new Map<string, string>();

  /** @param io a server that is ours to empty */
  constructor(io: Redis) {
    this.#io = io;
    this.#store = asShared(redisStore(io, { clock: this.#clock, deadlineMs: 60_000 }));
  }

  async act(act: Act): Promise<void> {
    switch (act.type) {
      case "book": {
        this.#clock.advance(act.nowMs - this.#clock.nowMs());
        const answers = await this.#store.book(act.requests, this.#termsOf(act.terms)).catch(asError);
        assert.deepEqual(comparable(answers), comparable(act.answers), JSON.stringify(act));
        break;
      }
      case "beat": {
        this.#clock.advance(act.nowMs - this.#clock.nowMs());
        const beat = await this.#store.beat(act.member);
        assert.deepEqual(beat, { ...act.beat, incarnation: this.#nameOf(act.beat, beat) }, JSON.stringify(act));
        break;
      }
      case "restart":
        await this.#io.flushdb();
        for (const [key, state] of act.states) await this.#write(key, state);
        for (const key of act.damaged) await this.#io.set(key, DAMAGED);
        if (act.hasMark) await this.#io.mset(MARK_KEY, encodeState(EARLIER), SERVER_KEY, "another");
        break;
      case "damage":
        await this.#io.set(act.key, DAMAGED);
    }
  }

  /** Whether it holds the same now. */
  async holds(states: ReadonlyMap<string, StoredState>, damaged: ReadonlySet<string>): Promise<void> {
    for (const [key, state] of states) {
      if (key === MARK_KEY || damaged.has(key)) continue;
      const found = [await this.#io.get(key), await this.#io.pexpiretime(key)];
      assert.deepEqual(found, [encodeState(state), state.expiresAtMs], key);
    }
    // Beside them there are the server's name and the names and ends of a group of instances.
    const keys = (await this.#io.keys("*")).filter((key) => !key.startsWith("tollgate:1:$"));
    assert.deepEqual(
      keys.filter((key) => !states.has(key) && !damaged.has(key)),
      [],
    );
  }

  async empty(): Promise<void> {
    await this.#io.flushdb();
    this.#incarnations.clear();
  }

  async #write(key: string, state: StoredState): Promise<void> {
    await this.#io.call("SET", key, encodeState(state), "PXAT", state.expiresAtMs);
  }

  /** What it calls an incarnation. Each has a name of its own. */
  #nameOf({ incarnation }: Beat, found: Beat): string {
    const known = this.#incarnations.get(incarnation);
    if (known !== undefined) return known;
    assert.ok(
      ![...this.#incarnations.values()].includes(found.incarnation),
      `${incarnation} is new, and Redis has made no new one`,
    );
    this.#incarnations.set(incarnation, found.incarnation);
    return found.incarnation;
  }

  #termsOf(terms: Terms): Terms {
    if (terms.incarnation === undefined) return terms;
    return { ...terms, incarnation: this.#incarnations.get(terms.incarnation) ?? terms.incarnation };
  }
}

function asError(error: unknown): Error {
  if (error instanceof Error) return error;
  throw error;
}

function comparable(answers: readonly StoreAnswer[] | Error): (StoreReply | string)[] | string {
  return answers instanceof Error ? said(answers) : withCodes(answers);
}

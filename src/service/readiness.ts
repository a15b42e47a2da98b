// Whether a load balancer should send requests here. An instance that decides by its share is ready: were it taken out, so
// would be all the others, and an outage of the store would be one of everything. One that knows no share denies every call,
// and is not.

import { within } from "../clock.ts";
import type { LimiterEvent } from "../limiter.ts";
import { type Store, StoreError } from "../store.ts";

/** How an instance stands. */
export interface Readiness {
  readonly status: "ready" | "degraded" | "away" | "stopping";
  /** The code of the store's error. */
  readonly reason: string | null;
  readonly awayMs: number | null;
}

/** How long an answer of the store holds. */
const HOLDS_MS = 1_000;

/** Watches a limiter and its store. */
export class ReadinessWatch {
  readonly #store: Store;
  readonly #deadlineMs: number;
  /** Whether it has a share while the store is away. */
  #hasShare: boolean;
  #away: { readonly sinceMs: number; readonly reason: string } | null = null;
  #asked: { readonly atMs: number; readonly answer: Promise<string | null> } | null = null;
  #failingSinceMs: number | null = null;

  constructor(store: Store, deadlineMs: number, hasShare: boolean) {
    this.#store = store;
    this.#deadlineMs = deadlineMs;
    this.#hasShare = hasShare;
  }

  get isAway(): boolean {
    return this.#away !== null;
  }

  happened(event: LimiterEvent): void {
    if (event.type === "store-away") this.#away = { sinceMs: performance.now(), reason: event.error.code };
    if (event.type === "store-back") {
      this.#away = null;
      this.#hasShare = true;
    }
  }

  /** The store has decided a call, and is known well enough for a share. */
  decided(): void {
    this.#hasShare = true;
  }

  async now(): Promise<Readiness> {
    if (this.#away !== null) {
      const { sinceMs, reason } = this.#away;
      const awayMs = Math.round(performance.now() - sinceMs);
      return { status: this.#hasShare ? "degraded" : "away", reason, awayMs };
    }
    const reason = await this.#ask();
    if (reason === null) {
      this.#failingSinceMs = null;
      return { status: "ready", reason, awayMs: null };
    }
    this.#failingSinceMs ??= performance.now();
    return { status: "away", reason, awayMs: Math.round(performance.now() - this.#failingSinceMs) };
  }

  /** The code of the error with which the store answers the smallest request; `null` when it answers as it should. */
  #ask(): Promise<string | null> {
    const atMs = performance.now();
    if (this.#asked === null || atMs - this.#asked.atMs > HOLDS_MS) this.#asked = { atMs, answer: this.#probe() };
    return this.#asked.answer;
  }

  async #probe(): Promise<string | null> {
    try {
      const [reply] = await within(this.#deadlineMs, this.#store.apply([{ mode: "peek", steps: [] }]));
      return StoreError.isInstance(reply) ? reply.code : null;
    } catch (error) {
      return StoreError.isInstance(error) ? error.code : "unavailable";
    }
  }
}

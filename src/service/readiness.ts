// Whether a load balancer should send requests here. An instance that decides by its share is ready: otherwise an outage of the
// store would take out all instances. An instance that knows no share denies every call, and is not ready.

import { monotonicClock } from "../clock.ts";
import { LateError, within } from "../deadlines.ts";
import type { readySchema } from "../http/answers.ts";
import type { Output } from "../kernel/policy/schema-kinds.ts";
import { reasonOf } from "../kernel/reason.ts";
import type { LimiterEvent } from "../limiter.ts";
import { StoreError } from "../store/error.ts";
import type { Store } from "../store/store.ts";
import { codeOf } from "./event-log.ts";

/** The state of an instance, as `/readyz` answers it. */
export type Readiness = Readonly<Output<typeof readySchema>>;

/** How long an answer of the store is used again. */
const HOLDS_MS = 1_000;

export class ReadinessWatch {
  readonly #store: Store;
  readonly #deadlineMs: number;
  /** Whether it has a share while the store is away. */
  #hasShare: boolean;
  #away: { readonly sinceMs: number; readonly reason: string } | null = null;
  #asked: { readonly atMs: number; readonly answer: Promise<unknown> } | null = null;
  #failingSinceMs: number | null = null;
  readonly #logChange: (error: unknown) => void;

  /** @param logChange gets the error when the store stops answering, and `null` when it answers again */
  constructor(store: Store, deadlineMs: number, hasShare: boolean, logChange: (error: unknown) => void) {
    this.#logChange = logChange;
    this.#store = store;
    this.#deadlineMs = deadlineMs;
    this.#hasShare = hasShare;
  }

  update(event: LimiterEvent): void {
    if (event.type === "store.unreachable") this.#away = { sinceMs: monotonicClock.nowMs(), reason: event.error.code };
    if (event.type === "store.recovered") {
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
      const awayMs = Math.round(monotonicClock.nowMs() - sinceMs);
      return { status: this.#hasShare ? "degraded" : "away", reason, awayMs };
    }
    const atMs = monotonicClock.nowMs();
    if (this.#asked === null || atMs - this.#asked.atMs > HOLDS_MS) this.#asked = { atMs, answer: this.#probe() };
    const error = await this.#asked.answer;
    const wasFailing = this.#failingSinceMs !== null;
    if ((error !== null) !== wasFailing) {
      this.#failingSinceMs = error === null ? null : monotonicClock.nowMs();
      this.#logChange(error);
    }
    if (this.#failingSinceMs === null) return { status: "ready", reason: null, awayMs: null };
    return { status: "away", reason: codeOf(error), awayMs: Math.round(monotonicClock.nowMs() - this.#failingSinceMs) };
  }

  /** The error with which the store answers the smallest request; `null` when the store works. */
  async #probe(): Promise<unknown> {
    try {
      const [reply] = await within(this.#deadlineMs, this.#store.apply([{ mode: "peek", steps: [] }]));
      return StoreError.isInstance(reply) ? reply : null;
    } catch (error) {
      const fault = error instanceof LateError ? this.#store.lastFault?.() : undefined;
      return fault === undefined ? error : new Error(reasonOf(error), { cause: fault });
    }
  }
}

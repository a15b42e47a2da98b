// Questions to a function of the program, such as a database lookup. A bounded number is waited for at a time, each until a timeout.
// A Worker may end a request, with its timers, before the question is answered that it asked: such a question is lost.

import { monotonicClock } from "../clock.ts";
import { LateError, within } from "../deadlines.ts";
import { limiterClosed } from "./closed.ts";

export const MAX_IN_FLIGHT = 64;
export const MAX_WAITING = 10_000;
/** How long an answer may take, including the wait before the question is asked, ms. */
export const ANSWER_WITHIN_MS = 1_000;

export class QuestionQueue {
  /** With the time from which each is lost. */
  readonly #inFlight = new Map<AbortController, number>();
  readonly #waiting = new Set<() => void>();
  readonly #open = new Set<AbortController>();
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Asks a question. Returns the answer itself when the question returns it at once and need not wait for others.
   *
   * @param question asks it, and returns the answer or a promise of it
   * @param late called with an answer that came after its time
   * @throws the question's error, `limiter-closed`, or an error when too many questions wait; its promise rejects with a
   *   `LateError` without an answer in time
   */
  ask(question: (signal: AbortSignal) => unknown, late: (answer: unknown) => void): unknown {
    if (this.#isClosed) throw limiterClosed();
    const stop = new AbortController();
    if (this.#inFlight.size >= MAX_IN_FLIGHT) this.#forgetLost();
    if (this.#inFlight.size >= MAX_IN_FLIGHT) {
      if (this.#waiting.size >= MAX_WAITING) throw new Error(`${MAX_WAITING} questions wait to be asked`);
      const turn = this.#turn(stop);
      const asked = turn.then(() => question(stop.signal));
      const release = () => this.#release(stop);
      return this.#inTime(asked, stop, late).finally(() => turn.then(release, () => {}));
    }
    const answer = question(stop.signal);
    if (typeof (answer as { then?: unknown } | null | undefined)?.then !== "function") return answer;
    this.#begin(stop);
    return this.#inTime(Promise.resolve(answer), stop, late).finally(() => this.#release(stop));
  }

  /** Aborts the questions in flight. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#open) stop.abort(limiterClosed());
  }

  /** Waits until fewer questions are in flight, and counts this one among them. */
  #turn(stop: AbortController): Promise<void> {
    const { signal } = stop;
    return new Promise((resolve, reject) => {
      const begin = () => {
        this.#begin(stop);
        resolve();
      };
      this.#waiting.add(begin);
      signal.addEventListener("abort", () => {
        this.#waiting.delete(begin);
        reject(signal.reason);
      });
    });
  }

  async #inTime(answer: Promise<unknown>, stop: AbortController, late: (answer: unknown) => void): Promise<unknown> {
    this.#open.add(stop);
    try {
      return await within(ANSWER_WITHIN_MS, answer);
    } catch (error) {
      if (error instanceof LateError) {
        stop.abort(error);
        answer.then(late, () => {});
      }
      throw error;
    } finally {
      this.#open.delete(stop);
    }
  }

  #begin(stop: AbortController): void {
    this.#inFlight.set(stop, monotonicClock.nowMs() + 2 * ANSWER_WITHIN_MS);
  }

  #forgetLost(): void {
    const nowMs = monotonicClock.nowMs();
    for (const [stop, lostAtMs] of this.#inFlight) if (lostAtMs <= nowMs) this.#inFlight.delete(stop);
  }

  #release(stop: AbortController): void {
    this.#inFlight.delete(stop);
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next();
  }
}

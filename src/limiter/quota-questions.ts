// Questions to a function of the program, such as a database lookup. A bounded number is waited for at a time, each until a timeout.

import { LateError, within } from "../clock.ts";
import { limiterClosed } from "./closed.ts";

/** The most questions in flight. */
export const MAX_IN_FLIGHT = 64;
/** The most questions that wait to be asked. */
export const MAX_WAITING = 10_000;
/** How long an answer may take, including the wait before the question is asked, ms. */
export const ANSWER_WITHIN_MS = 1_000;

/** Asks one question. Returns the answer, or a promise of it. */
type Question = (signal: AbortSignal) => unknown;

export class QuestionQueue {
  #inFlight = 0;
  readonly #waiting = new Set<() => void>();
  readonly #open = new Set<AbortController>();
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Asks a question. Returns the answer itself when the question returns it at once and need not wait for others.
   *
   * @param late called with an answer that came after its time
   * @throws the question's error, `limiter-closed`, or an error when too many questions wait; its promise rejects with a
   *   `LateError` without an answer in time
   */
  ask(question: Question, late: (answer: unknown) => void): unknown {
    if (this.#isClosed) throw limiterClosed();
    const stop = new AbortController();
    if (this.#inFlight >= MAX_IN_FLIGHT) {
      if (this.#waiting.size >= MAX_WAITING) throw new Error(`${MAX_WAITING} questions wait to be asked`);
      const turn = this.#turn(stop.signal);
      const asked = turn.then(() => question(stop.signal));
      const release = () => this.#release();
      return this.#inTime(asked, stop, late).finally(() => turn.then(release, () => {}));
    }
    const answer = question(stop.signal);
    if (!isThenable(answer)) return answer;
    this.#inFlight++;
    return this.#inTime(Promise.resolve(answer), stop, late).finally(() => this.#release());
  }

  /** Aborts the questions in flight. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#open) stop.abort(limiterClosed());
  }

  /** Waits until fewer questions are in flight, and counts this one among them. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        this.#inFlight++;
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

  #release(): void {
    this.#inFlight--;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

// Questions to a function of the program's, such as a look-up in a database: so many at a time, each within its time.

import { LateError, within } from "../clock.ts";
import { limiterClosed } from "./closed.ts";

/** Most questions under way, and most that wait until fewer are. */
export const MAX_UNDER_WAY = 64;
export const MAX_WAITING = 10_000;
/** How long an answer may take, with the wait before the question is asked, ms. */
export const ANSWER_WITHIN_MS = 1_000;

/** Asks one question: the answer, or the promise of one. */
type Question = (signal: AbortSignal) => unknown;

/** Whether a question counts as under way. */
interface Slot {
  isTaken: boolean;
}

/** Questions of one limiter. */
export class QuestionQueue {
  #underWay = 0;
  readonly #waiting = new Set<() => void>();
  readonly #open = new Set<AbortController>();
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Asks. The answer is here at once where the question has it at once, and no others are in the way.
   *
   * @param late called with an answer that came after its time
   * @throws what the question throws; its promise also a `LateError` without an answer in time
   */
  ask(question: Question, late: (answer: unknown) => void): unknown {
    if (this.#isClosed) throw limiterClosed();
    const stop = new AbortController();
    const slot = { isTaken: false };
    if (this.#underWay >= MAX_UNDER_WAY) {
      if (this.#waiting.size >= MAX_WAITING) throw new Error(`${MAX_WAITING} questions wait to be asked`);
      const asked = this.#turn(slot, stop.signal).then(() => question(stop.signal));
      return this.#inTime(asked, stop, slot, late);
    }
    const answer = question(stop.signal);
    if (!isThenable(answer)) return answer;
    this.#take(slot);
    return this.#inTime(Promise.resolve(answer), stop, slot, late);
  }

  /** Tells the questions under way that nobody waits for them any more. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#open) stop.abort(limiterClosed());
  }

  /** Waits until fewer questions are under way. */
  #turn(slot: Slot, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = () => {
        this.#take(slot);
        resolve();
      };
      this.#waiting.add(begin);
      signal.addEventListener("abort", () => {
        this.#waiting.delete(begin);
        reject(signal.reason);
      });
    });
  }

  async #inTime(
    answer: Promise<unknown>,
    stop: AbortController,
    slot: Slot,
    late: (answer: unknown) => void,
  ): Promise<unknown> {
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
      if (slot.isTaken) this.#release();
    }
  }

  #take(slot: Slot): void {
    slot.isTaken = true;
    this.#underWay++;
  }

  #release(): void {
    this.#underWay--;
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

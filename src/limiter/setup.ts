// Asks a store how it is set up, beside the calls, and reports what may break a promise. It asks once the store has answered,
// and again when the store is back after a failure, because it may be another server then. No call waits for it, and it keeps
// no process alive.

import { monotonicClock, setTimer, type Timer } from "../clock.ts";
import { reasonOf } from "../kernel/reason.ts";
import { StoreError } from "../store/error.ts";
import type { SetupCheck, Store } from "../store/store.ts";

/** What it reports: each once, and again when it changes. */
export type SetupEvent =
  /** The store is set up so that it may break a promise. */
  | { readonly type: "store.misconfigured"; readonly check: SetupCheck }
  /** How the store is set up cannot be read, and not because it is unreachable. */
  | { readonly type: "store.check_failed"; readonly error: unknown };

/** When it asks a store that no call has asked yet, and how long it waits after a failure: twice as long each time. */
const FIRST_MS = 100;
const LONGEST_MS = 60_000;
/** How long it leaves a store alone that fails and answers in turns. */
const REST_MS = 1_000;
/** The name under which it remembers that the setup could not be read. No check has it. */
const UNREAD = "";

/** Watches how one store is set up. */
export class SetupWatch {
  readonly #ask: () => Promise<readonly SetupCheck[]>;
  readonly #tell: (event: SetupEvent) => void;
  /** What was reported of each check, so that it is reported once until it changes. */
  readonly #told = new Map<string, string>();
  /** Whether an answer of the store calls for another look. */
  #isDue = true;
  #isClosed = false;
  #retryMs = FIRST_MS;
  #timer: Timer | null = null;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  /** Counts questions: an answer to an earlier one no longer matters. */
  #asked = 0;

  constructor(ask: () => Promise<readonly SetupCheck[]>, tell: (event: SetupEvent) => void) {
    this.#ask = ask;
    this.#tell = tell;
    this.#later();
  }

  /** The store has answered. */
  answered(): void {
    if (!this.#isDue || monotonicClock.nowMs() - this.#lookedAtMs < REST_MS) return;
    this.#retryMs = FIRST_MS;
    void this.#look();
  }

  /** The store has failed: when it answers again it may be another server. */
  failed(): void {
    this.#isDue = true;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#isDue = false;
    this.#lookedAtMs = monotonicClock.nowMs();
    const number = ++this.#asked;
    const isOld = () => this.#isClosed || number !== this.#asked;
    try {
      const checks = await this.#ask();
      if (isOld()) return;
      this.#retryMs = FIRST_MS;
      this.#told.delete(UNREAD);
      for (const check of checks) this.#found(check);
    } catch (error) {
      if (isOld()) return;
      if (StoreError.isInstance(error) && error.transient) this.#later();
      else this.#say(UNREAD, reasonOf(error), { type: "store.check_failed", error });
    }
  }

  /** Looks again by itself, less and less often: perhaps no call asks the store meanwhile. */
  #later(): void {
    this.#timer = setTimer(monotonicClock, this.#retryMs, () => void this.#look());
    this.#timer.unref?.();
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_MS);
  }

  #found(check: SetupCheck): void {
    if (check.problem === null) this.#told.delete(check.name);
    else this.#say(check.name, `${check.value}: ${check.problem}`, { type: "store.misconfigured", check });
  }

  #say(name: string, text: string, event: SetupEvent): void {
    if (this.#told.get(name) === text) return;
    this.#told.set(name, text);
    this.#tell(event);
  }
}

/** The watch of a store that says how it is set up, where somebody listens; else `null`. */
export function watchSetup(store: Store, tell: ((event: SetupEvent) => void) | null): SetupWatch | null {
  const { setup } = store;
  if (setup === undefined || tell === null) return null;
  return new SetupWatch(async () => setup.call(store), tell);
}

// The state machine of a process whose store may be unreachable: who decides now, when the store is looked for, and which
// calls wait. It does not know what is decided or booked (`OutageWork` does). A limiter and a client use the same machine.
//
// States:
//   new      the store has never been asked
//   here     the store decides
//   away     this process decides; a loop looks for the store
//   closed   nothing is decided, and the loop has ended
//
// Transitions:
//   new, here  -- leave(error) -->    away     the work is told, the loop begins
//   away       -- leave(error) -->    away     only the error is remembered
//   new        -- open() -->          here
//   away       -- probe fails -->     away     pauses grow with each failure; they start again when something was made good
//   away       -- probe succeeds -->  away     `finish` begins, and calls wait for it at the gate
//   away       -- finish fails -->    away     as after a failed probe
//   away       -- finish succeeds --> here     the work is told
//   all        -- close() -->         closed
//
// The gate is beside the states: calls wait at it for one promise, each until its own deadline.

import { random } from "../../ids.ts";
import type { Clock } from "../../clock.ts";
import { isWithin, STOOD_STILL_MS } from "../../deadlines.ts";
import { asStoreError, StoreError, type StoreErrorCode } from "../../store/error.ts";
import { longestProbeMs, Pause, probeAfterMs } from "./pace.ts";

/** Within how many ms a store is looked for that is probably back. */
const SOON_MS = 50;

/** What an outage is for the process that has it. */
export interface OutageWork {
  /** Whether the loop pauses before its first probe. */
  readonly pausesFirst: boolean;
  /** How many processes look for the store: more of them look less often. */
  instances(): number;
  /** How much was made good so far: while this grows, the store is not overloaded. */
  progress(): number;
  /** Looks for the store and makes good most of the outage while calls are decided here. Throws why the store did not answer. */
  probe(): Promise<void>;
  /** Makes good the last of it while calls wait. */
  finish(): Promise<void>;
  /** The store is away from now on. */
  left(error: StoreError): void;
  /** The store decides from now on. */
  returned(awayMs: number): void;
}

/** The states of the machine, as this file's head describes them. */
export type OutageState = "new" | "here" | "away" | "closed";

export class Outage {
  readonly #work: OutageWork;
  readonly #clock: Clock;
  readonly #pause: Pause;
  #state: OutageState;
  #failure: StoreError;
  #sinceMs = 0;
  #gate: Promise<unknown> | null = null;
  #recovering: Promise<void> | null = null;
  /** Whether a pause of this outage was shortened. */
  #isHastened = false;

  /** @param failure what calls are told before the store was ever reached */
  constructor(work: OutageWork, state: "new" | "here", failure: StoreError, clock: Clock) {
    this.#work = work;
    this.#clock = clock;
    this.#pause = new Pause(clock);
    this.#state = state;
    this.#failure = failure;
  }

  get state(): OutageState {
    return this.#state;
  }

  /** Whether calls wait at the gate. */
  get isHeld(): boolean {
    return this.#gate !== null;
  }

  get failure(): StoreError {
    return this.#failure;
  }

  get awayMs(): number {
    return Math.round(this.#clock.nowMs() - this.#sinceMs);
  }

  /** Ends with the outage; `null` while there is none. */
  get recovering(): Promise<void> | null {
    return this.#recovering;
  }

  /** The store has answered for the first time. */
  open(): void {
    if (this.#state === "new") this.#state = "here";
  }

  /** From now on this process decides. Returns whether the outage begins with this. */
  leave(failure: StoreError): boolean {
    this.#failure = failure;
    if (this.#state === "away" || this.#state === "closed") return false;
    this.#state = "away";
    this.#sinceMs = this.#clock.nowMs();
    this.#work.left(failure);
    this.#recovering = this.#recover();
    return true;
  }

  /** Lets calls wait for something, and throws to them what it rejects with. Settles as it does, when the gate is open again. */
  hold<Value>(awaited: Promise<Value>): Promise<Value> {
    const held = awaited.finally(() => {
      if (this.#gate === held) this.#gate = null;
    });
    held.catch(() => {});
    this.#gate = held;
    return held;
  }

  /**
   * Waits at the gate until an instant of the clock. Resolves to what is left until then, ms: 0 or less when that is over.
   * If the gate opened while this process stood still, the call gets that time once more, because nothing could answer it then.
   */
  async pass(dueMs: number): Promise<number> {
    const givenMs = dueMs - this.#clock.nowMs();
    let leftMs = givenMs;
    while (this.#gate !== null && leftMs > 0) {
      await isWithin(leftMs, this.#gate, { clock: this.#clock });
      leftMs = dueMs - this.#clock.nowMs();
    }
    return this.#gate === null && leftMs < -STOOD_STILL_MS ? Math.min(-leftMs, givenMs) : leftMs;
  }

  /**
   * A probe was answered, but late: the store is there again, and is looked for soon, once in an outage. A store that goes on
   * being slow is not asked more often for that.
   */
  hasten(): void {
    // The answer may come after another probe has ended the outage.
    if (this.#isHastened || this.#recovering === null) return;
    this.#isHastened = true;
    this.#pause.shorten(random() * longestProbeMs(this.#work.instances()));
  }

  /** Looks for the store soon, because there is reason to think that it is back. */
  lookSoon(): void {
    if (this.#recovering !== null) this.#pause.shorten(random() * SOON_MS);
  }

  close(): void {
    this.#state = "closed";
    this.#pause.end();
  }

  /** Looks for the store until this process is done with being away. */
  async #recover(): Promise<void> {
    let failures = 0;
    const pause = () => this.#pause.of(probeAfterMs(failures++, this.#work.instances()));
    if (this.#work.pausesFirst) await pause();
    while (!this.#isClosed) {
      const before = this.#work.progress();
      try {
        await this.#work.probe();
        if (!this.#isClosed) await this.#return();
        return;
      } catch (error) {
        if (this.#isClosed) return;
        this.#failure = asStoreError(error);
      }
      // There was more to make good than the store takes at once.
      if (this.#work.progress() > before) failures = 0;
      await pause();
    }
  }

  /** The state may change while something is awaited: a comparison in place would be narrowed. */
  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  async #return(): Promise<void> {
    const returning = this.#work.finish().then(() => {
      if (this.#isClosed) return;
      this.#state = "here";
      this.#recovering = null;
      this.#isHastened = false;
      this.#work.returned(this.awayMs);
    });
    // Calls find the store away, where this fails.
    await this.hold(returning.catch(() => {}));
    await returning;
  }
}

/** Errors that are the fault of one request. */
const OF_ONE_REQUEST: ReadonlySet<StoreErrorCode> = new Set(["capacity", "too-many-holds", "overloaded"]);

/** Whether an error means that the store is away, and not that one request is wrong. */
export function isOutage(error: unknown): error is StoreError {
  return StoreError.isInstance(error) && error.transient && !OF_ONE_REQUEST.has(error.code);
}

// What goes on beside calls: loans, returns, and the ticks in which units are returned.

import { everyInBackground, type Timer } from "../../clock.ts";

/** Runs what no call waits for. */
export interface Background {
  /** Whether a call may wait for the answer to what another call has asked. */
  readonly isShared: boolean;
  /** Lets work go on when the call that began it is over. */
  keep(work: Promise<unknown>): void;
  /** Calls `tick` about every `ms` until it says that nothing is left to do. Asked again before that, it changes nothing. */
  tickEach(ms: number, tick: () => boolean): void;
  /** Ends the ticks. */
  stop(): void;
}

/** In a process, where everything goes on by itself. */
export class ProcessBackground implements Background {
  readonly isShared = true;
  #timer: Timer | undefined;

  keep(): void {}

  tickEach(ms: number, tick: () => boolean): void {
    const run = () => {
      if (!tick()) this.stop();
    };
    this.#timer ??= everyInBackground(ms, run);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

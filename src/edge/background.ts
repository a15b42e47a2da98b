// What a limiter in a Worker does beside calls. All I/O and all timers of a Worker belong to a request, and end with it. So
// what has to go on keeps its request alive for a while after the response.

import { waitUntil } from "cloudflare:workers";
import { type Clock, sleep } from "../clock.ts";
import type { Background } from "../layers/borrow/background.ts";

/** In a Worker. */
export class RequestBackground implements Background {
  readonly isShared = false;
  readonly #clock: Clock;
  /** The loop that began last: the request that it is in has to stay until nothing is left to do. */
  #newest = 0;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #tickedAtMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  keep(work: Promise<unknown>): void {
    waitUntil(work.catch(() => {}));
  }

  /** The request that asks takes over from the one that has ticked so far, and relieves it. A loop may end without notice. */
  tickEach(ms: number, tick: () => boolean): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#begunAtMs < ms / 2) return;
    this.#begunAtMs = nowMs;
    this.keep(this.#tickUntilRelieved(++this.#newest, ms, tick));
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #tickUntilRelieved(loop: number, ms: number, tick: () => boolean): Promise<void> {
    for (let isLeft = true; isLeft && loop === this.#newest; ) {
      await sleep(ms);
      const nowMs = this.#clock.nowMs();
      if (this.#isStopped) return;
      // Another loop may have ticked just now.
      if (nowMs - this.#tickedAtMs < ms * 0.9) continue;
      this.#tickedAtMs = nowMs;
      isLeft = tick();
    }
  }
}

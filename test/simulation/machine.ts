// A simulated machine: its clocks, its timers, its random numbers. Its wall clock drifts and jumps; its monotonic clock drifts.

import type { Random } from "./random.ts";
import type { Event, World } from "./world.ts";

/** When the world begins by a right clock: far from a full hour, so that no hourly window ends in a short run, although the store's clock jumps. */
export const BEGIN_MS = Date.UTC(2030, 0, 1, 12, 20);

/** How the clocks of a machine are wrong. */
export interface ClockFault {
  /** How much faster than the world both clocks run: 0.001 is a millisecond in a second. */
  readonly drift: number;
  /** By how much the wall clock is ahead, ms. */
  readonly aheadMs: number;
}

export class Machine {
  readonly name: string;
  readonly world: World;
  readonly random: Random;
  isKilled = false;
  isPaused = false;
  /** What came while it stood still. */
  postponed: Event[] = [];
  /** How long it stood still until now, ms. */
  pausedMs = 0;
  #pausedAtMs = 0;
  readonly #bornMs: number;
  readonly #drift: number;
  readonly #jitterMs: number;
  #aheadMs: number;
  #ids = 0;

  /** @param jitterMs how late a timer may fire; it may also be up to a millisecond early */
  constructor(world: World, name: string, { drift, aheadMs }: ClockFault, jitterMs: number) {
    this.world = world;
    this.name = name;
    this.random = world.random.stream(name);
    this.#bornMs = world.nowMs;
    this.#drift = drift;
    this.#aheadMs = aheadMs;
    this.#jitterMs = jitterMs;
  }

  wallMs(): number {
    return Math.floor(BEGIN_MS + this.world.nowMs * (1 + this.#drift) + this.#aheadMs);
  }

  /** Since the machine began, with fractions. */
  monotonicMs(): number {
    return (this.world.nowMs - this.#bornMs) * (1 + this.#drift);
  }

  jump(ms: number): void {
    this.#aheadMs += ms;
  }

  /** Calls back when so many ms of its clock have passed. Whole milliseconds, at least one, as Node has it. */
  setTimer(ms: number, run: () => void): Event {
    const wholeMs = ms >= 1 ? Math.floor(ms) : 1;
    const jitterMs = this.#jitterMs === 0 ? 0 : this.random.next() * (this.#jitterMs + 1) - 1;
    return this.world.after(wholeMs / (1 + this.#drift) + jitterMs, this, "timer", run);
  }

  nextTurn(run: () => void): Event {
    return this.world.after(0, this, "turn", run);
  }

  randomId(): string {
    const part = (digits: number) =>
      Math.floor(this.random.next() * 16 ** digits)
        .toString(16)
        .padStart(digits, "0");
    // Unlike any other: a collision would be a fault of the simulator.
    const own = (++this.#ids).toString(16).padStart(12, "0");
    return `${part(8)}-${part(4)}-4${part(3)}-8${part(3)}-${own}`;
  }

  kill(): void {
    this.isKilled = true;
    this.postponed = [];
  }

  pause(): void {
    if (this.isKilled || this.isPaused) return;
    this.isPaused = true;
    this.#pausedAtMs = this.world.nowMs;
  }

  goOn(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.pausedMs += this.world.nowMs - this.#pausedAtMs;
    this.world.again(this.postponed.splice(0));
  }
}

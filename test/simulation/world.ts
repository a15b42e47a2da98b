// The simulated world: its time, and what happens next. One thing happens at a time, on one machine, in an order that the seed
// decides. Whatever crosses from one machine to another is an event, so that promises of two machines never mix.

import { Heap } from "./heap.ts";
import type { Machine } from "./machine.ts";
import { Random } from "./random.ts";

/** What an event is for the machine that gets it. A machine that goes on after a pause takes them in this order. */
const KINDS = ["timer", "message", "turn"] as const;
export type EventKind = (typeof KINDS)[number];

/** Something that will happen. */
export interface Event {
  atMs: number;
  order: number;
  readonly kind: EventKind;
  /** Where it happens; `null`: in the world itself. */
  readonly machine: Machine | null;
  /** `null`: it was cancelled. */
  run: (() => void) | null;
}

/** More events than any schedule needs: the code under test repeats something for ever. */
const MOST_EVENTS = 2_000_000;

const RESOLVED = Promise.resolve();

export class World {
  readonly random: Random;
  /** Milliseconds since the world began, with fractions. */
  nowMs = 0;
  /** The machine on which something happens now. */
  current: Machine | null = null;
  #events = 0;
  #order = 0;
  readonly #heap = new Heap<Event>();

  constructor(seed: string) {
    this.random = new Random(seed);
  }

  /** How many events have happened. */
  get events(): number {
    return this.#events;
  }

  /** Plans an event. It happens never if the machine is killed before, and later if the machine is paused. */
  after(ms: number, machine: Machine | null, kind: EventKind, run: () => void): Event {
    const event = { atMs: this.nowMs + Math.max(0, ms), order: ++this.#order, kind, machine, run };
    this.#heap.push(event);
    return event;
  }

  /** Plans again what came while a machine stood still: timers first, then messages, each in their order. */
  again(events: readonly Event[]): void {
    const rank = ({ kind }: Event) => KINDS.indexOf(kind);
    for (const event of events.toSorted((one, other) => rank(one) - rank(other))) {
      event.atMs = this.nowMs;
      event.order = ++this.#order;
      this.#heap.push(event);
    }
  }

  /** How many timers a machine waits for. */
  timersOf(machine: Machine): number {
    return this.#heap.items.filter((event) => event.machine === machine && event.kind === "timer" && event.run !== null)
      .length;
  }

  /** Lets everything happen until an instant. */
  runUntil(endMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const next = () => process.nextTick(step);
      const step = () => {
        try {
          if (!this.#happenNext(endMs)) return resolve();
        } catch (error) {
          return reject(error);
        }
        // A tick that a microtask asks for comes when no microtask is left.
        void RESOLVED.then(next);
      };
      next();
    });
  }

  /** Lets the next event happen. Returns whether there was one. */
  #happenNext(endMs: number): boolean {
    this.current = null;
    for (;;) {
      const event = this.#heap.pop();
      if (event === undefined || event.atMs > endMs) {
        if (event !== undefined) this.#heap.push(event);
        this.nowMs = endMs;
        return false;
      }
      const { machine, run } = event;
      if (run === null || machine?.isKilled) continue;
      if (machine?.isPaused) {
        machine.postponed.push(event);
        continue;
      }
      if (++this.#events > MOST_EVENTS) throw new Error(`more than ${MOST_EVENTS} events`);
      this.nowMs = event.atMs;
      this.current = machine;
      run();
      return true;
    }
  }
}

// The holds that this process made while the service was unreachable, by their ids: a program may end them through `getHold`.

import { type Call, dimensionsOf } from "../kernel/call.ts";
import type { Hold } from "../limiter.ts";

/** Of so many holds; the oldest are forgotten first. */
const MAX_HOLDS = 10_000;

/** A hold stays known after its end, so that a second end is not taken for the end of an unknown one. */
export class KnownHolds {
  readonly #holds = new Map<string, Hold>();

  add(call: Call, hold: Hold): void {
    const [oldest] = this.#holds.keys();
    if (this.#holds.size === MAX_HOLDS && oldest !== undefined) this.#holds.delete(oldest);
    this.#holds.set(nameOf(hold.id, call), hold);
  }

  /** The hold of an id; `undefined`: it was not made here, or for another call. */
  get(id: string, call: Call): Hold | undefined {
    return this.#holds.get(nameOf(id, call));
  }
}

function nameOf(id: string, call: Call): string {
  return JSON.stringify([id, Object.entries(dimensionsOf(call)).sort()]);
}

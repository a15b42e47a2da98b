// The steps of one limit that calls made last, by the values of the dimensions that the limit looks at.

import type { Priced } from "../kernel/answer.ts";
import type { Limit } from "../kernel/limit.ts";
import type { Step } from "../kernel/request.ts";

/** Half of the most steps that are kept of a limit, about 200 bytes each. The younger half replaces the older one when it is full. */
export const HALF_FULL = 16_384;
/** Longer values are unlikely to repeat; they are not kept. */
const MAX_LENGTH = 128;

/** What a call asks of a limit, and what it is charged there. */
export interface Part {
  readonly step: Step;
  readonly priced: Priced;
}

/** By the value of one dimension: the next level, or on the last level the part; `null` where the limit is not for the call. */
type Level = Map<unknown, Level | Part | null>;

export class StepCache {
  readonly limit: Limit;
  /** Where the values are that the limit looks at. */
  readonly #places: readonly number[];
  #young: Level = new Map();
  #old: Level = new Map();
  #size = 0;
  /** Most calls of a limit are charged the same, and share it. */
  #priced: Priced | null = null;

  constructor(limit: Limit, places: readonly number[]) {
    this.limit = limit;
    this.#places = places;
  }

  /** The part of a call with these values; `undefined`: it has to be made. */
  get(values: readonly unknown[]): Part | null | undefined {
    const found = this.#find(this.#young, values);
    if (found !== undefined) return found;
    const older = this.#find(this.#old, values);
    if (older !== undefined) this.#keep(values, older);
    return older;
  }

  /** Keeps the part of a call that was checked; `null` where the limit is not for the call. */
  add(values: readonly unknown[], part: Part | null): Part | null {
    const kept = part === null ? null : { step: part.step, priced: this.#shared(part.priced) };
    if (this.#places.every((place) => isShort(values[place]))) this.#keep(values, kept);
    return kept;
  }

  #find(level: Level, values: readonly unknown[]): Part | null | undefined {
    const places = this.#places;
    let found: Level | Part | null | undefined = level;
    for (let i = 0; i < places.length && found !== undefined; i++) {
      found = (found as Level).get(values[places[i] as number]);
    }
    return found as Part | null | undefined;
  }

  #keep(values: readonly unknown[], part: Part | null): void {
    if (this.#size >= HALF_FULL) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#size = 0;
    }
    const places = this.#places;
    const last = places.length - 1;
    let level = this.#young;
    for (let i = 0; i < last; i++) {
      const value = values[places[i] as number];
      let next = level.get(value) as Level | undefined;
      if (next === undefined) {
        next = new Map();
        level.set(value, next);
      }
      level = next;
    }
    level.set(values[places[last] as number], part);
    this.#size++;
  }

  #shared({ limit, allotment, cost, tool }: Priced): Priced {
    const known = this.#priced;
    if (known?.allotment === allotment && known.cost === cost && known.tool === tool) return known;
    // Without the key of this call, which is in its step.
    this.#priced = { limit, allotment, cost, tool };
    return this.#priced;
  }
}

function isShort(value: unknown): boolean {
  return typeof value !== "string" || value.length <= MAX_LENGTH;
}

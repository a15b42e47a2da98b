// The values of a call's dimensions that limits look at, read from the call and from what is bound.

import { KnownArgs } from "../kernel/args.ts";
import type { Call, Dimensions } from "../kernel/call.ts";

/** A call with one of these is never prepared: its request depends on them. */
const UNREAD: ReadonlySet<string> = new Set(["cost", "idempotencyKey"]);
const NOWHERE = -1;
const ABSENT = -2;

export class CallWords {
  /** The values of the call that was read last. Building a text from them would take longer than the rest of a decision. */
  readonly values: unknown[];
  /** Where the values of each dimension are that limits look at. The tool is the first. */
  readonly places: ReadonlyMap<string, number>;
  /** All words that a call may have, with `NOWHERE` for those that no limit looks at. */
  readonly #known: ReadonlyMap<string, number>;
  /** Where arguments are, if a limit looks at them: only known ones are read, which are hashed already. */
  readonly #argsPlace: number;
  /** The words of the last call in their order: most calls have the same. */
  readonly #order: string[] = [];
  readonly #orderPlaces: number[] = [];
  /** The dimensions that were bound to the last call, and their values: most calls have the same. */
  #bound: Dimensions | null = null;
  readonly #boundValues: unknown[];
  #isBoundKnown = true;
  #isNothingBound = true;
  /** Whether the last call says by itself all that was read of it: nothing is bound, and nothing in it was passed over. */
  isWhole = false;

  constructor(words: ReadonlySet<string>, dimensions: ReadonlySet<string>) {
    const known = [...words].filter((word) => !UNREAD.has(word));
    const looked = ["tool", ...known.filter((word) => word !== "tool" && dimensions.has(word))];
    this.places = new Map(looked.map((word, i) => [word, i]));
    this.#known = new Map(known.map((word) => [word, this.places.get(word) ?? NOWHERE]));
    this.#argsPlace = this.places.get("args") ?? ABSENT;
    this.values = looked.map(() => undefined);
    this.#boundValues = [...this.values];
  }

  /** Reads the values of a call. Returns `false` for one that has other words, or may be wrong. */
  read(bound: Dimensions, call: Call): boolean {
    if (bound !== this.#bound) {
      this.#bound = bound;
      this.#boundValues.fill(undefined);
      this.#isBoundKnown = this.#readInto(this.#boundValues, bound);
      this.#isNothingBound = Object.keys(bound).length === 0;
    }
    const { values } = this;
    for (let i = 0; i < values.length; i++) values[i] = this.#boundValues[i];
    this.isWhole = this.#isNothingBound;
    return this.#isBoundKnown && this.#readInto(values, call);
  }

  #readInto(values: unknown[], words: object): boolean {
    if (!isPlainObject(words)) return false;
    let n = 0;
    for (const word in words) {
      const value = words[word];
      if (word !== this.#order[n] && !this.#learn(n, word)) {
        this.isWhole = false;
        if (value === undefined || value === null) continue;
        return false;
      }
      const place = this.#orderPlaces[n++] as number;
      if (place === NOWHERE || value === undefined || value === null) continue;
      if (place === this.#argsPlace && !KnownArgs.is(value)) return false;
      values[place] = value;
    }
    return true;
  }

  /** Remembers the n-th word of calls. Returns `false` for one that is not known. */
  #learn(n: number, word: string): boolean {
    const place = this.#known.get(word);
    if (place === undefined) return false;
    this.#order[n] = word;
    this.#orderPlaces[n] = place;
    return true;
  }
}

/** Whether all properties that can be read are its own. */
function isPlainObject(value: object): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

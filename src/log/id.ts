// Ids of entries: 26 characters that sort by time. 48 bits are the time in ms, 40 the instance, 40 a counter.

import { random } from "../ids.ts";

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_DIGITS = 10;
const INSTANCE_DIGITS = 8;
const COUNTER_DIGITS = 8;
const LAST_COUNT = 32 ** COUNTER_DIGITS - 1;
/** The last two digits of a counter. */
const PAIRS: readonly string[] = Array.from({ length: 1_024 }, (_, n) => digitsOf(n, 2));

/** A number as so many digits of base 32. */
export function digitsOf(value: number, count: number): string {
  let text = "";
  for (let rest = value; text.length < count; rest = Math.floor(rest / 32)) text = DIGITS.charAt(rest % 32) + text;
  return text;
}

/** The name of an instance, which no other has. */
export function instanceName(): string {
  return digitsOf(Math.floor(random() * 32 ** INSTANCE_DIGITS), INSTANCE_DIGITS);
}

/** The time in an id, epoch ms; `null`: it is no id. */
export function timeOfId(id: string): number | null {
  if (!/^[0-9A-HJKMNP-TV-Z]{26}$/.test(id)) return null;
  let ms = 0;
  for (let i = 0; i < TIME_DIGITS; i++) ms = ms * 32 + DIGITS.indexOf(id.charAt(i));
  return ms;
}

/** Makes the ids of one instance. */
export class EntryIds {
  readonly #instance: string;
  #ms = -1;
  #time = "";
  #count = 0;
  /** The instance, and all digits of the counter but the last two. */
  #middle = "";

  constructor(instance: string) {
    this.#instance = instance;
  }

  next(atMs: number): string {
    if (atMs !== this.#ms) {
      this.#ms = atMs;
      this.#time = digitsOf(Math.max(0, Math.floor(atMs)), TIME_DIGITS);
    }
    const low = this.#count & 1_023;
    if (low === 0 || this.#middle === "") {
      this.#middle = this.#instance + digitsOf(Math.floor(this.#count / 1_024), COUNTER_DIGITS - 2);
    }
    this.#count = this.#count === LAST_COUNT ? 0 : this.#count + 1;
    return this.#time + this.#middle + PAIRS[low];
  }
}

// Which one of how many an instance is, as far as the store has said.

import type { Beat } from "../../store/shared-store.ts";
import type { Place } from "./shares.ts";

/** The most instances of the last hour or two count. */
const HOUR_MS = 3_600_000;

let made = 0;

/** A name that no other instance has. Ranks are in the order of names, so an instance that comes later moves none. */
export function instanceName(): string {
  return (
    [Date.now(), made++].map((number) => number.toString(36).padStart(4, "0")).join("-") +
    `-${crypto.randomUUID().slice(0, 8)}`
  );
}

/** How many instances there are. */
export class Members {
  readonly #most: number | undefined;
  readonly #hasJournal: boolean;
  #rank: number | null = null;
  #counts: { readonly hour: number; readonly most: number }[] = [];

  constructor(most: number | undefined, hasJournal: boolean) {
    this.#most = most;
    this.#hasJournal = hasJournal;
  }

  /** How many the store has counted; before that how many there are at most, as far as that is known. */
  get count(): number {
    return this.#highest() || (this.#most ?? 1);
  }

  /** Whether there are more than before. */
  learn({ instances, rank }: Beat): boolean {
    const before = this.#highest();
    const hour = Math.floor(performance.now() / HOUR_MS);
    const [last] = this.#counts;
    const counts = last?.hour === hour ? this.#counts.slice(1) : this.#counts;
    const most = last?.hour === hour ? Math.max(last.most, instances) : instances;
    this.#counts = [{ hour, most }, ...counts.filter((each) => each.hour === hour - 1)];
    this.#rank = rank;
    return this.#highest() > before;
  }

  /**
   * Which one of how many this instance is; `null` where that is not known. One that starts while the store is away, and
   * does not know what it admitted before, admits nothing.
   */
  place(): Place | null {
    const counted = this.#highest();
    if (counted === 0 && !(this.#hasJournal && this.#most !== undefined)) return null;
    const instances = this.#most ?? counted;
    return { instances, rank: this.#rank === null ? null : Math.min(this.#rank, instances - 1) };
  }

  #highest(): number {
    return Math.max(0, ...this.#counts.map(({ most }) => most));
  }
}

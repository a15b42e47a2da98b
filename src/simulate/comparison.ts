// Where two policies decide differently.

import type { Judgement } from "../kernel/answer.ts";
import { type Counts, count, type ShownCall, shownCall } from "./tally.ts";
import type { TracedCall } from "./traced-call.ts";

/** The calls that one policy denies and the other one allows. */
export interface Difference {
  readonly calls: number;
  /** By the limit that denied them. */
  readonly deniedBy: Counts;
  /** The first 20. */
  readonly examples: readonly ShownCall[];
}

export interface Comparison {
  /** Denied by the first policy alone. */
  readonly onlyFirst: Difference;
  /** Denied by the second policy alone. */
  readonly onlySecond: Difference;
  readonly deniedByBoth: number;
  readonly allowedByBoth: number;
}

const MAX_EXAMPLES = 20;

class Differing {
  #calls = 0;
  readonly #deniedBy = new Map<string, number>();
  readonly #examples: ShownCall[] = [];

  add(traced: TracedCall, nthOfSession: number, limit: string): void {
    this.#calls++;
    count(this.#deniedBy, limit, 1);
    if (this.#examples.length < MAX_EXAMPLES) this.#examples.push(shownCall(traced, nthOfSession, limit));
  }

  result(): Difference {
    return { calls: this.#calls, deniedBy: Object.fromEntries(this.#deniedBy), examples: this.#examples };
  }
}

export class Comparing {
  readonly #onlyFirst = new Differing();
  readonly #onlySecond = new Differing();
  #deniedByBoth = 0;
  #allowedByBoth = 0;

  add(traced: TracedCall, nthOfSession: number, first: Judgement, second: Judgement): void {
    if (first.allowed && second.allowed) this.#allowedByBoth++;
    else if (!first.allowed && !second.allowed) this.#deniedByBoth++;
    else if (!first.allowed) this.#onlyFirst.add(traced, nthOfSession, first.deniedBy);
    else this.#onlySecond.add(traced, nthOfSession, String(second.deniedBy));
  }

  result(): Comparison {
    return {
      onlyFirst: this.#onlyFirst.result(),
      onlySecond: this.#onlySecond.result(),
      deniedByBoth: this.#deniedByBoth,
      allowedByBoth: this.#allowedByBoth,
    };
  }
}

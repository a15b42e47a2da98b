// Which runs of agents are under way in this process, and how often each was denied.

import type { Guard } from "../guard.ts";

/** Runs remembered at most: one that crashed never says that it has ended. */
const RUNS_MAX = 10_000;

export interface Run {
  readonly guard: Guard;
  /** The text of the last denial that the model read, until it makes other calls. */
  denial: string;
}

/** The runs under way, the least recently used first. */
export class Runs {
  readonly #runs = new Map<string, Run>();
  readonly #createGuard: () => Guard;

  constructor(createGuard: () => Guard) {
    this.#createGuard = createGuard;
    // Says now which options are wrong.
    createGuard();
  }

  of(id: string | undefined): Run {
    const run = this.#runs.get(id ?? "") ?? { guard: this.#createGuard(), denial: "" };
    // A thread that was interrupted before it had this middleware goes on without an id.
    if (id === undefined) return run;
    this.#runs.delete(id);
    this.#runs.set(id, run);
    if (this.#runs.size > RUNS_MAX) this.forget(this.#runs.keys().next().value);
    return run;
  }

  forget(id: string | undefined): void {
    this.#runs.delete(id ?? "");
  }
}

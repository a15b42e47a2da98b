// Renews the marks of all shards. Those that ask while a renewal is under way share the next one, because what they know is newer.

import { within } from "../../deadlines.ts";

/** A shard that gives no answer for so long is not renewed, and then no script is loaded. */
export const RENEWED_WITHIN_MS = 5_000;

export class Renewals {
  readonly #renew: () => Promise<unknown>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(renew: () => Promise<unknown>) {
    this.#renew = renew;
  }

  /** Renews all marks, beginning after this call. Rejects when one of them could not be renewed. */
  run(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = null;
        return this.#start();
      });
    return this.#next;
  }

  #start(): Promise<void> {
    const running = within(RENEWED_WITHIN_MS, this.#renew(), { isAwaited: false }).then(() => {});
    this.#running = running;
    const end = () => {
      if (this.#running === running) this.#running = null;
    };
    running.then(end, end);
    return running;
  }
}

// What goes on after decisions: no call waits for it, a store that closes does. None of it may reject.

export class LaterWork {
  readonly #works = new Set<Promise<unknown>>();

  readonly add = (work: Promise<unknown>): void => {
    const ended = work.finally(() => this.#works.delete(ended));
    this.#works.add(ended);
  };

  /** Waits for what has been added until now. */
  async done(): Promise<void> {
    await Promise.allSettled(this.#works);
  }
}

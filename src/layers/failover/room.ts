// How much several parts of a limiter keep together, such as those for the shards of a store. It decides nothing.

export class Room {
  readonly #counts: (() => number)[] = [];

  /** @param count how much one of them keeps now */
  join(count: () => number): void {
    this.#counts.push(count);
  }

  /** How much all of them keep together now. */
  get count(): number {
    return this.#counts.reduce((sum, count) => sum + count(), 0);
  }
}

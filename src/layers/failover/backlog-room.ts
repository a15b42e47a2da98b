// How many bookings wait in several backlogs together. It decides nothing.

interface Waiting {
  readonly looseCount: number;
}

/** What waits in several backlogs together. */
export class BacklogRoom {
  readonly #all = new Set<Waiting>();

  join(backlog: Waiting): void {
    this.#all.add(backlog);
  }

  get looseCount(): number {
    let count = 0;
    for (const { looseCount } of this.#all) count += looseCount;
    return count;
  }
}

// A queue of things that are due, the first one first.

export interface Due {
  readonly atMs: number;
  /** Tells apart things that are due at one instant: the lowest comes first. */
  readonly order: number;
}

export class Heap<Item extends Due> {
  readonly #items: Item[] = [];

  get items(): readonly Item[] {
    return this.#items;
  }

  push(item: Item): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(items[parent] as Item, item)) break;
      items[at] = items[parent] as Item;
      at = parent;
    }
    items[at] = item;
  }

  pop(): Item | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && isBefore(items[child + 1] as Item, items[child] as Item)) child++;
      if (isBefore(last, items[child] as Item)) break;
      items[at] = items[child] as Item;
      at = child;
    }
    items[at] = last;
    return first;
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

// Names by numbers, in the order of first use.

/** Gives each item a number, from 1, in the order of first use. */
export class Numbering<Item> {
  readonly items: Item[] = [];
  readonly #numbers = new Map<Item, number>();

  constructor(items: readonly Item[] = []) {
    for (const item of items) this.numberOf(item);
  }

  numberOf(item: Item): number {
    const known = this.#numbers.get(item);
    if (known !== undefined) return known;
    const number = this.items.push(item);
    this.#numbers.set(item, number);
    return number;
  }
}

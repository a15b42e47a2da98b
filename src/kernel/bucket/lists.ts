// What the compiled part of the kernel does with lists, in place of `splice` and `slice`.

import { shortList } from "../lua.ts";

/** Takes the item at `from` out of a list, and puts another one in at `to`, which is `from` or behind it. */
export function moveItem<Item>(list: Item[], from: number, to: number, item: Item): void {
  for (let i = from; i < to; i++) list[i] = list[i + 1] as Item;
  list[to] = item;
}

export function copyOf<Item>(list: readonly Item[]): Item[] {
  const copy = shortList<Item>();
  for (const item of list) copy.push(item);
  return copy;
}

// The shards of a cluster: 64 ranges of slots, whatever servers have them. All keys of a shard have one tag in front, so that they are in
// one slot and a script may name any of them together. The number of shards and their tags are part of the layout of the keys: all
// instances must agree.

import { HASH_SLOTS, slotOf } from "./hash-slot.ts";
import { slotTag } from "./slot-tag.ts";

export const SHARDS = 64;
const SLOTS_PER_SHARD = HASH_SLOTS / SHARDS;
/** Every third part of the slots has one. */
const HOMES: ReadonlySet<number> = new Set([0, 21, 42]);

/** What a shard's keys begin with, and the slot in which they are. */
export interface ShardPlace {
  readonly prefix: string;
  readonly slot: number;
}

/** The key that was asked last up to the end of its tag, and its shard: the steps of a call mostly have one tag. */
let last: { readonly head: string; readonly shard: number } | null = null;

/** The shard of a key: the slot that it would have by itself lies in the shard's range. */
export function shardOf(key: string): number {
  if (last !== null && key.startsWith(last.head)) return last.shard;
  const tag = slotTag(key);
  const shard = Math.floor(slotOf(tag) / SLOTS_PER_SHARD);
  const end = `{${tag}}`;
  if (key.includes(end)) last = { head: key.slice(0, key.indexOf(end) + end.length), shard };
  return shard;
}

/** Whether a shard counts the instances. Three do, so that one server of three may be away. */
export function countsInstances(shard: number): boolean {
  return HOMES.has(shard);
}

/** Finds the places of all shards: the tag of each is the smallest number whose slot lies in its range. */
export function shardPlaces(): readonly ShardPlace[] {
  const places: ShardPlace[] = [];
  for (let number = 0, found = 0; found < SHARDS; number++) {
    const slot = slotOf(String(number));
    const shard = Math.floor(slot / SLOTS_PER_SHARD);
    if (places[shard] !== undefined) continue;
    places[shard] = { prefix: `{${number}}:`, slot };
    found++;
  }
  return places;
}
